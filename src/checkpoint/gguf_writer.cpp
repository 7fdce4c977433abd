// Assembles the head in memory (metadata and tensor table), then streams each tensor behind it.
#include "checkpoint/gguf_writer.h"

#include <cstring>
#include <unordered_set>

#include "base/assert.h"
#include "base/atomic_file.h"

namespace lumen {
namespace {

constexpr uint64_t kAlignment = 32;

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out += text;
}

uint64_t padded(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Counts what a producer writes and refuses more than was announced before it reaches the file.
class CountingSink : public ByteSink {
 public:
  CountingSink(AtomicFile& file, uint64_t expected) : file_(file), expected_(expected) {}
  Status write(std::span<const uint8_t> bytes) override {
    written_ += bytes.size();
    if (written_ > expected_) return Error{"more than the announced " + std::to_string(expected_) + " bytes were produced"};
    return file_.write(bytes);
  }
  uint64_t written() const { return written_; }

 private:
  AtomicFile& file_;
  uint64_t expected_, written_ = 0;
};

}  // namespace

void GgufWriter::put(std::string_view key, MetaType type, std::string value) {
  LUMEN_ASSERT(key != "general.alignment");  // the writer's own: 32, which is what its absence means
  auto [it, fresh] = key_index_.try_emplace(std::string(key), keys_.size());
  if (fresh) keys_.push_back({});
  keys_[it->second] = {std::string(key), type, std::move(value)};
}

void GgufWriter::put_array(std::string_view key, MetaType element, uint64_t count, std::string_view values) {
  std::string packed;
  append(packed, static_cast<uint32_t>(element));
  append(packed, count);
  packed += values;
  put(key, MetaType::Array, std::move(packed));
}

void GgufWriter::set(std::string_view key, std::string_view text) {
  std::string packed;
  append_string(packed, text);
  put(key, MetaType::String, std::move(packed));
}

void GgufWriter::set_array(std::string_view key, std::span<const std::string_view> texts) {
  std::string packed;
  for (std::string_view t : texts) append_string(packed, t);
  put_array(key, MetaType::String, texts.size(), packed);
}

void GgufWriter::set_array(std::string_view key, const std::vector<bool>& values) {
  std::string packed;
  for (bool b : values) packed += b ? '\1' : '\0';
  put_array(key, MetaType::Bool, values.size(), packed);
}

void GgufWriter::copy_metadata(const Checkpoint& from) {
  for (const MetaEntry& e : from.metadata()) {
    if (e.key == "general.alignment" || key_index_.count(std::string(e.key))) continue;
    std::string_view bytes(reinterpret_cast<const char*>(e.value.data), e.value.size);
    if (e.value.type == MetaType::Array)
      put_array(e.key, e.value.element, e.value.count, bytes);
    else if (e.value.type == MetaType::String)
      set(e.key, bytes);
    else
      put(e.key, e.value.type, std::string(bytes));
  }
}

void GgufWriter::remove(std::string_view key) {
  auto it = key_index_.find(std::string(key));
  if (it == key_index_.end()) return;
  keys_.erase(keys_.begin() + static_cast<ptrdiff_t>(it->second));
  key_index_.clear();
  for (size_t i = 0; i < keys_.size(); ++i) key_index_[keys_[i].name] = i;
}

void GgufWriter::add_tensor(std::string name, std::vector<int64_t> dims, uint32_t type_id, uint64_t bytes, TensorProducer producer) {
  tensors_.push_back({std::move(name), std::move(dims), type_id, bytes, std::move(producer)});
}

// What the reader would refuse is refused here, before anything is written.
Status GgufWriter::check(const std::string& path) const {
  std::unordered_set<std::string_view> seen;
  if (key_index_.count("")) return Error{path + ": a metadata key has an empty name: expected a name"};
  for (const Tensor& t : tensors_) {
    std::string where = path + ": tensor " + quoted(t.name) + ": ";
    if (t.name.empty()) return Error{where + "expected a name"};
    if (!seen.insert(t.name).second) return Error{where + "added twice: expected unique names"};
    if (t.dims.empty() || t.dims.size() > 4) return Error{where + std::to_string(t.dims.size()) + " dimensions: expected 1 to 4"};
    for (int64_t d : t.dims)
      if (d < 1) return Error{where + "a dimension of " + std::to_string(d) + ": expected at least 1"};
    if (t.bytes == 0) return Error{where + "0 bytes of data: expected at least 1"};
  }
  return ok_status();
}

std::string GgufWriter::head() const {
  std::string out = "GGUF";
  append<uint32_t>(out, 3);
  append<uint64_t>(out, tensors_.size());
  append<uint64_t>(out, keys_.size());
  for (const Key& k : keys_) {
    append_string(out, k.name);
    append(out, static_cast<uint32_t>(k.type));
    out += k.value;
  }
  uint64_t offset = 0;
  for (const Tensor& t : tensors_) {
    append_string(out, t.name);
    append(out, static_cast<uint32_t>(t.dims.size()));
    for (size_t d = t.dims.size(); d-- > 0;) append(out, static_cast<uint64_t>(t.dims[d]));
    append(out, t.type_id);
    append(out, offset);
    offset += padded(t.bytes);
  }
  out.resize(padded(out.size()), '\0');
  return out;
}

Status GgufWriter::write(const std::string& path) {
  LUMEN_CHECK(check(path));
  LUMEN_TRY(file, AtomicFile::create(path));
  std::string start = head();
  LUMEN_CHECK(file.write({reinterpret_cast<const uint8_t*>(start.data()), start.size()}));
  for (Tensor& t : tensors_) {
    std::string where = path + ": tensor " + quoted(t.name) + ": ";
    CountingSink sink(file, t.bytes);
    Status made = t.producer(sink);
    if (!made) {
      Error error = made.error();
      bool has_path = error.message.compare(0, path.size() + 1, path + ":") == 0;
      return has_path ? error : Error{where + error.message, error.usage};
    }
    if (sink.written() != t.bytes)
      return Error{where + "expected " + std::to_string(t.bytes) + " bytes, its producer made " + std::to_string(sink.written())};
    const uint8_t zeros[kAlignment] = {};
    LUMEN_CHECK(file.write({zeros, padded(t.bytes) - t.bytes}));
  }
  return file.commit();
}

}  // namespace lumen
