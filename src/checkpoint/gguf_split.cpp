// The parts' names follow from the first one's; what they say of themselves is compared with that.
#include "checkpoint/gguf_split.h"

#include <cstdio>
#include <filesystem>

namespace lumen {
namespace {

constexpr int64_t kMaxParts = 65535;  // split.count is a u16

struct Part {
  int64_t number = 0, count = 1;
  std::optional<int64_t> tensors;  // of all parts
};

// An integer key; nothing where it is missing.
Result<std::optional<int64_t>> integer(const Checkpoint::Contents& c, std::string_view key, int64_t hi) {
  for (const MetaEntry& e : c.metadata) {
    if (e.key != key) continue;
    int64_t v = -1;
    if (e.value.type != MetaType::Array) {
      MetaValue::Scalar s = e.value.scalar();
      if (auto* i = std::get_if<int64_t>(&s)) v = *i;
      if (auto* u = std::get_if<uint64_t>(&s)) v = *u <= static_cast<uint64_t>(hi) ? static_cast<int64_t>(*u) : -1;
    }
    if (v < 0 || v > hi)
      return Error{c.path + ": metadata key " + quoted(key) + ": expected an integer from 0 to " + std::to_string(hi) + ", found " +
                   e.value.type_name() + " " + e.value.render()};
    return std::optional<int64_t>(v);
  }
  return std::optional<int64_t>();
}

Result<Part> part_of(const Checkpoint::Contents& c) {
  Part p;
  LUMEN_TRY(count, integer(c, "split.count", kMaxParts));
  if (!count || *count <= 1) return p;
  p.count = *count;
  LUMEN_TRY(number, integer(c, "split.no", kMaxParts));
  if (!number || *number >= p.count)
    return Error{c.path + ": metadata key 'split.no': expected this file's number, from 0 to " + std::to_string(p.count - 1) +
                 (number ? ", found " + std::to_string(*number) : ", found none")};
  p.number = *number;
  LUMEN_TRY(tensors, integer(c, "split.tensors.count", INT32_MAX));
  p.tensors = tensors;
  return p;
}

std::string ending(int64_t number, int64_t count) {
  char text[40];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(number + 1), static_cast<long long>(count));
  return text;
}

std::string nth(int64_t number, int64_t count) { return "part " + std::to_string(number + 1) + " of " + std::to_string(count); }

// What stands before the ending; nothing where the file is not named as a part is.
std::optional<std::string> stem(const std::string& path, const Part& p) {
  std::string end = ending(p.number, p.count);
  if (path.size() <= end.size() || path.compare(path.size() - end.size(), end.size(), end) != 0) return std::nullopt;
  return path.substr(0, path.size() - end.size());
}

Status check_part(const Checkpoint::Contents& c, const Part& first, int64_t number) {
  LUMEN_TRY(p, part_of(c));
  std::string expected = ": expected " + nth(number, first.count) + " by its metadata keys split.no and split.count, found ";
  if (p.count == 1) return Error{c.path + expected + "a whole model"};
  if (p.number != number || p.count != first.count) return Error{c.path + expected + nth(p.number, p.count)};
  if (p.tensors && first.tensors && *p.tensors != *first.tensors)
    return Error{c.path + ": metadata key 'split.tensors.count' is " + std::to_string(*p.tensors) + ": expected " +
                 std::to_string(*first.tensors) + ", as the first part has it"};
  return ok_status();
}

}  // namespace

Result<bool> is_part(const Checkpoint::Contents& c) {
  LUMEN_TRY(p, part_of(c));
  return p.count > 1;
}

Result<Checkpoint::Contents> join_parts(Checkpoint::Contents first,
                                        const std::function<Result<Checkpoint::Contents>(const std::string& path)>& read) {
  LUMEN_TRY(p, part_of(first));
  std::optional<std::string> name = stem(first.path, p);
  if (p.number != 0)
    return Error{first.path + ": this is " + nth(p.number, p.count) + " of a model: expected the first part, " +
                 (name ? *name + ending(0, p.count) : "whose name ends in " + ending(0, p.count)) + ", which opens all"};
  if (!name)
    return Error{first.path + ": this is " + nth(0, p.count) + " of a model: expected a file name that ends in " + ending(0, p.count) +
                 ", by which the other parts are found"};
  std::unordered_map<std::string_view, int64_t> part_with;
  for (const CheckpointTensor& t : first.tensors) part_with.emplace(t.name, 0);
  for (int64_t i = 1; i < p.count; ++i) {
    std::string path = *name + ending(i, p.count);
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) return Error{first.path + ": " + nth(i, p.count) + " is missing: expected " + path};
    LUMEN_TRY(part, read(path));
    LUMEN_CHECK(check_part(part, p, i));
    for (CheckpointTensor& t : part.tensors) {
      auto [have, fresh] = part_with.emplace(t.name, i);
      if (!fresh)
        return Error{path + ": tensor " + quoted(t.name) + ": expected it in one part only, found it in " + *name +
                     ending(have->second, p.count) + " too"};
      first.tensors.push_back(std::move(t));
    }
    first.file_size += part.file_size;
    for (MappedFile& f : part.files) first.files.push_back(std::move(f));
  }
  if (p.tensors && static_cast<int64_t>(first.tensors.size()) != *p.tensors)
    return Error{first.path + ": the " + std::to_string(p.count) + " parts have " + std::to_string(first.tensors.size()) +
                 " tensors: expected " + std::to_string(*p.tensors) + ", by metadata key 'split.tensors.count'"};
  return first;
}

}  // namespace lumen
