// The declaration is applied to a source that notes what is asked for. Where a tensor is missing or wrong, the same tensor of another
// layer stands in for it and the declaration is applied again: so all such tensors are found, not only the first.
#include "convert/check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "compiler/sema/model.h"
#include "engine/checkpoint_source.h"
#include "engine/field_tensors.h"

namespace lumen::convert {
namespace {

using sema::StaticValue;
constexpr int kAttempts = 64;  // stand-ins before the rest is left unlisted
constexpr size_t kListed = 8;

class Noting : public sema::ModelSource {
 public:
  Noting(const sema::Library& lib, const Checkpoint& file) : of_(lib, file), file_(file) {}
  std::string kind() const override { return of_.kind(); }
  bool takes(const std::string& source) const override { return of_.takes(source); }
  std::string path() const override { return of_.path(); }
  void next_binding(const std::string& name) const override { binding_ = name; }
  std::optional<StaticValue> config(const std::string& key) const override {
    auto v = of_.config(key);
    (v ? given : absent).insert(binding_);
    return v;
  }
  Result<std::optional<TensorInfo>> tensor(const std::string& name) const override {
    last = name;
    auto it = stand_in.find(name);
    if (it != stand_in.end()) return of_.tensor(it->second);
    auto found = of_.tensor(name);
    if (found && *found) used.insert(name);
    return found;
  }
  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  std::map<std::string, std::string> stand_in;        // tensor -> the one in another layer that is looked at instead
  mutable std::set<std::string> given, absent, used;  // bindings with a key in the file, without one; tensors
  mutable std::string last, binding_;

 private:
  engine::CheckpointSource of_;
  const Checkpoint& file_;
};

// "blk.7.ffn_up.weight" -> the same of another layer that is there and not suspected itself.
std::optional<std::string> sibling(const Noting& source, const Checkpoint& file, const std::string& name) {
  size_t from = 0;
  while (from < name.size() && !(name[from] >= '0' && name[from] <= '9' && from > 0 && name[from - 1] == '.')) ++from;
  size_t to = from;
  while (to < name.size() && name[to] >= '0' && name[to] <= '9') ++to;
  if (from == to || to >= name.size() || name[to] != '.') return std::nullopt;
  std::string head = name.substr(0, from), tail = name.substr(to);
  for (const CheckpointTensor& t : file.tensors()) {
    std::string other(t.name);
    if (other == name || other.size() <= head.size() + tail.size() || other.compare(0, head.size(), head) != 0 ||
        other.compare(other.size() - tail.size(), tail.size(), tail) != 0 || source.stand_in.count(other))
      continue;
    std::string_view middle(other.data() + head.size(), other.size() - head.size() - tail.size());
    if (std::all_of(middle.begin(), middle.end(), [](char c) { return c >= '0' && c <= '9'; })) return other;
  }
  return std::nullopt;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kListed); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kListed ? text + " and " + std::to_string(names.size() - kListed) + " more" : text;
}

void tensors_of(const sema::Library& lib, const Checkpoint& file, const sema::WeightExpr& e, std::set<std::string>& names) {
  for (const sema::WeightExpr& a : e.args) tensors_of(lib, file, a, names);
  if (e.kind != sema::WeightExpr::Tensor) return;
  names.insert(e.name);
  const CheckpointTensor* t = file.find_tensor(e.name);
  if (!t) return;
  auto type = engine::tensor_type(lib, file, *t);
  if (!type || !type->format) return;
  for (const ir::FormatField& f : type->format->fields)
    if (!f.beside.empty()) names.insert(engine::tensor_beside(e.name, f.beside));
}

std::optional<double> number(const sema::ModelInstance& m, const char* name) {
  auto it = m.config.find(name);
  if (it == m.config.end()) return std::nullopt;
  if (auto* i = std::get_if<int64_t>(&it->second)) return static_cast<double>(*i);
  if (auto* d = std::get_if<double>(&it->second)) return *d;
  return std::nullopt;
}

std::string text_of(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", v);
  return text;
}

class Checker {
 public:
  Checker(const sema::Library& lib, const Checkpoint& file, std::vector<Finding>& findings)
      : lib_(lib), file_(file), source_(lib, file), out_(findings) {}

  bool run() {
    auto decl = engine::find_model(lib_, file_);
    if (!decl) return wrong("architecture", decl.error().message);
    say(Finding::Fine, "architecture", engine::architecture_name(file_) + ", declared by the model '" + (*decl)->name + "'");
    std::optional<sema::ModelInstance> model;
    size_t wrong_ones = 0;
    for (int attempt = 0; attempt < kAttempts && !model; ++attempt) {
      source_.last.clear();
      auto made = sema::instantiate(lib_, **decl, source_);
      if (made) {
        model.emplace(made.take());
        break;
      }
      ++wrong_ones;
      wrong("tensors", made.error().message);
      auto other = source_.last.empty() ? std::nullopt : sibling(source_, file_, source_.last);
      if (!other || source_.stand_in.count(source_.last)) return false;
      source_.stand_in[source_.last] = *other;
    }
    if (!model) return wrong("tensors", "and more");
    check_unused(*model, wrong_ones);
    check_settings(*model);
    return wrong_ones == 0;
  }

 private:
  void say(Finding::Level level, const std::string& what, const std::string& says) { out_.push_back({level, what, says}); }
  bool wrong(const std::string& what, const std::string& says) {
    say(Finding::Wrong, what, says);
    return false;
  }

  void check_unused(const sema::ModelInstance& m, size_t wrong_ones) {
    std::set<std::string> used;
    for (const sema::Weight& w : m.weights) tensors_of(lib_, file_, w.from, used);
    std::vector<std::string> unused;
    for (const CheckpointTensor& t : file_.tensors())
      if (!used.count(std::string(t.name))) unused.emplace_back(t.name);
    if (!unused.empty())
      say(Finding::Warning, "tensors",
          std::to_string(unused.size()) + " of " + std::to_string(file_.tensors().size()) +
              " are not used by the declaration: " + listed(unused));
    else if (wrong_ones == 0)
      say(Finding::Fine, "tensors", "all " + std::to_string(file_.tensors().size()) + " are there, used, and of the declared shapes");
  }

  void check_settings(const sema::ModelInstance& m) {
    size_t before = out_.size();
    for (const char* name : {"theta", "eps", "context"})
      if (m.config.count(name) && !source_.given.count(name))
        say(Finding::Warning, "settings",
            std::string("the file does not say '") + name + "'; the declaration's own value is " + text_of(number(m, name).value_or(NAN)));
    auto context = number(m, "context"), theta = number(m, "theta"), window = number(m, "window"), scale = number(m, "rope_scale"),
         original = number(m, "rope_original");
    if (theta && !(*theta > 1 && *theta <= 1e9))
      wrong("rope", "its base frequency is " + text_of(*theta) + ", expected more than 1 and at most 1e9");
    if (scale && !(*scale >= 1))
      say(*scale > 0 ? Finding::Warning : Finding::Wrong, "rope", "its scaling factor is " + text_of(*scale) + ", expected 1 or more");
    if (context && scale && original && source_.given.count("rope_original") && *context > *scale * *original)
      say(Finding::Warning, "rope",
          "the context of " + text_of(*context) + " tokens is beyond " + text_of(*scale) + " times the original " + text_of(*original));
    if (context && theta && scale && *scale == 1 && *context > 2 * M_PI * *theta)
      say(Finding::Warning, "rope",
          "the context of " + text_of(*context) + " tokens is beyond the longest period of rope with the base " + text_of(*theta) +
              ", and no scaling is set: a base or a scaling may be missing");
    if (window && *window > 0 && context && *window >= *context)
      say(Finding::Warning, "window",
          "the window of " + text_of(*window) + " tokens is as long as the context of " + text_of(*context) + ": it has no effect");
    if (window && *window > 0 && *window < 16) say(Finding::Warning, "window", "the window is only " + text_of(*window) + " tokens");
    if (out_.size() == before) say(Finding::Fine, "settings", "rope, window and context look right");
  }

  const sema::Library& lib_;
  const Checkpoint& file_;
  Noting source_;
  std::vector<Finding>& out_;
};

}  // namespace

bool check_structure(const sema::Library& lib, const Checkpoint& file, std::vector<Finding>& findings) {
  return Checker(lib, file, findings).run();
}

}  // namespace lumen::convert
