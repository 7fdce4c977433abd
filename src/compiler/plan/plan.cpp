// Outlining, kernel sharing, arena layout.
#include "compiler/plan/plan.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/assert.h"
#include "compiler/schedule/choose.h"

namespace lumen::plan {

ir::Function outline(const ir::Function& f, int id) {
  ir::Function one;
  ir::Value v = f.values[id];
  std::vector<int> operands;
  for (size_t i = 0; i < v.operands.size(); ++i) {
    const ir::Value& o = f.values[v.operands[i]];
    ir::Role role = o.kind == ir::ValueKind::Param ? o.role : ir::Role::Input;
    if (v.kind == ir::ValueKind::Scatter && i == 0) role = ir::Role::State;
    operands.push_back(ir::add_param(one, "p" + std::to_string(i), o.type, role));
  }
  v.operands = operands;
  v.id = static_cast<int>(one.values.size());
  one.name = v.name.substr(0, v.name.find_first_of(".["));
  v.name = one.name;
  one.values.push_back(v);
  one.results = {v.id};
  return one;
}

static std::string key_of(const ir::Function& one, const loops::Schedule& s) {
  return ir::print(one) + "\nlanes " + std::to_string(s.lanes) + " groups " + std::to_string(s.row_groups) + " tokens " + std::to_string(s.tokens) +
         (s.panel ? " panel" : "") + (s.one_token ? " one_token" : "") + " blocks " + std::to_string(s.token_block) + " " + std::to_string(s.k_block) +
         (s.prefetch ? " ahead " + std::to_string(s.prefetch) : "");
}

void KernelCache::make(Wanted& w) {
  auto k = std::make_shared<Kernel>();
  k->key = w.key;
  auto lowered = loops::lower(w.one, w.one.values.back(), target_.machine(), w.schedule);
  if (!lowered) { w.error = lowered.error(); return; }
  k->lowered = lowered.take();
  w.kernel = k;
  if (auto kept = store_ ? store_->find(w.key) : std::span<const uint8_t>(); !kept.empty())
    if (auto code = target_.restore(k->lowered.kernel, kept)) {
      k->code = code.take();
      return;
    }
  auto code = target_.compile(k->lowered.kernel);  // which verifies it
  if (!code) {
    w.kernel = nullptr;
    w.error = code.error();
    return;
  }
  k->code = code.take();
  if (store_) store_->add(w.key, target_.save(*k->code));
}

// What outline(f, id) is made from, without the text of its body: operations that agree in it share a kernel. Bodies are told apart by
// their addresses, so it holds within one function alone.
static std::string shape_of(const ir::Function& f, const ir::Value& v) {
  std::string s = v.name.substr(0, v.name.find_first_of(".[")) + "|" + std::to_string(static_cast<int>(v.kind)) + ir::to_string(v.type);
  auto address = [&](const ir::ExprPtr& e) { s += "|" + std::to_string(reinterpret_cast<uintptr_t>(e.get())); };
  address(v.body);
  for (const ir::ExprPtr& d : v.dest) address(d);
  for (const ir::Dim& d : v.dims) s += "|" + ir::to_string(d);
  for (int o : v.operands) {
    const ir::Value& from = f.values[static_cast<size_t>(o)];
    s += "|" + ir::to_string(from.type) + "," + std::to_string(static_cast<int>(from.kind == ir::ValueKind::Param ? from.role : ir::Role::Input));
  }
  return s;
}

Result<std::vector<std::shared_ptr<const Kernel>>> KernelCache::get(const ir::Function& f, const std::vector<int>& ids, int token_hint) {
  std::lock_guard lock(mutex_);
  std::vector<Wanted> wanted;
  std::map<std::string, size_t> number;  // of a key, in `wanted`
  std::map<std::string, size_t> of_shape;
  std::vector<size_t> of_id;
  for (int id : ids) {
    std::string shape = shape_of(f, f.values[static_cast<size_t>(id)]);
    if (auto it = of_shape.find(shape); it != of_shape.end()) {
      of_id.push_back(it->second);
      continue;
    }
    ir::Function one = outline(f, id);
    loops::Schedule s = schedule::choose(one, one.values.back(), target_.machine(), token_hint);
    std::string key = key_of(one, s);
    auto [it, fresh] = number.emplace(std::move(key), wanted.size());
    of_id.push_back(it->second);
    of_shape.emplace(std::move(shape), it->second);
    if (!fresh) continue;
    auto known = kernels_.find(it->first);
    wanted.push_back({std::move(one), s, it->first, known == kernels_.end() ? nullptr : known->second, std::nullopt});
  }
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next++) < wanted.size();)
      if (!wanted[i].kernel) make(wanted[i]);
  };
  size_t missing = static_cast<size_t>(std::count_if(wanted.begin(), wanted.end(), [](const Wanted& w) { return !w.kernel; }));
  size_t helpers = target_.machine().gpu ? 0 : std::min<size_t>(static_cast<size_t>(std::max(target_.machine().threads, 1)), missing);
  std::vector<std::thread> team;
  for (size_t i = 1; i < helpers; ++i) team.emplace_back(work);
  work();
  for (std::thread& t : team) t.join();
  for (const Wanted& w : wanted) {
    if (w.error) return *w.error;
    kernels_[w.key] = w.kernel;
  }
  std::vector<std::shared_ptr<const Kernel>> out;
  for (size_t i : of_id) out.push_back(wanted[i].kernel);
  return out;
}

static int64_t bytes_of(const ir::Type& t, const std::map<std::string, int64_t>& bounds, std::string& unknown) {
  int64_t rows = 1, inner = 1;
  for (int i = 0; i < t.rank(); ++i) {
    int64_t n = t.dims[i].value;
    if (!t.dims[i].is_const()) {
      auto it = bounds.find(t.dims[i].symbol);
      if (it == bounds.end()) unknown = t.dims[i].symbol;
      else n = it->second;
    }
    (i + 1 < t.rank() ? rows : inner) *= n;
  }
  return rows * (t.format ? ir::row_bytes(*t.format, inner) : inner * size_of(t.scalar));
}

namespace {

// First fit over the free gaps of the arena, by lifetime in launches.
class Arena {
 public:
  int64_t place(int64_t bytes, int first, int last) {
    bytes = (bytes + 255) / 256 * 256 + 256;  // vector loads may read past a tensor's end
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const Use& u : uses_)
      if (u.first <= last && first <= u.last) taken.push_back({u.offset, u.offset + u.bytes});
    std::sort(taken.begin(), taken.end());
    int64_t at = 0;
    for (auto [lo, hi] : taken) {
      if (lo - at >= bytes) break;
      at = std::max(at, hi);
    }
    uses_.push_back({at, bytes, first, last});
    size_ = std::max(size_, at + bytes);
    return at;
  }
  int64_t size() const { return size_; }

 private:
  struct Use {
    int64_t offset, bytes;
    int first, last;
  };
  std::vector<Use> uses_;
  int64_t size_ = 0;
};

}  // namespace

// The value whose memory v is: through reshapes, and from a scatter to its state.
static int storage(const ir::Function& f, int id) {
  const ir::Value* v = &f.values[id];
  while (v->kind == ir::ValueKind::Reshape || v->kind == ir::ValueKind::Scatter) v = &f.values[v->operands[0]];
  return v->id;
}

Result<Plan> make_plan(ir::Function fn, KernelCache& kernels, const std::map<std::string, int64_t>& bounds, int token_hint) {
  Plan p;
  p.function = std::move(fn);
  const ir::Function& f = p.function;
  std::vector<int> launch_of(f.values.size(), -1), last(f.values.size(), -1);
  int count = 0;
  for (const ir::Value& v : f.values) {
    if (v.kind != ir::ValueKind::Compute && v.kind != ir::ValueKind::Scatter) continue;
    launch_of[v.id] = count;
    for (int o : v.operands) last[storage(f, o)] = count;
    if (last[v.id] < count) last[v.id] = count;
    ++count;
  }
  for (int r : f.results) last[storage(f, r)] = count;
  Arena arena;
  std::map<int, int64_t> offsets;
  std::map<std::pair<int, std::string>, int> weight_index;
  std::string unknown;
  for (const ir::Value& v : f.values) {
    if (v.kind == ir::ValueKind::Const) {
      offsets[v.id] = arena.place(static_cast<int64_t>(v.data.size()), 0, count);
      p.constants.push_back({offsets[v.id], v.data});
    } else if (v.kind == ir::ValueKind::Compute) {
      offsets[v.id] = arena.place(bytes_of(v.type, bounds, unknown), launch_of[v.id], last[v.id]);
      if (!unknown.empty()) return Error{"plan: the size of " + v.name + " depends on " + unknown + ", which has no bound"};
    }
  }
  auto place = [&](int id, const std::optional<formats::PackedLayout>& layout) -> Place {
    int at = storage(f, id);
    const ir::Value& v = f.values[at];
    if (v.kind != ir::ValueKind::Param) return {Place::Arena, 0, offsets.at(at)};
    if (v.role != ir::Role::Weight) return {Place::Param, at, 0};
    std::string shape;
    if (layout) shape = std::to_string(layout->rows) + "x" + std::to_string(layout->groups) + (layout->integer ? "i" : "f") + std::to_string(static_cast<int>(layout->element));
    auto [it, fresh] = weight_index.emplace(std::make_pair(at, shape), static_cast<int>(p.weights.size()));
    if (fresh) p.weights.push_back({at, layout});
    return {Place::Weight, it->second, 0};
  };
  std::vector<int> launched;
  for (const ir::Value& v : f.values)
    if (launch_of[v.id] >= 0) launched.push_back(v.id);
  LUMEN_TRY(made, kernels.get(f, launched, token_hint));
  for (int id : launched) {
    const ir::Value& v = f.values[id];
    const auto& kernel = made[static_cast<size_t>(launch_of[id])];
    Launch l;
    l.kernel = kernel;
    l.name = v.name.empty() ? "%" + std::to_string(v.id) : v.name;
    for (size_t i = 0; i < v.operands.size(); ++i) {
      if (kernel->lowered.layouts[i] && f.values[storage(f, v.operands[i])].role != ir::Role::Weight)
        return Error{"plan: " + l.name + " wants operand " + std::to_string(i) + " in a derived layout, but it is not a weight"};
      l.buffers.push_back(place(v.operands[i], kernel->lowered.layouts[i]));
    }
    if (v.kind != ir::ValueKind::Scatter) l.buffers.push_back({Place::Arena, 0, offsets.at(v.id)});
    p.launches.push_back(std::move(l));
  }
  for (int r : f.results) p.results.push_back(place(r, std::nullopt));
  p.arena_bytes = arena.size();
  return p;
}

static std::string text(const Plan& p, const Place& at) {
  if (at.kind == Place::Arena) return "arena+" + std::to_string(at.offset);
  int id = at.kind == Place::Param ? at.index : p.weights[at.index].param;
  return p.function.values[id].name + (at.kind == Place::Weight && p.weights[at.index].layout ? ":packed" : "");
}

std::string print(const Plan& p) {
  std::string out = "plan " + p.function.name + ": " + std::to_string(p.launches.size()) + " launches, arena " + std::to_string(p.arena_bytes) + " bytes\n";
  std::map<const Kernel*, int> number;
  for (const Launch& l : p.launches) {
    auto [it, fresh] = number.emplace(l.kernel.get(), static_cast<int>(number.size()));
    out += "  k" + std::to_string(it->second) + " " + l.name + "(";
    for (size_t i = 0; i < l.buffers.size(); ++i) out += (i ? ", " : "") + text(p, l.buffers[i]);
    out += ")\n";
  }
  out += std::to_string(number.size()) + " kernels:\n";
  std::vector<const Kernel*> in_order(number.size());
  for (auto [k, i] : number) in_order[i] = k;
  for (size_t i = 0; i < in_order.size(); ++i) out += "k" + std::to_string(i) + ": " + in_order[i]->key + "\n";
  return out;
}

}  // namespace lumen::plan
