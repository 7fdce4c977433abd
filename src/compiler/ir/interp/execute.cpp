// Compute and Scatter over their domains: outer axes times batches of lanes, split between threads in contiguous runs.
#include "compiler/ir/interp/execute.h"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "base/assert.h"

namespace lumen::ir::interp {
namespace {

constexpr int64_t kFewLanes = 8;          // a shorter innermost axis is a scalar loop, so that reductions may use the lanes
constexpr int64_t kWorkPerThread = 4096;  // scalar expressions; less is not worth a thread

int64_t product(const std::vector<int64_t>& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

// Called for lanes [0, n) that are elements first, first + 1, … of the domain in row-major order.
using Store = std::function<void(Machine&, int64_t first, int n)>;

// True where batches of lanes should be the outer loop: then rows of weights are read once for all tokens, and no reduction that
// depends on scalar axes alone would be done again for each batch.
bool batches_outside(const Program& p) {
  if (p.lane_axis < 0) return false;
  for (size_t level = 1; level < static_cast<size_t>(1 + p.lane_axis); ++level)
    for (const Instr& i : p.blocks[static_cast<size_t>(p.levels[level])])
      if (i.kind >= Ik::Reduce) return false;
  for (const Instr& i : p.blocks[static_cast<size_t>(p.levels.back())])
    if (i.kind == Ik::Dot || i.kind == Ik::SumProduct) return true;
  return false;
}

// The items [begin, end): an item is one setting of the scalar axes and one batch of lanes.
void run_items(Machine& m, const Program& p, const std::vector<int64_t>& dims, int64_t begin, int64_t end, const Store& store) {
  int rank = static_cast<int>(dims.size()), scalars = p.lane_axis >= 0 ? rank - 1 : rank;
  int64_t lanes_axis = p.lane_axis >= 0 ? dims.back() : 1, batches = (lanes_axis + kLanes - 1) / kLanes;
  bool swap = batches_outside(p);
  int64_t outers = swap ? product(dims) / lanes_axis : 1;
  m.run_level(0, 1);
  std::vector<int64_t> at(static_cast<size_t>(rank), -1);
  for (int64_t item = begin; item < end && m.error().empty(); ++item) {
    int64_t outer = swap ? item % outers : item / batches, batch = swap ? item / outers : item % batches, rest = outer;
    int changed = scalars;  // the outermost axis whose value differs from the last item's
    for (int a = scalars - 1; a >= 0; --a) {
      int64_t v = rest % dims[a];
      rest /= dims[a];
      if (v != at[a]) {
        at[a] = v;
        changed = a;
        m.set_axis(a, v);
      }
    }
    for (int a = changed; a < scalars; ++a) m.run_level(1 + a, 1);
    int n = 1;
    if (p.lane_axis >= 0) {
      n = static_cast<int>(std::min<int64_t>(kLanes, lanes_axis - batch * kLanes));
      m.set_lanes(batch * kLanes, n);
      m.run_level(1 + p.lane_axis, n);
    }
    store(m, outer * lanes_axis + batch * kLanes, n);
  }
}

bool has_reduction(const ExprPtr& e) {
  bool found = false;
  visit(e, [&](const Expr& n) { found |= n.kind == Ek::Reduce || n.kind == Ek::Dot; });
  return found;
}

std::string run_domain(const Job& job, const std::vector<ExprPtr>& outputs, int threads, const Store& store) {
  int64_t total = product(job.dims);
  if (total == 0) return "";
  CompileInput in;
  in.rank = static_cast<int>(job.dims.size());
  in.lanes = in.rank > 0 && job.dims.back() >= kFewLanes;
  for (const Operand& o : job.operands) in.operand_ranks.push_back(static_cast<int>(o.rank()));
  in.symbols = job.symbols;
  std::string error;
  Program p = compile(outputs, in, error);
  if (!error.empty()) return error;
  int64_t items = in.lanes ? total / job.dims.back() * ((job.dims.back() + kLanes - 1) / kLanes) : total;
  int64_t work = total * (has_reduction(outputs[0]) ? 64 : 1);
  int64_t count = std::max<int64_t>(1, std::min({static_cast<int64_t>(threads), items, work / kWorkPerThread}));
  std::vector<std::string> errors(static_cast<size_t>(count));
  auto part = [&](int64_t t) {
    Machine m(p, &job.operands);
    run_items(m, p, job.dims, items * t / count, items * (t + 1) / count, store);
    errors[static_cast<size_t>(t)] = m.error();
  };
  std::vector<std::thread> team;
  for (int64_t t = 1; t < count; ++t) team.emplace_back(part, t);
  part(0);
  for (std::thread& t : team) t.join();
  for (const std::string& e : errors)
    if (!e.empty()) return e;
  return "";
}

std::string encode_rows(const FormatType& f, const float* x, int64_t rows, int64_t k, uint8_t* out, EncodeHook hook) {
  int64_t stride = row_bytes(f, k);
  if (f.encode == EncodeRule::AbsMax && !f.row_planes) return "format " + f.name + ": absmax encoding needs planes in rows";
  if (f.encode == EncodeRule::Search && !hook) return "no encoder for the format " + f.name + " is registered";
  for (int64_t r = 0; r < rows; ++r) {
    if (f.encode == EncodeRule::AbsMax)
      encode_absmax_row(f, x + r * k, k, out + r * stride);
    else
      hook(f, x + r * k, k, out + r * stride);
  }
  return "";
}

}  // namespace

void prepare_operands(const ExprPtr& body, std::vector<Operand>& operands) {
  auto floats = [&](int n) {
    Operand& o = operands[static_cast<size_t>(n)];
    if (!o.format || o.decoded->floats) return;
    o.decoded->floats = std::make_unique<FloatRows>(o.format, o.bytes, o.decoded->rows, o.decoded->k);
  };
  visit(body, [&](const Expr& e) {
    if (e.kind == Ek::Load) floats(e.operand);
    if (e.kind != Ek::Dot) return;
    const Operand& x = operands[static_cast<size_t>(e.operand)];
    if (x.format && x.format->row_planes) {
      Operand& w = operands[static_cast<size_t>(e.operand2)];
      if (!w.decoded->codes) w.decoded->codes = std::make_unique<CodeRows>(w.format, w.bytes, w.decoded->rows, w.decoded->k);
    } else {
      floats(e.operand);
      floats(e.operand2);
    }
  });
}

std::string run_compute(const Job& job, const ExprPtr& body, const Type& type, uint8_t* out, EncodeHook hook) {
  if (!type.format) {
    int size = size_of(type.scalar);
    bool f32 = type.scalar == DType::F32;
    return run_domain(job, {body}, job.threads, [&](Machine& m, int64_t first, int n) {
      const Vec& v = m.output(0);
      int step = m.output_step(0);
      if (f32 && step == 1) {
        std::copy(v.f, v.f + n, reinterpret_cast<float*>(out) + first);
        return;
      }
      for (int i = 0; i < n; ++i) {
        Vec one;
        one.i[0] = v.i[i * step];
        if (is_float(type.scalar)) one.f[0] = v.f[i * step];
        write_element(type.scalar, out + first * size, i, one, 0);
      }
    });
  }
  int64_t total = product(job.dims), k = job.dims.back();
  if (total == 0) return "";
  std::vector<float> values(static_cast<size_t>(total));
  std::string error = run_domain(job, {body}, job.threads, [&](Machine& m, int64_t first, int n) {
    for (int i = 0; i < n; ++i) values[static_cast<size_t>(first + i)] = m.output(0).f[i * m.output_step(0)];
  });
  if (!error.empty()) return error;
  return encode_rows(*type.format, values.data(), total / k, k, out, hook);
}

namespace {

// Encodes floats[i] as element at[i] of a formatted tensor of rows of k; whole units (blocks, or rows for row planes) only.
std::string scatter_formatted(const FormatType& f, int64_t k, const std::vector<int64_t>& at, const std::vector<float>& floats,
                              uint8_t* state, Decoded* decoded, EncodeHook hook) {
  int64_t unit = f.row_planes ? k : f.block;
  struct Unit {
    std::vector<float> x;
    std::vector<bool> set;
    int64_t left;
  };
  std::map<int64_t, Unit> units;
  for (size_t i = 0; i < at.size(); ++i) {
    Unit& u = units[at[i] / unit];
    if (u.x.empty()) u = {std::vector<float>(static_cast<size_t>(unit)), std::vector<bool>(static_cast<size_t>(unit)), unit};
    size_t e = static_cast<size_t>(at[i] % unit);
    u.left -= !u.set[e];
    u.set[e] = true;
    u.x[e] = floats[i];
  }
  for (auto it = units.begin(); it != units.end();) {
    // Neighbouring units of one row are encoded together.
    int64_t first = it->first * unit, row = first / k;
    std::vector<float> x;
    for (int64_t next = it->first; it != units.end() && it->first == next && next * unit / k == row; ++it, ++next) {
      if (it->second.left) return "a scatter into the format " + f.name + " must write whole blocks of " + std::to_string(unit);
      x.insert(x.end(), it->second.x.begin(), it->second.x.end());
    }
    uint8_t* to = state + row * row_bytes(f, k) + (f.row_planes ? 0 : first % k / f.block * f.block_bytes);
    std::string error = encode_rows(f, x.data(), 1, static_cast<int64_t>(x.size()), to, hook);
    if (!error.empty()) return error;
    if (decoded && decoded->floats) decoded->floats->invalidate(row);
  }
  return "";
}

}  // namespace

std::string run_scatter(const Job& job, const ExprPtr& body, const std::vector<ExprPtr>& dest, const Type& type, uint8_t* state,
                        Decoded* decoded, EncodeHook hook) {
  std::vector<int64_t> at;
  std::vector<float> floats;
  bool floating = type.format || is_float(type.scalar);
  std::vector<ExprPtr> outputs = {body};
  outputs.insert(outputs.end(), dest.begin(), dest.end());
  std::string outside;
  std::vector<int64_t> ints;
  std::string error = run_domain(job, outputs, 1, [&](Machine& m, int64_t, int n) {
    for (int i = 0; i < n; ++i) {
      int64_t flat = 0;
      for (int a = 0; a < type.rank(); ++a) {
        int64_t v = m.output(1 + a).i[i * m.output_step(1 + a)], d = type.dims[static_cast<size_t>(a)].value;
        if ((v < 0 || v >= d) && outside.empty())
          outside = "scatter: index " + std::to_string(v) + " of axis " + std::to_string(a) + " is not in [0, " + std::to_string(d) + ")";
        flat = flat * d + v;
      }
      at.push_back(flat);
      if (floating)
        floats.push_back(m.output(0).f[i * m.output_step(0)]);
      else
        ints.push_back(m.output(0).i[i * m.output_step(0)]);
    }
  });
  if (!error.empty()) return error;
  if (!outside.empty()) return outside;
  if (type.format) return scatter_formatted(*type.format, type.dims.back().value, at, floats, state, decoded, hook);
  for (size_t i = 0; i < at.size(); ++i) {
    Vec v;
    if (floating)
      v.f[0] = floats[i];
    else
      v.i[0] = ints[i];
    write_element(type.scalar, state, at[i], v, 0);
  }
  return "";
}

}  // namespace lumen::ir::interp
