// Reading and writing importance matrices. The .dat form: little-endian i32 and f32, counted lists, no magic number.
#include "convert/imatrix.h"

#include <cmath>
#include <cstring>
#include <set>

#include "base/mmap.h"
#include "checkpoint/gguf_reader.h"
#include "checkpoint/gguf_writer.h"

namespace lumen::convert {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr uint32_t kF32 = 0;  // GGUF's number of the type

bool ends_with(std::string_view s, std::string_view tail) { return s.size() > tail.size() && s.substr(s.size() - tail.size()) == tail; }

Status check(const Imatrix::Entry& e, const std::string& where) {
  for (const auto* list : {&e.sum2, &e.counts})
    for (float v : *list)
      if (!(v >= 0) || !std::isfinite(v)) return Error{where + ": expected numbers from 0 up, found " + std::to_string(v)};
  return ok_status();
}

Result<std::vector<float>> floats(const Checkpoint& file, const CheckpointTensor& t) {
  if (t.type_id != kF32) return Error{file.path() + ": tensor " + quoted(t.name) + ": expected f32, found " + file.type_name(t.type_id)};
  LUMEN_TRY(data, file.data(t));
  std::vector<float> v(static_cast<size_t>(t.element_count()));
  std::memcpy(v.data(), data.data, v.size() * 4);
  return v;
}

Result<Imatrix> read_gguf(const std::string& path) {
  LUMEN_TRY(file, open_gguf(path, [](uint32_t id) { return id == kF32 ? std::optional<BlockGeometry>({1, 4}) : std::nullopt; }));
  if (auto type = file.get_string("general.type"); !type || *type != "imatrix")
    return Error{path + ": general.type: expected imatrix, found " + (type ? quoted(*type) : "nothing")};
  Imatrix m;
  if (auto names = file.get_strings("imatrix.datasets"))
    for (std::string_view n : *names) m.datasets.emplace_back(n);
  if (auto n = file.get_int("imatrix.chunk_count", 0)) m.chunks = *n;
  if (auto n = file.get_int("imatrix.chunk_size", 0)) m.chunk_size = *n;
  for (const CheckpointTensor& t : file.tensors()) {
    if (!ends_with(t.name, kSums)) continue;
    std::string name(t.name.substr(0, t.name.size() - kSums.size())), where = path + ": tensor " + quoted(t.name);
    const CheckpointTensor* counts = file.find_tensor(name + std::string(kCounts));
    if (!counts) return Error{where + ": expected its counts (" + std::string(kCounts) + ") beside it, found none"};
    Imatrix::Entry e;
    LUMEN_TRY(sums, floats(file, t));
    LUMEN_TRY(numbers, floats(file, *counts));
    e.k = t.dims.back();
    e.sum2 = std::move(sums);
    e.counts = std::move(numbers);
    if (e.counts.size() * static_cast<size_t>(e.k) != e.sum2.size())
      return Error{where + ": expected " + std::to_string(e.counts.size()) + " rows, one a count, found " +
                   std::to_string(e.sum2.size() / static_cast<size_t>(e.k))};
    LUMEN_CHECK(check(e, where));
    m.entries.emplace(name, std::move(e));
  }
  return m;
}

// A cursor over the .dat form.
struct Reader {
  const std::string& path;
  std::span<const uint8_t> bytes;
  size_t at = 0;
  Result<std::span<const uint8_t>> take(uint64_t n, const char* what) {
    if (n > bytes.size() - at) return Error{path + ": " + what + " at byte " + std::to_string(at) + " runs past the end of the file"};
    auto s = bytes.subspan(at, n);
    at += n;
    return s;
  }
  Result<int64_t> number(const char* what, int64_t lo, int64_t hi) {
    LUMEN_TRY(b, take(4, what));
    int32_t v;
    std::memcpy(&v, b.data(), 4);
    if (v < lo || v > hi)
      return Error{path + ": " + what + ": expected " + std::to_string(lo) + " to " + std::to_string(hi) + ", found " + std::to_string(v)};
    return int64_t{v};
  }
};

Result<Imatrix> read_dat(const std::string& path, std::span<const uint8_t> bytes) {
  Reader r{path, bytes};
  Imatrix m;
  LUMEN_TRY(n, r.number("the number of entries", 1, 1 << 20));
  for (int64_t i = 0; i < n; ++i) {
    LUMEN_TRY(length, r.number("a name's length", 1, 4096));
    LUMEN_TRY(text, r.take(static_cast<uint64_t>(length), "a name"));
    std::string name(reinterpret_cast<const char*>(text.data()), text.size());
    LUMEN_TRY(calls, r.number("a count", 0, INT32_MAX));
    LUMEN_TRY(values, r.number("a number of columns", 1, INT32_MAX));
    LUMEN_TRY(data, r.take(4 * static_cast<uint64_t>(values), "an entry"));
    Imatrix::Entry e;
    e.k = values;
    e.counts = {static_cast<float>(calls)};
    e.sum2.resize(static_cast<size_t>(values));
    std::memcpy(e.sum2.data(), data.data(), data.size());
    LUMEN_CHECK(check(e, path + ": entry " + quoted(name)));
    m.entries[name] = std::move(e);
  }
  if (r.at == bytes.size()) return m;  // the oldest files end here
  LUMEN_TRY(chunks, r.number("the number of chunks", 0, INT32_MAX));
  m.chunks = chunks;
  if (r.at == bytes.size()) return m;
  LUMEN_TRY(length, r.number("the length of the text's name", 0, 1 << 20));
  LUMEN_TRY(text, r.take(static_cast<uint64_t>(length), "the text's name"));
  m.datasets = {std::string(reinterpret_cast<const char*>(text.data()), text.size())};
  return m;
}

}  // namespace

Result<Importance> Imatrix::importance(const std::string& tensor, int64_t matrices, int64_t k) const {
  auto it = entries.find(tensor);
  if (it == entries.end()) return Importance{};
  const Entry& e = it->second;
  // Of the .dat form only the number of all columns of all matrices together is known.
  int64_t have = static_cast<int64_t>(e.sum2.size()), parts = have / k;
  if (have % k != 0 || (parts != 1 && parts != matrices))
    return Error{"the importance matrix has " + std::to_string(have) + " numbers for the tensor " + tensor + ", expected " +
                 std::to_string(k) + (matrices > 1 ? " or " + std::to_string(matrices * k) : "")};
  Importance out{std::vector<float>(e.sum2.size(), 1.0f), parts};
  for (int64_t i = 0; i < have; ++i) {
    float count = e.counts[static_cast<size_t>(e.counts.size() == static_cast<size_t>(parts) ? i / k : 0)];
    if (count > 0) out.weights[static_cast<size_t>(i)] = e.sum2[static_cast<size_t>(i)] / count;
  }
  return out;
}

Result<Imatrix> read_imatrix(const std::string& path) {
  LUMEN_TRY(file, MappedFile::open(path));
  std::span<const uint8_t> bytes = file.bytes();
  Result<Imatrix> m = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0 ? read_gguf(path) : read_dat(path, bytes);
  if (m && m->entries.empty()) return Error{path + ": no entries"};
  return m;
}

Status write_imatrix(const Imatrix& m, const std::string& path) {
  GgufWriter w;
  w.set("general.type", "imatrix");
  std::vector<std::string_view> names(m.datasets.begin(), m.datasets.end());
  w.set_array("imatrix.datasets", std::span<const std::string_view>(names));
  w.set("imatrix.chunk_count", static_cast<uint32_t>(m.chunks));
  w.set("imatrix.chunk_size", static_cast<uint32_t>(m.chunk_size));
  for (auto& [name, e] : m.entries) {
    auto bytes_of = [](const std::vector<float>& v) {
      return [&v](ByteSink& sink) { return sink.write({reinterpret_cast<const uint8_t*>(v.data()), v.size() * 4}); };
    };
    int64_t n = static_cast<int64_t>(e.counts.size());
    w.add_tensor(name + std::string(kSums), {n, e.k}, kF32, e.sum2.size() * 4, bytes_of(e.sum2));
    w.add_tensor(name + std::string(kCounts), {n, 1}, kF32, e.counts.size() * 4, bytes_of(e.counts));
  }
  return w.write(path);
}

}  // namespace lumen::convert
