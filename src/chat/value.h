// Value: what a template computes with: undefined, none, bool, int64, double, UTF-8 string, list, dict, object.
// Invariants: lists and dicts are shared and never change once a Value holds them (namespaces are the only mutable thing a
// template has), so there are no cycles through them; every container knows how deep it is, so that whoever recurses can refuse.
#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace lumen::chat {

class Value;
class Dict;
struct List;

enum class Kind : uint8_t { Undefined, None, Bool, Int, Float, String, List, Dict, Object };

// Python's sequence types, which print, compare and test differently. Iterator is consumed once; View is what dict.items() gives.
enum class ListKind : uint8_t { List, Tuple, Group, Range, Iterator, View };

enum class ObjectKind : uint8_t { Namespace, Macro, Function, Method, Loop, Cycler, Joiner };

struct Object {
  explicit Object(ObjectKind k) : kind(k) {}
  virtual ~Object() = default;
  ObjectKind kind;
  uint32_t depth = 1;  // 1 + the depth of what it holds
};

class Value {
 public:
  using ListPtr = std::shared_ptr<const List>;
  using DictPtr = std::shared_ptr<const Dict>;
  using ObjectPtr = std::shared_ptr<Object>;

  Value() = default;  // undefined
  Value(std::nullptr_t) : v_(None{}) {}
  Value(bool b) : v_(b) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Value(T i) : v_(static_cast<int64_t>(i)) {}
  Value(double d) : v_(d) {}
  Value(std::string s) : v_(std::make_shared<const std::string>(std::move(s))) {}
  Value(std::string_view s) : Value(std::string(s)) {}
  Value(const char* s) : Value(std::string(s)) {}
  Value(ListPtr list) : v_(std::move(list)) {}
  Value(DictPtr dict) : v_(std::move(dict)) {}
  Value(ObjectPtr object) : v_(std::move(object)) {}

  static Value undefined(std::string why);  // `why` is the error when the value is used, e.g. "'x' is undefined"
  // A string marked as HTML by the filters `safe` and `escape`: '+' escapes what it joins to such a string, as markupsafe does.
  // Strings made from it by strip, case or repetition keep the mark; other operations drop it.
  static Value markup(std::string text);
  Value like(const Value& origin) &&;  // marked if `origin` is
  static Value list(std::vector<Value> items, ListKind kind = ListKind::List);
  static Value dict(std::vector<std::pair<Value, Value>> entries);  // a later key replaces an earlier one

  Kind kind() const { return static_cast<Kind>(v_.index()); }
  bool is(Kind k) const { return kind() == k; }
  bool is_undefined() const { return is(Kind::Undefined); }
  bool is_none() const { return is(Kind::None); }
  bool is_string() const { return is(Kind::String); }
  bool is_markup() const { return markup_; }
  bool is_list() const { return is(Kind::List); }
  bool is_dict() const { return is(Kind::Dict); }
  bool is_object(ObjectKind k) const { return is(Kind::Object) && as_object().kind == k; }

  // Each of these needs its kind.
  bool as_bool() const { return std::get<bool>(v_); }
  int64_t as_int() const { return std::get<int64_t>(v_); }
  double as_float() const { return std::get<double>(v_); }
  const std::string& as_string() const { return *std::get<std::shared_ptr<const std::string>>(v_); }
  const List& as_list() const { return *std::get<ListPtr>(v_); }
  const ListPtr& list_ptr() const { return std::get<ListPtr>(v_); }
  const Dict& as_dict() const { return *std::get<DictPtr>(v_); }
  Object& as_object() const { return *std::get<ObjectPtr>(v_); }
  const ObjectPtr& object_ptr() const { return std::get<ObjectPtr>(v_); }
  const void* address() const;  // identity of a shared value; null for scalars
  std::string undefined_message() const;
  uint32_t depth() const;                        // 0 for scalars, else 1 + the deepest child
  const Value* get(std::string_view key) const;  // a dict's entry; null when there is none or this is no dict

 private:
  struct Undef {
    std::shared_ptr<const std::string> why;
  };
  struct None {};
  // In the order of Kind.
  std::variant<Undef, None, bool, int64_t, double, std::shared_ptr<const std::string>, ListPtr, DictPtr, ObjectPtr> v_;
  bool markup_ = false;
};

struct List {
  List(std::vector<Value> values, ListKind k);
  std::vector<Value> items;
  ListKind kind;
  uint32_t depth;
  mutable size_t next = 0;  // Iterator only: the first item not yet consumed
};

// Insertion-ordered. Keys are scalars or flat tuples of at most kMaxTupleKey scalars; 1, 1.0 and true are one key, as in Python.
class Dict {
 public:
  static constexpr size_t kMaxTupleKey = 64;
  static bool can_be_key(const Value& key);

  void set(Value key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const Value* find(const std::string& key) const { return find(std::string_view(key)); }
  const Value* find(const char* key) const { return find(std::string_view(key)); }
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  uint32_t depth() const { return depth_; }

 private:
  template <class Match>
  const std::pair<Value, Value>* lookup(size_t hash, const Match& match) const;
  void insert(size_t hash, uint32_t at);

  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_multimap<size_t, uint32_t> index_;  // hash -> entry; empty while the dict is small
  uint32_t depth_ = 1;
};

size_t hash_key(const Value& key);                  // key must satisfy Dict::can_be_key
bool same_key(const Value& a, const Value& b);      // the same
bool number_equal(const Value& a, const Value& b);  // both bool, int or float
inline bool is_number(const Value& v) { return v.is(Kind::Bool) || v.is(Kind::Int) || v.is(Kind::Float); }
inline bool is_integer(const Value& v) { return v.is(Kind::Bool) || v.is(Kind::Int); }
inline int64_t integer_of(const Value& v) { return v.is(Kind::Bool) ? v.as_bool() : v.as_int(); }  // needs is_integer
inline double number_of(const Value& v) { return v.is(Kind::Float) ? v.as_float() : static_cast<double>(integer_of(v)); }

}  // namespace lumen::chat
