// Filters on lists, dicts and other iterables; the filter dispatch.
#include <algorithm>
#include <unordered_set>

#include "chat/filters.h"
#include "chat/text.h"

namespace lumen::chat {
namespace {

using Items = std::vector<Value>;

// What `attribute=` names: a key, an index, or a path of them with dots.
class AttributePath {
 public:
  AttributePath(Interp& in, const Value* attribute) : in_(in) {
    if (!attribute || attribute->is_none()) return;
    if (!attribute->is_string()) {
      parts_.push_back(*attribute);
      return;
    }
    for (std::string_view part : split(attribute->as_string(), ".", -1)) {
      bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string_view::npos;
      parts_.push_back(number ? Value(static_cast<int64_t>(std::stol(std::string(part)))) : Value(part));
    }
  }
  Value of(Value item, const Value* otherwise = nullptr) const {
    for (const Value& part : parts_) {
      if (!in_.ok()) return {};
      item = in_.get_item(item, part);
      if (otherwise && !otherwise->is_none() && item.is_undefined()) item = *otherwise;
    }
    return item;
  }

 private:
  Interp& in_;
  Items parts_;
};

Value fold_case(Interp& in, const Value& v) {
  return v.is_string() && in.budget.text(v.as_string().size()) ? Value(lower(v.as_string())) : v;
}

Value lazy(Interp& in, Items items) { return make_list(std::move(items), ListKind::Iterator, in.budget); }

Value length_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "length", args, {});
  return b.ok() ? Value(length(input, in.budget)) : Value();
}

Value list_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "list", args, {});
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  return items ? make_list(items->items, ListKind::List, in.budget) : Value();
}

Value first_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "first", args, {});
  if (input.is_list() && input.as_list().kind == ListKind::Iterator) {
    const List& list = input.as_list();
    return list.next < list.items.size() ? list.items[list.next++] : Value::undefined("No first item, sequence was empty.");
  }
  if (input.is_string() && !input.as_string().empty()) {
    std::string_view s = input.as_string();
    return next_rune(s);
  }
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  return items && !items->items.empty() ? items->items.front() : Value::undefined("No first item, sequence was empty.");
}

Value last_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "last", args, {});
  if (input.is_list() && input.as_list().kind == ListKind::Iterator)
    return in.fail("last needs a list, not a generator; put '|list' before it");
  if (input.is_string() && !input.as_string().empty()) return last_rune(input.as_string());
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  return items && !items->items.empty() ? items->items.back() : Value::undefined("No last item, sequence was empty.");
}

Value reverse_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "reverse", args, {});
  if (!b.ok()) return {};
  if (input.is_string()) return in.get_slice(input, nullptr, nullptr, -1);
  Value::ListPtr items = iterate(input, in.budget);
  return items ? lazy(in, Items(items->items.rbegin(), items->items.rend())) : Value();
}

Value join_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "join", args, {"d", "attribute"});
  std::string separator = b.text(0, "");
  AttributePath path(in, b[1]);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  std::string out;
  for (size_t i = 0; i < items->items.size() && in.budget.spend(); ++i) {
    if (i) out += separator;
    with_str(path.of(items->items[i]), in.budget, [&](const std::string& s) {
      size_t total = out.size() + s.size();
      if (in.budget.text(total > in.budget.limits().max_text ? total : s.size() + separator.size())) out += s;
    });
  }
  return make_text(std::move(out), in.budget);
}

Value items_filter(Interp& in, const Value& input, const Args& args) {
  if (input.is_undefined()) return lazy(in, {});
  if (!input.is_dict()) return in.fail("items needs a dict, not " + type_name(input));
  Value view = in.call_method(input, "items", args);
  return in.ok() ? lazy(in, view.as_list().items) : Value();
}

// Sorts `items` by their `keys`, stably.
Items sorted(Interp& in, const Items& items, const Items& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (reverse) std::swap(a, b);
    return in.budget.spend() && less(keys[a], keys[b], in.budget);
  });
  Items out;
  for (size_t i : order) out.push_back(items[i]);
  return out;
}

Value sort_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "sort", args, {"reverse", "case_sensitive", "attribute"});
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  std::vector<AttributePath> paths;
  if (b[2] && b[2]->is_string()) {
    for (std::string_view part : split(b[2]->as_string(), ",", -1)) {
      Value name(part);
      paths.emplace_back(in, &name);
    }
  } else {
    paths.emplace_back(in, b[2]);
  }
  Items keys;
  for (const Value& item : items->items) {
    Items key;
    for (const AttributePath& path : paths) key.push_back(b.flag(1, false) ? path.of(item) : fold_case(in, path.of(item)));
    if (!in.budget.spend()) return {};
    keys.push_back(Value::list(std::move(key)));
  }
  return make_list(sorted(in, items->items, keys, b.flag(0, false)), ListKind::List, in.budget);
}

Value dictsort_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "dictsort", args, {"case_sensitive", "by", "reverse"});
  std::string by = b.text(1, "key");
  if (!b.ok()) return {};
  if (!input.is_dict()) return in.fail(input.is_undefined() ? input.undefined_message() : "dictsort needs a dict, not " + type_name(input));
  if (by != "key" && by != "value") return in.fail("dictsort sorts by \"key\" or \"value\"");
  Value view = in.call_method(input, "items", {});
  if (!in.ok()) return {};
  Items keys;
  for (const Value& pair : view.as_list().items) {
    const Value& key = pair.as_list().items[by == "value"];
    keys.push_back(b.flag(0, false) ? key : fold_case(in, key));
  }
  return make_list(sorted(in, view.as_list().items, keys, b.flag(2, false)), ListKind::List, in.budget);
}

Value unique_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "unique", args, {"case_sensitive", "attribute"});
  AttributePath path(in, b[1]);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  Dict seen;
  bool seen_undefined = false;
  Items kept;
  for (const Value& item : items->items) {
    Value key = b.flag(0, false) ? path.of(item) : fold_case(in, path.of(item));
    if (!in.budget.spend()) return {};
    if (key.is_undefined()) {
      if (!std::exchange(seen_undefined, true)) kept.push_back(item);
      continue;
    }
    if (!Dict::can_be_key(key)) return in.fail("unique cannot compare a " + type_name(key));
    if (seen.find(key)) continue;
    seen.set(key, true);
    kept.push_back(item);
  }
  return lazy(in, std::move(kept));
}

template <bool Max>
Value extreme_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, Max ? "max" : "min", args, {"case_sensitive", "attribute"});
  AttributePath path(in, b[1]);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  if (items->items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Value* best = nullptr;
  Value best_key;
  for (const Value& item : items->items) {
    Value key = b.flag(0, false) ? path.of(item) : fold_case(in, path.of(item));
    if (!in.budget.spend()) return {};
    if (best && !(Max ? less(best_key, key, in.budget) : less(key, best_key, in.budget))) continue;
    best = &item;
    best_key = std::move(key);
  }
  return *best;
}

Value sum_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "sum", args, {"attribute", "start"});
  AttributePath path(in, b[0]);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  Value total = b[1] ? *b[1] : Value(0);
  if (total.is_string()) return in.fail("sum does not add strings; use join");
  for (const Value& item : items->items) {
    Value v = path.of(item);
    if (!in.budget.spend()) return {};
    total = arithmetic(Op::Add, total, v, in.budget);
  }
  return total;
}

Value batch_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "batch", args, {"linecount", "fill_with"}, 1);
  int64_t width = b.integer(0, 1);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  if (width < 1) return in.fail("batch needs a count of at least 1");
  Items rows, row;
  auto flush = [&] { rows.push_back(Value::list(std::exchange(row, {}))); };
  for (const Value& item : items->items) {
    if (!in.budget.spend()) return {};
    if (static_cast<int64_t>(row.size()) == width) flush();
    row.push_back(item);
  }
  while (!row.empty() && b[1] && !b[1]->is_none() && static_cast<int64_t>(row.size()) < width && in.budget.spend()) row.push_back(*b[1]);
  if (!row.empty()) flush();
  return lazy(in, std::move(rows));
}

Value slice_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "slice", args, {"slices", "fill_with"}, 1);
  int64_t slices = b.integer(0, 1);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  if (slices < 1) return in.fail("slice needs a count of at least 1");
  int64_t n = static_cast<int64_t>(items->items.size()), each = n / slices, extra = n % slices, at = 0;
  Items rows;
  for (int64_t i = 0; i < slices && in.budget.spend(); ++i) {
    int64_t take = each + (i < extra);
    if (!in.budget.spend(static_cast<uint64_t>(take))) return {};
    Items row(items->items.begin() + at, items->items.begin() + at + take);
    at += take;
    if (i >= extra && b[1] && !b[1]->is_none()) row.push_back(*b[1]);
    rows.push_back(Value::list(std::move(row)));
  }
  return lazy(in, std::move(rows));
}

Value groupby_filter(Interp& in, const Value& input, const Args& args) {
  Bound b(in, "groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  AttributePath path(in, b[0]);
  Value::ListPtr items = b.ok() ? iterate(input, in.budget) : nullptr;
  if (!items) return {};
  Items keys, pairs;
  for (const Value& item : items->items) {
    Value key = path.of(item, b[1]);
    if (!in.budget.spend()) return {};
    keys.push_back(b.flag(2, false) ? key : fold_case(in, key));
    pairs.push_back(Value::list({keys.back(), item, key}));
  }
  pairs = sorted(in, pairs, keys, false);
  Items groups;
  for (size_t i = 0; i < pairs.size() && in.ok();) {
    const Items& head = pairs[i].as_list().items;
    Items members;
    for (; i < pairs.size() && in.ok() && equal(pairs[i].as_list().items[0], head[0], in.budget); ++i)
      members.push_back(pairs[i].as_list().items[1]);
    groups.push_back(make_list({head[2], make_list(std::move(members), ListKind::List, in.budget)}, ListKind::Group, in.budget));
  }
  return make_list(std::move(groups), ListKind::List, in.budget);
}

Value map_filter(Interp& in, const Value& input, const Args& args) {
  if (!truthy(input)) return lazy(in, {});  // none, too
  Value::ListPtr items = iterate(input, in.budget);
  if (!items) return {};
  Items out;
  bool by_attribute =
      args.positional.empty() && std::any_of(args.keyword.begin(), args.keyword.end(), [](auto& k) { return k.first == "attribute"; });
  if (by_attribute) {
    Bound b(in, "map", args, {"attribute", "default"}, 1);
    AttributePath path(in, b[0]);
    for (const Value& item : items->items) {
      if (!b.ok() || !in.budget.spend()) return {};
      out.push_back(path.of(item, b[1]));
    }
    return lazy(in, std::move(out));
  }
  if (args.positional.empty() || !args.positional[0].is_string()) return in.fail("map needs the name of a filter, or attribute=");
  Args rest{{args.positional.begin() + 1, args.positional.end()}, args.keyword};
  for (const Value& item : items->items) {
    if (!in.budget.spend()) return {};
    out.push_back(in.apply_filter(args.positional[0].as_string(), item, rest));
  }
  return lazy(in, std::move(out));
}

template <bool Keep, bool ByAttribute>
Value select_filter(Interp& in, const Value& input, const Args& args) {
  if (!truthy(input)) return lazy(in, {});  // none, too
  Value::ListPtr items = iterate(input, in.budget);
  if (!items) return {};
  if (ByAttribute && args.positional.empty()) return in.fail("selectattr and rejectattr need the name of an attribute");
  constexpr size_t kTest = ByAttribute ? 1 : 0;
  AttributePath path(in, ByAttribute ? &args.positional[0] : nullptr);
  bool tested = args.positional.size() > kTest;
  if (tested && !args.positional[kTest].is_string()) return in.fail("select and reject need the name of a test");
  Args rest;
  if (tested) rest = {{args.positional.begin() + kTest + 1, args.positional.end()}, args.keyword};
  Items kept;
  for (const Value& item : items->items) {
    Value v = path.of(item);
    if (!in.budget.spend()) return {};
    if ((tested ? in.apply_test(args.positional[kTest].as_string(), v, rest) : truthy(v)) == Keep) kept.push_back(item);
  }
  return lazy(in, std::move(kept));
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable table = {{"length", length_filter},
                                    {"count", length_filter},
                                    {"list", list_filter},
                                    {"first", first_filter},
                                    {"last", last_filter},
                                    {"reverse", reverse_filter},
                                    {"join", join_filter},
                                    {"items", items_filter},
                                    {"sort", sort_filter},
                                    {"dictsort", dictsort_filter},
                                    {"unique", unique_filter},
                                    {"min", extreme_filter<false>},
                                    {"max", extreme_filter<true>},
                                    {"sum", sum_filter},
                                    {"batch", batch_filter},
                                    {"slice", slice_filter},
                                    {"groupby", groupby_filter},
                                    {"map", map_filter},
                                    {"select", select_filter<true, false>},
                                    {"reject", select_filter<false, false>},
                                    {"selectattr", select_filter<true, true>},
                                    {"rejectattr", select_filter<false, true>}};
  return table;
}

static FilterFn filter_named(std::string_view name) {
  for (const FilterTable* table : {&text_filters(), &sequence_filters(), &number_filters()}) {
    if (auto found = table->find(name); found != table->end()) return found->second;
  }
  return nullptr;
}

bool is_filter(std::string_view name) { return filter_named(name) != nullptr; }

Value Interp::apply_filter(const std::string& name, const Value& input, const Args& args) {
  DepthGuard guard(budget);
  if (!guard || !budget.spend()) return {};
  FilterFn filter = filter_named(name);
  return filter ? filter(*this, input, args) : fail("unknown filter '" + name + "'");
}

}  // namespace lumen::chat
