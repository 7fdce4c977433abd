// Packs JSON values into the byte form that MetaValue reads.
#include "checkpoint/json_metadata.h"

#include <algorithm>
#include <cstring>

namespace lumen {
namespace {

constexpr size_t kMaxValues = 1 << 20;

template <class T>
void put(std::string& to, T v) {
  to.append(reinterpret_cast<const char*>(&v), sizeof v);
}

bool all(std::span<const Json> items, Json::Kind kind) {
  return std::all_of(items.begin(), items.end(), [&](const Json& j) { return j.is(kind); });
}

// The type that holds every element of an array; nullopt: there is none.
std::optional<MetaType> element_type(std::span<const Json> items) {
  if (all(items, Json::Kind::Int)) return MetaType::I64;
  if (all(items, Json::Kind::String)) return MetaType::String;
  if (all(items, Json::Kind::Bool)) return MetaType::Bool;
  if (std::all_of(items.begin(), items.end(), [](const Json& j) { return j.is_number(); })) return MetaType::F64;
  return std::nullopt;
}

void pack(const Json& j, MetaType type, std::string& to) {
  switch (type) {
    case MetaType::I64:
      return put(to, j.as_int());
    case MetaType::F64:
      return put(to, j.as_double());
    case MetaType::Bool:
      return put(to, static_cast<uint8_t>(j.as_bool()));
    default:
      to += j.as_string();
  }
}

class Flattener {
 public:
  Flattener(MetaStorage& storage, std::vector<MetaEntry>& out) : storage_(storage), out_(out) {}

  void object(const Json& o, const std::string& prefix) {
    std::span<const JsonMember> members = o.members();
    for (const JsonMember& m : members)
      if (!m.key.empty() && o.find(m.key) == &m.value) value(m.value, prefix + std::string(m.key));  // of equal keys the last
  }
  bool full() const { return out_.size() > kMaxValues; }

 private:
  void value(const Json& j, const std::string& key) {
    if (full()) return;
    switch (j.kind()) {
      case Json::Kind::Null:
        return;
      case Json::Kind::Object:
        return object(j, key + ".");
      case Json::Kind::Array:
        return array(j.items(), key);
      case Json::Kind::Bool:
        return scalar(j, MetaType::Bool, key);
      case Json::Kind::Int:
        return scalar(j, MetaType::I64, key);
      case Json::Kind::Float:
        return scalar(j, MetaType::F64, key);
      case Json::Kind::String:
        return scalar(j, MetaType::String, key);
    }
  }

  MetaValue& entry(const std::string& key, std::string packed) {
    storage_.push_back(key);
    std::string_view kept_key = storage_.back();
    storage_.push_back(std::move(packed));
    const std::string& bytes = storage_.back();
    out_.push_back({kept_key, {}});
    MetaValue& v = out_.back().value;
    v.data = reinterpret_cast<const uint8_t*>(bytes.data());
    v.size = bytes.size();
    return v;
  }

  void scalar(const Json& j, MetaType type, const std::string& key) {
    std::string bytes;
    pack(j, type, bytes);
    MetaValue& v = entry(key, std::move(bytes));
    v.type = type;
    v.count = type == MetaType::String ? v.size : 1;
  }

  void array(std::span<const Json> items, const std::string& key) {
    if (all(items, Json::Kind::Object) && !items.empty()) {
      for (size_t i = 0; i < items.size() && !full(); ++i) object(items[i], key + "." + std::to_string(i) + ".");
      return;
    }
    std::optional<MetaType> type = element_type(items);
    if (!type) return;
    std::string bytes;
    for (const Json& j : items) {
      if (*type == MetaType::String) put(bytes, static_cast<uint64_t>(j.as_string().size()));
      pack(j, *type, bytes);
    }
    MetaValue& v = entry(key, std::move(bytes));
    v.type = MetaType::Array;
    v.element = *type;
    v.count = items.size();
  }

  MetaStorage& storage_;
  std::vector<MetaEntry>& out_;
};

}  // namespace

Status append_metadata(const Json& object, const std::string& prefix, MetaStorage& storage, std::vector<MetaEntry>& out) {
  Flattener f(storage, out);
  f.object(object, prefix);
  if (f.full()) return Error{"expected at most " + std::to_string(kMaxValues) + " values"};
  return ok_status();
}

}  // namespace lumen
