// Attributes, items, slices and calls, by the rules of Jinja's sandbox: no name with two leading underscores, nothing that mutates.
#include <algorithm>
#include <array>
#include <cmath>

#include "chat/interp.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

constexpr int64_t kMaxRange = 100000;  // items; the limit of Jinja's sandbox
constexpr size_t kMaxTimeText = 4096;  // bytes

// What a dict or list could do to itself in Python, and a template must not.
bool is_mutation(const Value& v, std::string_view name) {
  static constexpr std::string_view kList[] = {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (v.is_dict()) return std::find(std::begin(kDict), std::end(kDict), name) != std::end(kDict);
  return v.is_list() && v.as_list().kind == ListKind::List && std::find(std::begin(kList), std::end(kList), name) != std::end(kList);
}

bool is_indexable(const Value& v) { return v.is_string() || (v.is_list() && v.as_list().kind <= ListKind::Range); }

}  // namespace

Bound::Bound(Interp& in, std::string_view what, const Args& args, std::initializer_list<std::string_view> names, size_t required)
    : in_(in), what_(what), values_(std::max(names.size(), args.positional.size())) {
  auto refuse = [&](const std::string& why) {
    if (ok_) in.fail(std::string(what) + " " + why);
    ok_ = false;
  };
  if (args.positional.size() > names.size()) {
    refuse("takes at most " + std::to_string(names.size()) + " arguments, not " + std::to_string(args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.keyword) {
    auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      refuse("takes no argument '" + name + "'");
    } else if (auto& slot = values_[static_cast<size_t>(at - names.begin())]; slot) {
      refuse("got its argument '" + name + "' twice");
    } else {
      slot = &value;
    }
  }
  for (size_t i = 0; i < required && ok_; ++i) {
    if (!values_[i]) refuse("needs an argument '" + std::string(names.begin()[i]) + "'");
  }
}

int64_t Bound::integer(size_t i, int64_t otherwise) {
  if (!values_[i]) return otherwise;
  if (is_integer(*values_[i])) return integer_of(*values_[i]);
  in_.fail(std::string(what_) + " needs an int, not " + type_name(*values_[i]));
  ok_ = false;
  return otherwise;
}

std::string Bound::text(size_t i, const std::string& otherwise) { return values_[i] ? str(*values_[i], in_.budget) : otherwise; }

Value Interp::get_attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) return fail(object.undefined_message());
  if (name.starts_with("__") && !object.get(name)) return fail("access to attribute '" + name + "' is not allowed");
  if (has_method(object, name)) return Value(std::make_shared<Method>(object, name));
  if (is_mutation(object, name)) {
    return Value::undefined("'" + name + "' would change a " + type_name(object) + ", which a template must not");
  }
  if (const Value* entry = object.get(name)) return *entry;
  if (object.is(Kind::Object)) {
    switch (object.as_object().kind) {
      case ObjectKind::Namespace:
        if (const Value* v = static_cast<Namespace&>(object.as_object()).attributes.find(name)) return *v;
        break;
      case ObjectKind::Loop:
        return loop_attribute(static_cast<Loop&>(object.as_object()), name);
      case ObjectKind::Cycler:
        if (auto& cycler = static_cast<Cycler&>(object.as_object()); name == "current") return cycler.items[cycler.at];
        break;
      case ObjectKind::Macro:
        if (name == "name") return static_cast<Macro&>(object.as_object()).statement->text;
        break;
      default:
        break;
    }
  }
  if (object.is_list() && object.as_list().kind == ListKind::Group && (name == "grouper" || name == "list")) {
    return object.as_list().items[name == "list"];
  }
  return Value::undefined("'" + object_text(object) + "' has no attribute '" + name + "'");
}

Value Interp::loop_attribute(const Loop& loop, const std::string& name) {
  auto index = static_cast<int64_t>(loop.index), length = static_cast<int64_t>(loop.items->items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 >= length;
  if (name == "length") return length;
  if (name == "depth") return 1;
  if (name == "depth0") return 0;
  if (name == "previtem") return index > 0 ? loop.items->items[loop.index - 1] : Value::undefined("there is no previous item");
  if (name == "nextitem") return index + 1 < length ? loop.items->items[loop.index + 1] : Value::undefined("there is no next item");
  return Value::undefined("'loop' has no attribute '" + name + "'");
}

Value Interp::get_item(const Value& object, const Value& key) {
  if (object.is_undefined()) return fail(object.undefined_message());
  if (object.is_dict()) {
    if (!Dict::can_be_key(key) && !key.is_undefined()) return Value::undefined("a " + type_name(key) + " cannot be a dict's key");
    if (const Value* v = object.as_dict().find(key)) return *v;
  }
  if (is_indexable(object) && is_integer(key)) {
    int64_t index = integer_of(key), n = length(object, budget);
    if (index < 0) index += n;
    if (index < 0 || index >= n) return Value::undefined(object_text(object) + " has no element " + std::to_string(integer_of(key)));
    if (object.is_list()) return object.as_list().items[static_cast<size_t>(index)];
    if (!budget.spend(1 + object.as_string().size() / 32)) return {};
    std::string_view rest = std::string_view(object.as_string()).substr(rune_offset(object.as_string(), static_cast<size_t>(index)));
    return next_rune(rest);
  }
  if (key.is_string()) return get_attribute(object, key.as_string());
  return Value::undefined(object_text(object) + " has no element " + repr(key, budget));
}

Value Interp::get_slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined()) return fail(object.undefined_message());
  if (!is_indexable(object)) return fail("a " + type_name(object) + " cannot be sliced");
  for (const Value* v : {&start, &stop, &step}) {
    if (!v->is_none() && !is_integer(*v)) return fail("a slice needs ints, not " + type_name(*v));
  }
  int64_t by = step.is_none() ? 1 : integer_of(step), n = length(object, budget);
  if (by == 0) return fail("a slice's step must not be 0");
  // As Python's slice.indices: bounds are clamped to what the direction can reach.
  auto clamp = [&](const Value& v, int64_t otherwise) {
    if (v.is_none()) return otherwise;
    int64_t i = integer_of(v);
    if (i < 0) i = i < -n ? -1 : i + n;
    return by > 0 ? std::clamp<int64_t>(i, 0, n) : std::clamp<int64_t>(i, -1, n - 1);
  };
  int64_t from = clamp(start, by > 0 ? 0 : n - 1), to = clamp(stop, by > 0 ? n : -1);
  by = std::clamp<int64_t>(by, -n - 1, n + 1);
  if (!budget.spend(1 + (object.is_string() ? object.as_string().size() / 32 : 0))) return {};
  if (object.is_string()) {
    const std::string& s = object.as_string();
    if (by == 1) {
      if (from >= to) return "";
      size_t begin = rune_offset(s, static_cast<size_t>(from));
      std::string_view rest = std::string_view(s).substr(begin);
      return make_text(std::string(rest.substr(0, rune_offset(rest, static_cast<size_t>(to - from)))), budget);
    }
    if (!budget.text(s.size() * 4)) return {};
    std::vector<uint32_t> runes = to_runes(s);
    std::string out;
    for (int64_t i = from; by > 0 ? i < to : i > to; i += by) append_rune(out, runes[static_cast<size_t>(i)]);
    return out;
  }
  std::vector<Value> items;
  for (int64_t i = from; (by > 0 ? i < to : i > to) && budget.spend(); i += by)
    items.push_back(object.as_list().items[static_cast<size_t>(i)]);
  ListKind kind = object.as_list().kind;
  return make_list(std::move(items), kind == ListKind::Group ? ListKind::Tuple : kind, budget);
}

Value Interp::call(const Value& callee, const Args& args) {
  DepthGuard guard(budget);
  if (!guard || !budget.spend()) return {};
  if (callee.is_undefined()) return fail(callee.undefined_message());
  if (!callee.is(Kind::Object)) return fail("a " + type_name(callee) + " cannot be called");
  Object& object = callee.as_object();
  switch (object.kind) {
    case ObjectKind::Macro:
      return call_macro(static_cast<Macro&>(object), args);
    case ObjectKind::Function:
      return call_global(static_cast<Function&>(object).global, args);
    case ObjectKind::Method:
      return call_method(static_cast<Method&>(object).self, static_cast<Method&>(object).name, args);
    case ObjectKind::Joiner: {
      auto& joiner = static_cast<Joiner&>(object);
      return std::exchange(joiner.used, true) ? Value(joiner.separator) : Value("");
    }
    case ObjectKind::Loop:
      return fail("recursive loops are not supported");
    default:
      return fail("a " + type_name(callee) + " cannot be called");
  }
}

Value Interp::call_global(Global g, const Args& args) {
  switch (g) {
    case Global::RaiseException: {
      Bound b(*this, "raise_exception", args, {"message"}, 1);
      return b.ok() ? fail("the template refuses this conversation: " + b.text(0, "")) : Value();
    }
    case Global::StrftimeNow: {
      Bound b(*this, "strftime_now", args, {"format"}, 1);
      return b.ok() ? strftime_now(b.text(0, "")) : Value();
    }
    case Global::Range: {
      Bound b(*this, "range", args, {"start", "stop", "step"}, 1);
      if (!b.ok()) return {};
      int64_t start = b[1] ? b.integer(0, 0) : 0, stop = b[1] ? b.integer(1, 0) : b.integer(0, 0), step = b.integer(2, 1);
      if (step == 0) return fail("range's step must not be 0");
      std::vector<Value> items;
      for (int64_t i = start; b.ok() && (step > 0 ? i < stop : i > stop) && budget.spend();) {
        if (static_cast<int64_t>(items.size()) == kMaxRange) return fail("a range has more than " + std::to_string(kMaxRange) + " items");
        items.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
      }
      return make_list(std::move(items), ListKind::Range, budget);
    }
    case Global::Namespace:
      return new_namespace(args);
    case Global::Dict:
      return dict_from("dict", args);
    case Global::Cycler: {
      if (args.positional.empty() || !args.keyword.empty()) return fail("cycler needs at least one item, and no keywords");
      auto cycler = std::make_shared<Cycler>(args.positional);
      for (const Value& v : args.positional) cycler->depth = std::max(cycler->depth, v.depth() + 1);
      if (cycler->depth > budget.limits().max_value_depth) return fail("cyclers are nested too deeply");
      return Value(Value::ObjectPtr(cycler));
    }
    case Global::Joiner: {
      Bound b(*this, "joiner", args, {"sep"});
      return b.ok() ? Value(std::make_shared<Joiner>(b.text(0, ", "))) : Value();
    }
  }
  return {};
}

// dict(mapping or pairs, name=value…)
Value Interp::dict_from(const char* what, const Args& args) {
  auto dict = std::make_shared<Dict>();
  if (args.positional.size() > 1) return fail(std::string(what) + " takes at most one positional argument");
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is_undefined()) return fail(from.undefined_message());
    if (from.is_dict()) {
      for (const auto& [key, value] : from.as_dict().entries()) set_entry(*dict, key, value, budget);
    } else {
      Value::ListPtr pairs = iterate(from, budget);
      for (size_t i = 0; pairs && i < pairs->items.size() && ok(); ++i) {
        Value::ListPtr pair = iterate(pairs->items[i], budget);
        if (!pair) return {};
        if (pair->items.size() != 2) return fail(std::string(what) + " needs pairs of a key and a value");
        set_entry(*dict, pair->items[0], pair->items[1], budget);
      }
    }
  }
  for (const auto& [name, value] : args.keyword) set_entry(*dict, name, value, budget);
  return make_dict(std::move(dict), budget);
}

Value Interp::new_namespace(const Args& args) {
  Value attributes = dict_from("namespace", args);
  if (!ok()) return {};
  for (const auto& [key, value] : attributes.as_dict().entries()) {
    if (key.is_string() && key.as_string().starts_with("_"))
      return fail("a namespace's attribute must not begin with '_': '" + key.as_string() + "'");
  }
  auto space = std::make_shared<Namespace>();
  space->attributes = attributes.as_dict();
  budget.spend(8);
  namespaces_.push_back(space);
  return Value(Value::ObjectPtr(space));
}

Value Interp::strftime_now(const std::string& format) {
  static constexpr std::string_view kKnown = "aAbBcdDeFgGhHIjklmMnprRStTuUVwWxXyYzZC%";
  std::tm now{};
  if (now_) {
    now = *now_;
  } else {
    std::time_t seconds = std::time(nullptr);
    localtime_r(&seconds, &now);
  }
  std::string out;
  for (size_t i = 0; i < format.size() && budget.spend(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    std::string conversion = "%";
    if (format[i + 1] == '-' && i + 2 < format.size()) conversion += format[++i];  // no padding
    char kind = format[++i];
    if (kind == 'f') {
      out += "000000";  // microseconds
    } else if (kKnown.find(kind) == std::string_view::npos) {
      out += conversion + kind;
    } else {
      char buffer[128];
      out.append(buffer, std::strftime(buffer, sizeof buffer, (conversion + kind).c_str(), &now));
    }
    if (out.size() > kMaxTimeText) return fail("strftime_now's text is longer than " + std::to_string(kMaxTimeText) + " bytes");
  }
  return out;
}

}  // namespace lumen::chat
