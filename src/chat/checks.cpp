// What stands behind 'is': Jinja's tests.
#include <unordered_map>

#include "chat/filters.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

using TestFn = bool (*)(Interp& in, const Value& v, const Args& args);

// A test without arguments.
template <bool (*F)(const Value&)>
bool plain(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "this test", args, {});
  return b.ok() && F(v);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::Bool); }
bool is_true(const Value& v) { return v.is(Kind::Bool) && v.as_bool(); }
bool is_false(const Value& v) { return v.is(Kind::Bool) && !v.as_bool(); }
bool is_int(const Value& v) { return v.is(Kind::Int); }
bool is_float(const Value& v) { return v.is(Kind::Float); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is_dict(); }
bool is_sequence(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_dict() || (v.is_list() && v.as_list().kind <= ListKind::Range);
}
bool is_callable(const Value& v) {
  return v.is_undefined() || (v.is(Kind::Object) && !v.is_object(ObjectKind::Namespace) && !v.is_object(ObjectKind::Cycler));
}
bool is_escaped(const Value&) { return false; }

template <Op O>
bool comparison(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "this test", args, {"other"}, 1);
  return b.ok() && compare(O, v, *b[0], in.budget);
}

bool in_test(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "in", args, {"seq"}, 1);
  return b.ok() && contains(*b[0], v, in.budget);
}

bool sameas_test(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "sameas", args, {"other"}, 1);
  return b.ok() && same(v, *b[0]);
}

bool remainder_is(Interp& in, const Value& v, const Value& by, int64_t rest) {
  if (v.is_string()) return in.fail("this test needs a number, not str"), false;
  Value r = arithmetic(Op::Mod, v, by, in.budget);
  return in.ok() && equal(r, rest, in.budget);
}

template <int Rest>
bool parity(Interp& in, const Value& v, const Args& args) {
  Bound b(in, Rest ? "odd" : "even", args, {});
  return b.ok() && remainder_is(in, v, 2, Rest);
}

bool divisibleby_test(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "divisibleby", args, {"num"}, 1);
  return b.ok() && remainder_is(in, v, *b[0], 0);
}

template <bool Upper>
bool case_test(Interp& in, const Value& v, const Args& args) {
  Value answer = in.call_method(Value(str(v, in.budget)), Upper ? "isupper" : "islower", args);
  return in.ok() && truthy(answer);
}

bool filter_test(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "filter", args, {});
  return b.ok() && v.is_string() && is_filter(v.as_string());
}

bool test_test(Interp& in, const Value& v, const Args& args) {
  Bound b(in, "test", args, {});
  return b.ok() && v.is_string() && is_test(v.as_string());
}

const std::unordered_map<std::string_view, TestFn>& tests() {
  static const std::unordered_map<std::string_view, TestFn> table = {{"defined", plain<is_defined>},
                                                                     {"undefined", plain<is_undefined>},
                                                                     {"none", plain<is_none>},
                                                                     {"boolean", plain<is_boolean>},
                                                                     {"true", plain<is_true>},
                                                                     {"false", plain<is_false>},
                                                                     {"integer", plain<is_int>},
                                                                     {"float", plain<is_float>},
                                                                     {"number", plain<is_number>},
                                                                     {"string", plain<is_string>},
                                                                     {"mapping", plain<is_mapping>},
                                                                     {"sequence", plain<is_sequence>},
                                                                     {"iterable", plain<is_iterable>},
                                                                     {"callable", plain<is_callable>},
                                                                     {"escaped", plain<is_escaped>},
                                                                     {"lower", case_test<false>},
                                                                     {"upper", case_test<true>},
                                                                     {"odd", parity<1>},
                                                                     {"even", parity<0>},
                                                                     {"divisibleby", divisibleby_test},
                                                                     {"in", in_test},
                                                                     {"sameas", sameas_test},
                                                                     {"filter", filter_test},
                                                                     {"test", test_test},
                                                                     {"==", comparison<Op::Eq>},
                                                                     {"eq", comparison<Op::Eq>},
                                                                     {"equalto", comparison<Op::Eq>},
                                                                     {"!=", comparison<Op::Ne>},
                                                                     {"ne", comparison<Op::Ne>},
                                                                     {"<", comparison<Op::Lt>},
                                                                     {"lt", comparison<Op::Lt>},
                                                                     {"lessthan", comparison<Op::Lt>},
                                                                     {"<=", comparison<Op::Le>},
                                                                     {"le", comparison<Op::Le>},
                                                                     {">", comparison<Op::Gt>},
                                                                     {"gt", comparison<Op::Gt>},
                                                                     {"greaterthan", comparison<Op::Gt>},
                                                                     {">=", comparison<Op::Ge>},
                                                                     {"ge", comparison<Op::Ge>}};
  return table;
}

}  // namespace

bool is_test(std::string_view name) { return tests().count(name) > 0; }

bool Interp::apply_test(const std::string& name, const Value& input, const Args& args) {
  if (!budget.spend()) return false;
  auto found = tests().find(name);
  if (found == tests().end()) return fail("unknown test '" + name + "'"), false;
  return found->second(*this, input, args);
}

}  // namespace lumen::chat
