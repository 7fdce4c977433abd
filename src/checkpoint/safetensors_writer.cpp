// See safetensors_writer.h.
#include "checkpoint/safetensors_writer.h"

#include <set>

#include "base/atomic_file.h"
#include "base/json_text.h"

namespace lumen {
namespace {

class CountingSink : public ByteSink {
 public:
  explicit CountingSink(AtomicFile& file) : file_(file) {}
  Status write(std::span<const uint8_t> bytes) override {
    written += bytes.size();
    return file_.write(bytes);
  }
  uint64_t written = 0;

 private:
  AtomicFile& file_;
};

}  // namespace

void SafetensorsWriter::add_tensor(std::string name, std::string dtype, std::vector<int64_t> dims, uint64_t bytes,
                                   TensorProducer producer) {
  tensors_.push_back({std::move(name), std::move(dtype), std::move(dims), bytes, std::move(producer)});
}

std::string SafetensorsWriter::head() const {
  std::string json = "{", comma;
  if (!metadata_.empty()) {
    json += "\"__metadata__\":{";
    for (auto& [key, value] : metadata_) {
      json += comma + json_string(key) + ":" + json_string(value);
      comma = ",";
    }
    json += "}";
  }
  uint64_t at = 0;
  for (const Tensor& t : tensors_) {
    json += comma + json_string(t.name) + ":{\"dtype\":" + json_string(t.dtype) + ",\"shape\":[";
    for (size_t i = 0; i < t.dims.size(); ++i) json += (i ? "," : "") + std::to_string(t.dims[i]);
    json += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + t.bytes) + "]}";
    at += t.bytes;
    comma = ",";
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');  // data starts at a multiple of 8
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(json.size() >> (8 * i) & 255);
  return out + json;
}

Status SafetensorsWriter::write(const std::string& path) {
  std::set<std::string_view> seen;
  for (const Tensor& t : tensors_)
    if (!seen.insert(t.name).second) return Error{path + ": tensor " + t.name + ": added twice: expected unique names"};
  LUMEN_TRY(file, AtomicFile::create(path));
  std::string start = head();
  LUMEN_CHECK(file.write({reinterpret_cast<const uint8_t*>(start.data()), start.size()}));
  for (Tensor& t : tensors_) {
    CountingSink sink(file);
    LUMEN_CHECK(t.producer(sink));
    if (sink.written != t.bytes)
      return Error{path + ": tensor " + t.name + ": expected " + std::to_string(t.bytes) + " bytes, its producer made " +
                   std::to_string(sink.written)};
  }
  return file.commit();
}

}  // namespace lumen
