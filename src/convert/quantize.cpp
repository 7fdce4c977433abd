// Rows are decoded, encoded and written in pieces that all threads share.
#include "convert/quantize.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/thread_team.h"
#include "checkpoint/gguf_reader.h"
#include "checkpoint/gguf_writer.h"
#include "compiler/formats/encode.h"
#include "compiler/formats/row_decoder.h"

namespace lumen::convert {
namespace {

// general.file_type of a file whose weights are mostly of a GGUF type (llama.cpp's enumeration, llama.h: llama_ftype); a private
// type stands for itself.
uint32_t file_type_of(uint32_t type_id) {
  static const std::map<uint32_t, uint32_t> table = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {6, 8},   {7, 9},   {8, 7},   {10, 10},
                                                     {11, 12}, {12, 15}, {13, 17}, {14, 18}, {20, 25}, {23, 30}, {30, 32}, {39, 38}};
  auto it = table.find(type_id);
  return it == table.end() ? type_id : it->second;
}

int64_t bytes_per_row(const ir::Type& element, int64_t k) {
  return element.format ? ir::row_bytes(*element.format, k) : k * size_of(element.scalar);
}
int block_of(const ir::Type& element) { return element.format ? element.format->block : 1; }
std::string name_of(const ir::Type& t) { return t.format ? t.format->name : std::string(name(t.scalar)); }

// The format asked for as an element type, checked to be writable.
Result<ir::Type> target_element(const sema::Library& lib, const std::string& name) {
  if (auto scalar = dtype_named(name)) {
    if (!is_float(*scalar) || *scalar == DType::F64)
      return Error{"--format: expected a format or f32, f16, bf16, found '" + name + "'", true};
    return ir::Type{*scalar, nullptr, {}};
  }
  auto format = lib.format(name);
  if (!format) return Error{"--format: " + format.error().message, format.error().usage};
  if ((*format)->row_planes)
    return Error{"--format: " + name + " keeps its fields in planes; a GGUF tensor needs a format of blocks", true};
  if (std::string why = formats::why_not_encodable(**format); !why.empty())
    return Error{"--format: " + name + " cannot be written: " + why, true};
  return ir::Type{DType::F32, *format, {}};
}

// The number the format declares; else a private one that nothing else in the file or at hand uses.
Result<uint32_t> type_id_of(const sema::Library& lib, const Checkpoint& in, const ir::Type& element) {
  std::string name = name_of(element);
  const ast::FormatDecl* decl = lib.format_decl(name);
  if (decl && decl->gguf && decl->gguf->kind == ast::ExprKind::Int) return static_cast<uint32_t>(decl->gguf->ival);
  if (!element.format) return Error{"--format: no .lum file declares the GGUF type of " + name};
  auto key = [](uint32_t id, const char* what) { return std::string(kFormatKeyPrefix) + std::to_string(id) + what; };
  for (uint32_t id = kFirstPrivateType;; ++id) {
    if (in.find(key(id, ".name"))) {
      LUMEN_TRY(theirs, in.get_string(key(id, ".name")));
      if (theirs == name) return id;
      continue;
    }
    if (!lib.format_by_gguf_type(static_cast<int>(id))) return id;
  }
}

void store(const ir::Type& element, const float* x, int64_t k, uint8_t* row) {
  for (int64_t i = 0; i < k; ++i) {
    uint16_t h;
    if (element.scalar == DType::F32) {
      __builtin_memcpy(row + 4 * i, x + i, 4);
      continue;
    }
    h = element.scalar == DType::F16 ? float_to_half(x[i]) : float_to_bfloat(x[i]);
    __builtin_memcpy(row + 2 * i, &h, 2);
  }
}

// One tensor through decode and encode, a piece of rows at a time.
class Recoder {
 public:
  Recoder(ThreadTeam& team, ir::Type from, ir::Type to) : team_(team), from_(std::move(from)), to_(std::move(to)) {
    for (int w = 0; w < team.size(); ++w) {
      readers_.emplace_back(from_);
      backs_.emplace_back(to_);
    }
    sums_.resize(static_cast<size_t>(team.size()));
  }

  Status run(const Checkpoint& in, const CheckpointTensor& t, ByteSink& sink, const std::function<void(int64_t)>& progress) {
    LUMEN_TRY(data, in.data(t));
    int64_t k = t.dims.back(), rows = t.element_count() / k, bytes_in = bytes_per_row(from_, k), bytes_out = bytes_per_row(to_, k);
    int64_t piece = std::clamp<int64_t>((int64_t{1} << 20) / k, 1, rows);  // rows: about a million elements at once
    std::vector<uint8_t> out(static_cast<size_t>(piece * bytes_out));
    std::vector<std::vector<float>> x(static_cast<size_t>(team_.size())), back(x.size());
    for (auto* list : {&x, &back})
      for (auto& v : *list) v.resize(static_cast<size_t>(k));
    for (int64_t at = 0; at < rows; at += piece) {
      int64_t n = std::min(piece, rows - at);
      std::vector<std::string> wrong(static_cast<size_t>(team_.size()));
      team_.run(n, 4, [&](int w, int64_t begin, int64_t end) {
        size_t worker = static_cast<size_t>(w);
        for (int64_t i = begin; i < end; ++i) {
          float *row = x[worker].data(), *again = back[worker].data();
          uint8_t* to = out.data() + i * bytes_out;
          readers_[worker].decode(data.data + (at + i) * bytes_in, k, row);
          for (int64_t j = 0; j < k; ++j)
            if (!std::isfinite(row[j]) && wrong[worker].empty())
              wrong[worker] = "row " + std::to_string(at + i) + " holds a value that is not finite";
          if (!wrong[worker].empty()) return;
          if (!to_.format) {
            store(to_, row, k, to);
          } else if (Status s = formats::encode_row(*to_.format, row, k, to); !s) {
            wrong[worker] = s.error().message;
            return;
          }
          backs_[worker].decode(to, k, again);
          for (int64_t j = 0; j < k; ++j) {
            double d = static_cast<double>(again[j]) - row[j];
            sums_[worker].error += d * d;
            sums_[worker].square += static_cast<double>(row[j]) * row[j];
          }
        }
      });
      for (const std::string& why : wrong)
        if (!why.empty()) return Error{in.path() + ": tensor " + std::string(t.name) + ": " + why};
      LUMEN_CHECK(sink.write({out.data(), static_cast<size_t>(n * bytes_out)}));
      if (progress) progress(n * k);
    }
    in.release(t);
    return ok_status();
  }

  double rms_error() const {
    double e = 0, s = 0;
    for (const Sums& x : sums_) e += x.error, s += x.square;
    return s > 0 ? std::sqrt(e / s) : 0;
  }

 private:
  struct alignas(64) Sums {
    double error = 0, square = 0;
  };
  ThreadTeam& team_;
  ir::Type from_, to_;
  std::vector<formats::RowDecoder> readers_, backs_;
  std::vector<Sums> sums_;
};

// Why a tensor stays as it is; empty: it takes the new format.
std::string why_kept(const CheckpointTensor& t, const ir::Type& from, const ir::Type& to, const QuantizeOptions& o) {
  if (t.dims.size() < 2) return "one axis: norms and biases stay";
  if (o.keep_embeddings && (t.name == "token_embd.weight" || t.name == "output.weight")) return "--keep-embeddings";
  if (!from.format && !is_float(from.scalar)) return "not a weight: its elements are " + std::string(name(from.scalar));
  if (name_of(from) == name_of(to)) return "it has this format";
  if (int64_t k = t.dims.back(); k % block_of(to) != 0)
    return "its rows of " + std::to_string(k) + " are no multiple of the block of " + std::to_string(block_of(to));
  return "";
}

}  // namespace

Result<QuantizeReport> quantize(const sema::Library& lib, const Checkpoint& in, const std::string& out, const QuantizeOptions& o) {
  LUMEN_TRY(to, target_element(lib, o.format));
  std::error_code ec;
  if (std::filesystem::equivalent(in.path(), out, ec)) return Error{out + ": the output is the input; expected another file", true};
  QuantizeReport report;
  LUMEN_TRY(type_id, type_id_of(lib, in, to));
  report.type_id = type_id;
  std::vector<ir::Type> types;
  int64_t total = 0, done = 0, taken = 0;
  for (const CheckpointTensor& t : in.tensors()) {
    LUMEN_TRY(from, o.type_of(t));
    QuantizedTensor q{std::string(t.name), name_of(from), "", why_kept(t, from, to, o), t.bytes.value_or(0), t.bytes.value_or(0), 0};
    if (q.why.empty()) {
      q.to = name_of(to);
      q.bytes_after = static_cast<uint64_t>(t.element_count() / t.dims.back() * bytes_per_row(to, t.dims.back()));
      total += t.element_count();
      ++taken;
    }
    types.push_back(from);
    report.tensors.push_back(std::move(q));
  }
  if (taken == 0) {
    const QuantizedTensor* widest = nullptr;
    for (size_t i = 0; i < in.tensors().size(); ++i)
      if (in.tensors()[i].dims.size() >= 2) widest = &report.tensors[i];
    return Error{in.path() + ": no tensor takes the format " + o.format + (widest ? "; " + widest->name + ": " + widest->why : ""), true};
  }
  GgufWriter w;
  w.copy_metadata(in);
  w.set("general.file_type", file_type_of(type_id));
  w.set("general.quantization_version", uint32_t{2});
  w.remove("general.alignment");  // the writer has its own
  if (type_id >= kFirstPrivateType && to.format) {
    std::string key = std::string(kFormatKeyPrefix) + std::to_string(type_id);
    w.set(key + ".name", to.format->name);
    w.set(key + ".source", to.format->source);
  }
  ThreadTeam team(std::max(1, o.threads));
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    const CheckpointTensor& t = in.tensors()[i];
    QuantizedTensor& q = report.tensors[i];
    TensorProducer producer;
    if (q.to.empty()) {
      producer = [&in, &t](ByteSink& sink) -> Status {
        LUMEN_TRY(data, in.data(t));
        return sink.write(data.bytes());
      };
    } else {
      producer = [&, i](ByteSink& sink) -> Status {
        Recoder recoder(team, types[i], to);
        Status s = recoder.run(in, t, sink, [&](int64_t n) {
          done += n;
          if (o.progress) o.progress(done, total);
        });
        q.rms_error = recoder.rms_error();
        return s;
      };
    }
    w.add_tensor(q.name, t.dims, q.to.empty() ? t.type_id : type_id, q.bytes_after, std::move(producer));
  }
  LUMEN_CHECK(w.write(out));
  return report;
}

}  // namespace lumen::convert
