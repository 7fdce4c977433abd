// In order: params; kernels with their code; launches; weights; constants; arena; results.
#include "engine/kept_step.h"

#include "engine/cache_file.h"

namespace lumen::engine {
namespace {

void put(ByteWriter& out, const std::vector<plan::Place>& places, const std::vector<int>& param_number) {
  out.put<uint64_t>(places.size());
  for (const plan::Place& p : places) {
    out.put(p.kind);
    out.put(p.kind == plan::Place::Param ? param_number[static_cast<size_t>(p.index)] : p.index);
    out.put(p.offset);
  }
}

// Of a kernel what launching takes: its statements are not among it.
bool put(ByteWriter& out, const Target& target, const plan::Kernel& kernel) {
  std::vector<uint8_t> code = target.save(*kernel.code);
  const loops::Kernel& k = kernel.lowered.kernel;
  out.text(k.name);
  out.put<uint64_t>(k.buffers.size());
  for (const loops::BufferInfo& b : k.buffers) {
    out.text(b.name);
    out.put(b.kind);
    out.put(b.bytes);
    out.text({reinterpret_cast<const char*>(b.data.data()), b.data.size()});
  }
  out.put<uint64_t>(k.scalars.size());
  for (const std::string& s : k.scalars) out.text(s);
  out.put<uint64_t>(k.items.size());
  for (const loops::CountFactor& c : k.items) {
    out.put(c.value);
    out.text(c.symbol);
    out.put(c.divisor);
  }
  out.put(k.grain);
  out.text({reinterpret_cast<const char*>(code.data()), code.size()});
  return !code.empty();
}

class Restorer {
 public:
  Restorer(Target& target, std::string_view bytes) : target_(target), in_(bytes) {}

  Result<plan::Plan> read(std::vector<KeptWeight>& weights) {
    read_params();
    for (uint64_t n = in_.count(); n > 0; --n) LUMEN_CHECK(read_kernel());
    read_launches();
    read_weights(weights);
    for (uint64_t n = in_.count(); n > 0; --n) {
      auto offset = in_.get<int64_t>();
      std::string_view data = in_.text();
      plan_.constants.push_back({offset, {data.begin(), data.end()}});
    }
    plan_.arena_bytes = in_.get<int64_t>();
    plan_.results = places();
    if (!in_.done() || !sensible()) return Error{"a kept step that makes no sense"};
    return std::move(plan_);
  }

 private:
  void read_params() {
    plan_.function.name = in_.text();
    for (uint64_t n = in_.count(); n > 0; --n) {
      ir::Value v;
      v.id = static_cast<int>(plan_.function.values.size());
      v.kind = ir::ValueKind::Param;
      v.role = in_.get<ir::Role>();
      v.name = in_.text();
      plan_.function.values.push_back(std::move(v));
    }
  }

  Status read_kernel() {
    auto kernel = std::make_shared<plan::Kernel>();
    loops::Kernel& k = kernel->lowered.kernel;
    k.name = in_.text();
    for (uint64_t n = in_.count(); n > 0; --n) {
      loops::BufferInfo b;
      b.name = in_.text();
      b.kind = in_.get<loops::BufferKind>();
      b.bytes = in_.get<int64_t>();
      std::string_view data = in_.text();
      b.data.assign(data.begin(), data.end());
      k.buffers.push_back(std::move(b));
    }
    for (uint64_t n = in_.count(); n > 0; --n) k.scalars.emplace_back(in_.text());
    for (uint64_t n = in_.count(); n > 0; --n) {
      loops::CountFactor c;
      c.value = in_.get<int64_t>();
      c.symbol = in_.text();
      c.divisor = in_.get<int64_t>();
      if (c.divisor <= 0) return Error{"a kept kernel divides by " + std::to_string(c.divisor)};
      k.items.push_back(std::move(c));
    }
    k.grain = in_.get<int64_t>();
    std::string_view code = in_.text();
    if (!in_.fine() || code.empty()) return Error{"a kept kernel without code"};
    LUMEN_TRY(executable, target_.restore(k, {reinterpret_cast<const uint8_t*>(code.data()), code.size()}));
    kernel->code = std::move(executable);
    kernels_.push_back(std::move(kernel));
    return ok_status();
  }

  void read_launches() {
    for (uint64_t n = in_.count(); n > 0; --n) {
      plan::Launch l;
      auto kernel = in_.get<uint32_t>();
      if (kernel < kernels_.size()) l.kernel = kernels_[kernel];
      l.name = in_.text();
      l.buffers = places();
      plan_.launches.push_back(std::move(l));
    }
  }

  std::vector<plan::Place> places() {
    std::vector<plan::Place> out;
    for (uint64_t n = in_.count(); n > 0; --n) {
      plan::Place p;
      p.kind = in_.get<plan::Place::Kind>();
      p.index = in_.get<int>();
      p.offset = in_.get<int64_t>();
      out.push_back(p);
    }
    return out;
  }

  void read_weights(std::vector<KeptWeight>& weights) {
    for (uint64_t n = in_.count(); n > 0; --n) {
      plan_.weights.push_back({in_.get<int>(), std::nullopt});
      KeptWeight w;
      w.from = in_.get<KeptWeight::From>();
      w.made_as = in_.text();
      w.key = in_.text();
      w.offset = in_.get<int64_t>();
      w.bytes = in_.get<int64_t>();
      w.data = in_.text();
      weights.push_back(std::move(w));
    }
  }

  bool sensible(const plan::Place& p) const {
    auto below = [&](size_t n) { return p.index >= 0 && static_cast<size_t>(p.index) < n; };
    switch (p.kind) {
      case plan::Place::Arena: return p.offset >= 0 && p.offset <= plan_.arena_bytes;
      case plan::Place::Param: return below(plan_.function.values.size());
      case plan::Place::Weight: return below(plan_.weights.size());
    }
    return false;
  }

  bool sensible() const {
    for (const plan::Launch& l : plan_.launches) {
      if (!l.kernel) return false;
      for (const plan::Place& p : l.buffers)
        if (!sensible(p)) return false;
    }
    for (const plan::Place& p : plan_.results)
      if (!sensible(p)) return false;
    for (const auto& [offset, data] : plan_.constants)
      if (offset < 0 || offset > plan_.arena_bytes || static_cast<int64_t>(data.size()) > plan_.arena_bytes - offset) return false;
    for (const plan::WeightUse& w : plan_.weights)
      if (w.param < 0 || static_cast<size_t>(w.param) >= plan_.function.values.size()) return false;
    return true;
  }

  Target& target_;
  ByteReader in_;
  plan::Plan plan_;
  std::vector<std::shared_ptr<const plan::Kernel>> kernels_;
};

}  // namespace

std::string keep_step(const Target& target, const plan::Plan& plan, const std::vector<KeptWeight>& weights) {
  ByteWriter out;
  std::vector<int> param_number(plan.function.values.size(), -1);
  int params = 0;
  for (const ir::Value& v : plan.function.values)
    if (v.kind == ir::ValueKind::Param) param_number[static_cast<size_t>(v.id)] = params++;
  out.text(plan.function.name);
  out.put<uint64_t>(static_cast<uint64_t>(params));
  for (const ir::Value& v : plan.function.values)
    if (v.kind == ir::ValueKind::Param) {
      out.put(v.role);
      out.text(v.name);
    }
  std::map<const plan::Kernel*, uint32_t> number;
  std::vector<const plan::Kernel*> kernels;
  for (const plan::Launch& l : plan.launches)
    if (number.emplace(l.kernel.get(), static_cast<uint32_t>(kernels.size())).second) kernels.push_back(l.kernel.get());
  out.put<uint64_t>(kernels.size());
  for (const plan::Kernel* k : kernels)
    if (!put(out, target, *k)) return {};
  out.put<uint64_t>(plan.launches.size());
  for (const plan::Launch& l : plan.launches) {
    out.put(number.at(l.kernel.get()));
    out.text(l.name);
    put(out, l.buffers, param_number);
  }
  out.put<uint64_t>(plan.weights.size());
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    const KeptWeight& w = weights[i];
    out.put(param_number[static_cast<size_t>(plan.weights[i].param)]);
    out.put(w.from);
    out.text(w.made_as);
    out.text(w.key);
    out.put(w.offset);
    out.put(w.bytes);
    out.text(w.data);
  }
  out.put<uint64_t>(plan.constants.size());
  for (const auto& [offset, data] : plan.constants) {
    out.put(offset);
    out.text({reinterpret_cast<const char*>(data.data()), data.size()});
  }
  out.put(plan.arena_bytes);
  put(out, plan.results, param_number);
  return out.take();
}

Result<plan::Plan> restore_step(Target& target, std::string_view bytes, std::vector<KeptWeight>& weights) {
  return Restorer(target, bytes).read(weights);
}

}  // namespace lumen::engine
