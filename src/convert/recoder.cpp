// See recoder.h.
#include "convert/recoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compiler/formats/encode.h"

namespace lumen::convert {

int64_t bytes_per_row(const ir::Type& element, int64_t k) {
  return element.format ? ir::row_bytes(*element.format, k) : k * size_of(element.scalar);
}
int block_of(const ir::Type& element) { return element.format ? element.format->block : 1; }
std::string name_of(const ir::Type& t) { return t.format ? t.format->name : std::string(name(t.scalar)); }

static void store(DType type, const float* x, int64_t k, uint8_t* row) {
  if (type == DType::F32) {
    std::memcpy(row, x, static_cast<size_t>(4 * k));
    return;
  }
  for (int64_t i = 0; i < k; ++i) {
    uint16_t h = type == DType::F16 ? float_to_half(x[i]) : float_to_bfloat(x[i]);
    std::memcpy(row + 2 * i, &h, 2);
  }
}

Recoder::Recoder(ThreadTeam& team, ir::Type from, ir::Type to) : team_(team), from_(std::move(from)), to_(std::move(to)) {
  for (int w = 0; w < team.size(); ++w) {
    readers_.emplace_back(from_);
    backs_.emplace_back(to_);
  }
  workers_.resize(static_cast<size_t>(team.size()));
}

bool Recoder::recode_row(size_t worker, const uint8_t* in, int64_t k, const float* columns, uint8_t* out) {
  Worker& w = workers_[worker];
  float *x = w.x.data(), *back = w.back.data();
  readers_[worker].decode(in, k, x);
  float largest = 0;  // becomes not-a-number where one is met
  for (int64_t j = 0; j < k; ++j) largest += std::fabs(x[j]) * 0.0f;
  if (largest != 0) {
    w.wrong = "holds a value that is not finite";
    return false;
  }
  if (!to_.format) {
    store(to_.scalar, x, k, out);
  } else {
    formats::weigh_errors(x, columns, k, w.importance.data());
    if (Status s = formats::encode_row(*to_.format, x, k, out, w.importance.data()); !s) {
      w.wrong = s.error().message;
      return false;
    }
  }
  backs_[worker].decode(out, k, back);
  double error = 0, square = 0;
  for (int64_t j = 0; j < k; ++j) {
    double d = static_cast<double>(back[j]) - x[j];
    error += d * d;
    square += static_cast<double>(x[j]) * x[j];
  }
  w.error += error;
  w.square += square;
  return true;
}

Status Recoder::run(const uint8_t* data, int64_t rows, int64_t k, const Importance& importance, const std::string& where, ByteSink& sink,
                    const std::function<void(int64_t)>& progress) {
  int64_t bytes_in = bytes_per_row(from_, k), bytes_out = bytes_per_row(to_, k);
  int64_t piece = std::clamp<int64_t>((int64_t{1} << 20) / k, 1, rows);  // rows: about a million elements at once
  int64_t share = std::max<int64_t>(rows / std::max<int64_t>(importance.matrices, 1), 1);
  std::vector<uint8_t> out(static_cast<size_t>(piece * bytes_out));
  for (Worker& w : workers_) {
    w.x.resize(static_cast<size_t>(k));
    w.back.resize(static_cast<size_t>(k));
    w.importance.resize(static_cast<size_t>(k));
  }
  for (int64_t at = 0; at < rows; at += piece) {
    int64_t n = std::min(piece, rows - at);
    team_.run(n, 4, [&](int w, int64_t begin, int64_t end) {
      Worker& me = workers_[static_cast<size_t>(w)];
      for (int64_t i = begin; i < end && me.wrong.empty(); ++i) {
        const float* weights = importance.weights.empty() ? nullptr : importance.weights.data() + (at + i) / share * k;
        if (!recode_row(static_cast<size_t>(w), data + (at + i) * bytes_in, k, weights, out.data() + i * bytes_out))
          me.wrong = "row " + std::to_string(at + i) + ": " + me.wrong;
      }
    });
    for (const Worker& w : workers_)
      if (!w.wrong.empty()) return Error{where + ": " + w.wrong};
    LUMEN_CHECK(sink.write({out.data(), static_cast<size_t>(n * bytes_out)}));
    if (progress) progress(n * k);
  }
  return ok_status();
}

double Recoder::rms_error() const {
  double e = 0, s = 0;
  for (const Worker& w : workers_) e += w.error, s += w.square;
  return s > 0 ? std::sqrt(e / s) : 0;
}

}  // namespace lumen::convert
