// Python's operators on Values. Every function spends from the Budget; after a failure the result is meaningless and Budget::ok() false.
#pragma once
#include <compare>
#include <string>

#include "chat/budget.h"
#include "chat/value.h"

namespace lumen::chat {

std::string type_name(const Value& v);    // Python's: "str", "dict", "list"…
std::string object_text(const Value& v);  // as error messages name it: "dict object", "None"

bool truthy(const Value& v);
bool equal(const Value& a, const Value& b, Budget& budget);
bool same(const Value& a, const Value& b);                                          // Python's `is`
bool less(const Value& a, const Value& b, Budget& budget, const char* sign = "<");  // fails on types with no order
bool contains(const Value& container, const Value& item, Budget& budget);

std::string str(const Value& v, Budget& budget);  // str(v): what {{ v }} prints
std::string repr(const Value& v, Budget& budget);
// Calls `use` with str(v), without a copy when v is a string.
template <class Use>
auto with_str(const Value& v, Budget& budget, const Use& use) {
  if (v.is_string()) return use(v.as_string());
  return use(str(v, budget));
}

// The items of anything iterable (characters, keys); null after a failure. Consumes an Iterator.
Value::ListPtr iterate(const Value& v, Budget& budget);
bool is_iterable(const Value& v);
// len(v), or -1 with a failure.
int64_t length(const Value& v, Budget& budget);

enum class Op : uint8_t { Add, Sub, Mul, Div, FloorDiv, Mod, Pow, Eq, Ne, Lt, Le, Gt, Ge, In, NotIn };
const char* sign_of(Op op);
Value arithmetic(Op op, const Value& a, const Value& b, Budget& budget);  // Add … Pow
bool compare(Op op, const Value& a, const Value& b, Budget& budget);      // Eq … NotIn
Value negate(const Value& v, Budget& budget);

// Checked makers of containers: fail when nested deeper than the limits allow.
Value make_list(std::vector<Value> items, ListKind kind, Budget& budget);
Value make_dict(std::shared_ptr<Dict> dict, Budget& budget);
bool set_entry(Dict& dict, const Value& key, const Value& value, Budget& budget);  // fails on an unhashable key
Value make_text(std::string text, Budget& budget);

}  // namespace lumen::chat
