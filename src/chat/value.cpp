// Value, List and Dict: construction, identity, dict look-up.
#include "chat/value.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace lumen::chat {
namespace {

constexpr size_t kIndexFrom = 8;  // entries; a smaller dict is searched

size_t mix(size_t h, size_t x) { return (h ^ x) * 0x9E3779B97F4A7C15ull + (h >> 7); }

bool is_scalar(const Value& v) { return v.depth() == 0 && !v.is_undefined(); }

}  // namespace

Value Value::undefined(std::string why) {
  Value v;
  v.v_ = Undef{std::make_shared<const std::string>(std::move(why))};
  return v;
}

Value Value::markup(std::string text) {
  Value v(std::move(text));
  v.markup_ = true;
  return v;
}

Value Value::like(const Value& origin) && {
  markup_ = is_string() && origin.markup_;
  return std::move(*this);
}

Value Value::list(std::vector<Value> items, ListKind kind) { return Value(std::make_shared<const List>(std::move(items), kind)); }

Value Value::dict(std::vector<std::pair<Value, Value>> entries) {
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : entries) dict->set(std::move(key), std::move(value));
  return Value(DictPtr(std::move(dict)));
}

const void* Value::address() const {
  switch (kind()) {
    case Kind::String:
      return &as_string();
    case Kind::List:
      return &as_list();
    case Kind::Dict:
      return &as_dict();
    case Kind::Object:
      return &as_object();
    default:
      return nullptr;
  }
}

std::string Value::undefined_message() const {
  const auto& why = std::get<Undef>(v_).why;
  return why ? *why : "the value is undefined";
}

uint32_t Value::depth() const {
  switch (kind()) {
    case Kind::List:
      return as_list().depth;
    case Kind::Dict:
      return as_dict().depth();
    case Kind::Object:
      return as_object().depth;
    default:
      return 0;
  }
}

const Value* Value::get(std::string_view key) const { return is_dict() ? as_dict().find(key) : nullptr; }

List::List(std::vector<Value> values, ListKind k) : items(std::move(values)), kind(k), depth(1) {
  for (const Value& v : items) depth = std::max(depth, v.depth() + 1);
}

bool Dict::can_be_key(const Value& key) {
  if (is_scalar(key)) return true;
  if (!key.is_list() || key.as_list().kind != ListKind::Tuple || key.as_list().items.size() > kMaxTupleKey) return false;
  return std::all_of(key.as_list().items.begin(), key.as_list().items.end(), is_scalar);
}

bool number_equal(const Value& a, const Value& b) {
  if (is_integer(a) && is_integer(b)) return integer_of(a) == integer_of(b);
  if (is_integer(a)) return number_equal(b, a);
  double x = a.as_float();
  if (!is_integer(b)) return x == b.as_float();
  // Exact: 2^53 + 1 is not equal to 2^53 as a double.
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 && x == std::floor(x) && static_cast<int64_t>(x) == integer_of(b);
}

size_t hash_key(const Value& key) {
  switch (key.kind()) {
    case Kind::String:
      return std::hash<std::string_view>{}(key.as_string());
    case Kind::Bool:
    case Kind::Int:
      return mix(1, static_cast<size_t>(integer_of(key)));
    case Kind::Float: {
      double x = key.as_float();
      bool whole = x >= -9223372036854775808.0 && x < 9223372036854775808.0 && x == std::floor(x);
      return whole ? mix(1, static_cast<size_t>(static_cast<int64_t>(x))) : std::hash<double>{}(x);
    }
    case Kind::List: {
      size_t h = 3;
      for (const Value& v : key.as_list().items) h = mix(h, hash_key(v));
      return h;
    }
    default:
      return 2;
  }
}

bool same_key(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) return number_equal(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.is_string()) return a.as_string() == b.as_string();
  if (a.is_list()) {
    const auto &x = a.as_list().items, &y = b.as_list().items;
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), same_key);
  }
  return a.is_none();
}

template <class Match>
const std::pair<Value, Value>* Dict::lookup(size_t hash, const Match& match) const {
  if (index_.empty()) {
    for (const auto& entry : entries_) {
      if (match(entry.first)) return &entry;
    }
    return nullptr;
  }
  auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (match(entries_[it->second].first)) return &entries_[it->second];
  }
  return nullptr;
}

void Dict::insert(size_t hash, uint32_t at) {
  if (entries_.size() < kIndexFrom) return;
  if (index_.empty()) {
    for (uint32_t i = 0; i < at; ++i) index_.emplace(hash_key(entries_[i].first), i);
  }
  index_.emplace(hash, at);
}

void Dict::set(Value key, Value value) {
  LUMEN_ASSERT(can_be_key(key));
  depth_ = std::max({depth_, key.depth() + 1, value.depth() + 1});
  size_t hash = hash_key(key);
  if (const auto* found = lookup(hash, [&](const Value& k) { return same_key(k, key); })) {
    entries_[found - entries_.data()].second = std::move(value);
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  insert(hash, static_cast<uint32_t>(entries_.size() - 1));
}

const Value* Dict::find(const Value& key) const {
  if (!can_be_key(key)) return nullptr;
  const auto* found = lookup(hash_key(key), [&](const Value& k) { return same_key(k, key); });
  return found ? &found->second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  const auto* found = lookup(std::hash<std::string_view>{}(key), [&](const Value& k) { return k.is_string() && k.as_string() == key; });
  return found ? &found->second : nullptr;
}

}  // namespace lumen::chat
