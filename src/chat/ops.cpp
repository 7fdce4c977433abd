// Python's operators on Values: truth, equality, order, membership, text, iteration.
#include "chat/ops.h"

#include <algorithm>

#include "chat/text.h"

namespace lumen::chat {

std::string type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::Undefined:
      return "Undefined";
    case Kind::None:
      return "NoneType";
    case Kind::Bool:
      return "bool";
    case Kind::Int:
      return "int";
    case Kind::Float:
      return "float";
    case Kind::String:
      return "str";
    case Kind::Dict:
      return "dict";
    case Kind::List:
      switch (v.as_list().kind) {
        case ListKind::List:
          return "list";
        case ListKind::Tuple:
        case ListKind::Group:
          return "tuple";
        case ListKind::Range:
          return "range";
        case ListKind::Iterator:
          return "generator";
        case ListKind::View:
          return "dict_view";
      }
      break;
    case Kind::Object:
      break;
  }
  static const char* names[] = {"Namespace", "Macro", "function", "method", "LoopContext", "Cycler", "Joiner"};
  return names[static_cast<int>(v.as_object().kind)];
}

std::string object_text(const Value& v) { return v.is_none() ? "None" : type_name(v) + " object"; }

bool truthy(const Value& v) {
  switch (v.kind()) {
    case Kind::Undefined:
    case Kind::None:
      return false;
    case Kind::Bool:
      return v.as_bool();
    case Kind::Int:
      return v.as_int() != 0;
    case Kind::Float:
      return v.as_float() != 0;
    case Kind::String:
      return !v.as_string().empty();
    case Kind::List:
      return v.as_list().kind == ListKind::Iterator || !v.as_list().items.empty();
    case Kind::Dict:
      return v.as_dict().size() > 0;
    case Kind::Object:
      return true;
  }
  return false;
}

static bool same_sequence_type(ListKind a, ListKind b) {
  auto base = [](ListKind k) { return k == ListKind::Group ? ListKind::Tuple : k; };
  return base(a) == base(b) && a != ListKind::Iterator && a != ListKind::View;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  if (is_number(a) && is_number(b)) return number_equal(a, b);
  if (a.kind() != b.kind()) return false;
  if (a.address() && a.address() == b.address()) return true;
  switch (a.kind()) {
    case Kind::String:
      return budget.spend(1 + std::min(a.as_string().size(), b.as_string().size()) / 256) && a.as_string() == b.as_string();
    case Kind::List: {
      const List &x = a.as_list(), &y = b.as_list();
      DepthGuard guard(budget);
      if (!guard || !same_sequence_type(x.kind, y.kind) || x.items.size() != y.items.size()) return false;
      for (size_t i = 0; i < x.items.size(); ++i) {
        if (!budget.spend() || !equal(x.items[i], y.items[i], budget)) return false;
      }
      return true;
    }
    case Kind::Dict: {
      DepthGuard guard(budget);
      if (!guard || a.as_dict().size() != b.as_dict().size()) return false;
      for (const auto& [key, value] : a.as_dict().entries()) {
        const Value* other = b.as_dict().find(key);
        if (!budget.spend() || !other || !equal(value, *other, budget)) return false;
      }
      return true;
    }
    case Kind::Object:
      return false;
    default:
      return true;  // none, undefined
  }
}

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.address()) return a.address() == b.address() || (a.is_string() && a.as_string() == b.as_string());
  return !is_number(a) || number_equal(a, b);
}

bool less(const Value& a, const Value& b, Budget& budget, const char* sign) {
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) return budget.fail(v->undefined_message()), false;
  }
  if (is_integer(a) && is_integer(b)) return integer_of(a) < integer_of(b);
  if (is_number(a) && is_number(b))
    return static_cast<long double>(a.is(Kind::Float) ? a.as_float() : static_cast<long double>(integer_of(a))) <
           static_cast<long double>(b.is(Kind::Float) ? b.as_float() : static_cast<long double>(integer_of(b)));
  if (a.is_string() && b.is_string()) {
    return budget.spend(1 + std::min(a.as_string().size(), b.as_string().size()) / 256) && a.as_string() < b.as_string();
  }
  if (a.is_list() && b.is_list() && same_sequence_type(a.as_list().kind, b.as_list().kind) && a.as_list().kind != ListKind::Range) {
    DepthGuard guard(budget);
    const auto &x = a.as_list().items, &y = b.as_list().items;
    for (size_t i = 0; guard && i < x.size() && i < y.size(); ++i) {
      if (!budget.spend()) return false;
      if (!equal(x[i], y[i], budget)) return less(x[i], y[i], budget, sign);
    }
    return x.size() < y.size();
  }
  budget.fail(std::string("'") + sign + "' not supported between " + type_name(a) + " and " + type_name(b));
  return false;
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  switch (container.kind()) {
    case Kind::Undefined:
      return false;
    case Kind::String:
      if (item.is_string()) {
        return budget.spend(1 + container.as_string().size() / 64) && container.as_string().find(item.as_string()) != std::string::npos;
      }
      budget.fail(item.is_undefined() ? item.undefined_message() : "'in' on a str needs a str, not " + type_name(item));
      return false;
    case Kind::Dict:
      if (!Dict::can_be_key(item) && !item.is_undefined()) budget.fail("a " + type_name(item) + " cannot be a dict's key");
      return container.as_dict().find(item) != nullptr;
    case Kind::List: {
      const List& list = container.as_list();
      size_t i = list.kind == ListKind::Iterator ? list.next : 0;
      bool found = false;
      while (!found && i < list.items.size() && budget.spend()) found = equal(list.items[i++], item, budget);
      if (list.kind == ListKind::Iterator) list.next = i;
      return found;
    }
    default:
      budget.fail("'in' needs a list, dict or str on its right, not " + type_name(container));
      return false;
  }
}

const char* sign_of(Op op) {
  static const char* signs[] = {"+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return signs[static_cast<int>(op)];
}

bool compare(Op op, const Value& a, const Value& b, Budget& budget) {
  switch (op) {
    case Op::Eq:
      return equal(a, b, budget);
    case Op::Ne:
      return !equal(a, b, budget);
    case Op::Lt:
      return less(a, b, budget, "<");
    case Op::Gt:
      return less(b, a, budget, ">");
    // a <= b is not (b < a) only where there is no NaN.
    case Op::Le:
      return less(a, b, budget, "<=") || (budget.ok() && equal(a, b, budget));
    case Op::Ge:
      return less(b, a, budget, ">=") || (budget.ok() && equal(a, b, budget));
    case Op::In:
      return contains(b, a, budget);
    default:
      return !contains(b, a, budget);
  }
}

namespace {

struct Printer {
  std::string out;
  Budget& budget;

  void put(std::string_view text) {
    if (out.size() + text.size() > budget.limits().max_text) {
      budget.text(out.size() + text.size());
    } else if (budget.spend(1 + text.size() / 32)) {
      out += text;
    }
  }
  void items(const List& list, const char* open, const char* close) {
    put(open);
    for (size_t i = 0; i < list.items.size() && budget.ok(); ++i) {
      if (i) put(", ");
      print(list.items[i]);
    }
    put(close);
  }
  void print_list(const List& list) {
    switch (list.kind) {
      case ListKind::List:
        return items(list, "[", "]");
      case ListKind::Tuple:
      case ListKind::Group:
        return items(list, "(", list.items.size() == 1 ? ",)" : ")");
      case ListKind::Range:
        if (list.items.empty()) return put("range(0, 0)");
        put("range(" + std::to_string(list.items.front().as_int()) + ", ");
        return put(std::to_string(list.items.back().as_int() + 1) + ")");
      case ListKind::Iterator:
        return put("<generator>");
      case ListKind::View:
        return items(list, "dict_view([", "])");
    }
  }
  void print_dict(const Dict& dict) {
    put("{");
    bool first = true;
    for (const auto& [key, value] : dict.entries()) {
      if (!budget.ok()) return;
      if (!first) put(", ");
      first = false;
      print(key);
      put(": ");
      print(value);
    }
    put("}");
  }
  void print(const Value& v) {
    DepthGuard guard(budget);
    if (!guard) return;
    switch (v.kind()) {
      case Kind::Undefined:
        return put("Undefined");
      case Kind::None:
        return put("None");
      case Kind::Bool:
        return put(v.as_bool() ? "True" : "False");
      case Kind::Int:
        return put(std::to_string(v.as_int()));
      case Kind::Float:
        return put(float_text(v.as_float()));
      case Kind::String:
        return budget.text(v.as_string().size()) ? put(quote(v.as_string())) : void();
      case Kind::List:
        return print_list(v.as_list());
      case Kind::Dict:
        return print_dict(v.as_dict());
      case Kind::Object:
        return put("<" + type_name(v) + ">");
    }
  }
};

}  // namespace

std::string repr(const Value& v, Budget& budget) {
  Printer printer{{}, budget};
  printer.print(v);
  return std::move(printer.out);
}

std::string str(const Value& v, Budget& budget) {
  if (v.is_string()) return budget.text(v.as_string().size()) ? v.as_string() : std::string();
  return v.is_undefined() ? std::string() : repr(v, budget);
}

bool is_iterable(const Value& v) {
  return v.is_undefined() || v.is_string() || v.is_list() || v.is_dict() || v.is_object(ObjectKind::Loop);
}

Value::ListPtr iterate(const Value& v, Budget& budget) {
  std::vector<Value> items;
  switch (v.kind()) {
    case Kind::Undefined:
      break;
    case Kind::String: {
      if (!budget.spend(1 + v.as_string().size())) return nullptr;
      for (std::string_view rest = v.as_string(); !rest.empty();) items.emplace_back(next_rune(rest));
      break;
    }
    case Kind::Dict: {
      if (!budget.spend(1 + v.as_dict().size())) return nullptr;
      for (const auto& entry : v.as_dict().entries()) items.push_back(entry.first);
      break;
    }
    case Kind::List: {
      const List& list = v.as_list();
      if (list.kind != ListKind::Iterator) return v.list_ptr();
      if (!budget.spend(1 + list.items.size() - list.next)) return nullptr;
      items.assign(list.items.begin() + static_cast<ptrdiff_t>(list.next), list.items.end());
      list.next = list.items.size();
      break;
    }
    default:
      budget.fail("a " + type_name(v) + " is not iterable");
      return nullptr;
  }
  return std::make_shared<const List>(std::move(items), ListKind::List);
}

int64_t length(const Value& v, Budget& budget) {
  switch (v.kind()) {
    case Kind::Undefined:
      return 0;
    case Kind::String:
      return budget.spend(1 + v.as_string().size() / 32) ? static_cast<int64_t>(rune_count(v.as_string())) : -1;
    case Kind::Dict:
      return static_cast<int64_t>(v.as_dict().size());
    case Kind::List:
      if (v.as_list().kind != ListKind::Iterator) return static_cast<int64_t>(v.as_list().items.size());
      [[fallthrough]];
    default:
      budget.fail("a " + type_name(v) + " has no length");
      return -1;
  }
}

Value make_list(std::vector<Value> items, ListKind kind, Budget& budget) {
  if (!budget.spend(items.size())) return {};
  Value v = Value::list(std::move(items), kind);
  if (v.depth() > budget.limits().max_value_depth) budget.fail("lists and dicts are nested too deeply");
  return v;
}

Value make_dict(std::shared_ptr<Dict> dict, Budget& budget) {
  if (dict->depth() > budget.limits().max_value_depth) budget.fail("lists and dicts are nested too deeply");
  return budget.ok() ? Value(Value::DictPtr(std::move(dict))) : Value();
}

bool set_entry(Dict& dict, const Value& key, const Value& value, Budget& budget) {
  if (!budget.spend()) return false;
  if (!Dict::can_be_key(key)) return budget.fail("a " + type_name(key) + " cannot be a dict's key"), false;
  dict.set(key, value);
  return true;
}

Value make_text(std::string text, Budget& budget) { return budget.text(text.size()) ? Value(std::move(text)) : Value(); }

}  // namespace lumen::chat
