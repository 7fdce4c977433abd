// Row by row: one item for each combination of the outer axes, the innermost axis vectorised where its loads allow. Covers
// norms, rope, activations, embedding, residual sums, state updates and the requantisation of activations.
#include "compiler/loops/lowering.h"

namespace lumen::loops {
using ir::ExprPtr;

// Outer indices of item number `item`, innermost outer axis fastest.
static void bind_outer(LowerContext& c, Reg item, int outer) {
  Reg rest = item;
  for (int a = outer - 1; a >= 0; --a) {
    if (a == 0) {
      c.e.index[0] = rest;
      break;
    }
    const ir::Dim& d = c.v.dims[a];
    if (d.is_const() && d.value == 1) {
      c.e.index[a] = c.b.i64(0);
      continue;
    }
    Reg n = c.e.dim(d);
    c.e.index[a] = c.b.op(LOp::Mod, {rest, n});
    rest = c.b.op(LOp::Div, {rest, n});
  }
}

// Values of `body` along axis `inner` in [lo, hi), handed to `sink(base index, value, lanes)`.
template <class Sink>
static void sweep(LowerContext& c, const ExprPtr& body, int inner, Reg lo, Reg hi, bool vector, Sink&& sink) {
  int lanes = vector ? c.s.lanes : 1;
  Reg from = lo;
  c.e.vector_index = inner;
  if (lanes > 1) {
    c.e.scoped([&] {
      c.e.hoist(body, lanes);
      Reg whole = c.b.add(lo, c.b.op(LOp::And, {c.b.sub(hi, lo), c.b.i64(-static_cast<int64_t>(lanes))}));
      c.b.for_(lo, whole, lanes, [&](Reg i) {
        c.e.index[inner] = i;
        c.e.scoped([&] { sink(i, c.e.value(body, lanes), lanes); });
      });
      from = whole;
    });
  }
  c.e.scoped([&] {
    c.e.hoist(body, 1);
    c.b.for_(from, hi, 1, [&](Reg i) {
      c.e.index[inner] = i;
      c.e.scoped([&] { sink(i, c.e.value(body, 1), 1); });
    });
  });
  c.e.index.erase(inner);
  c.e.vector_index = -1;
}

template <class Sink>
static void sweep_pieces(LowerContext& c, const ExprPtr& body, int inner, Sink&& sink) {
  const ir::Dim& d = c.v.dims[inner];
  if (!d.is_const()) {
    c.e.vector_index = inner;
    bool vector = c.e.can_vectorize(body);
    sweep(c, body, inner, c.b.i64(0), c.e.dim(d), vector, sink);
    return;
  }
  std::vector<int64_t> at = pieces(body, inner, d.value, 8);
  for (size_t p = 0; p < at.size(); ++p) {
    int64_t hi = p + 1 < at.size() ? at[p + 1] : d.value;
    ExprPtr here = narrow(body, inner, at[p], hi);
    c.e.vector_index = inner;
    bool vector = c.e.can_vectorize(here) && hi - at[p] >= c.s.lanes;
    c.e.scoped([&] { sweep(c, here, inner, c.b.i64(at[p]), c.b.i64(hi), vector, sink); });
  }
}

// x[0..k) in scratch as f32 -> one row of planes at `row` of the result's buffer: EncodeRule::AbsMax of interp.h.
static bool encode_row(LowerContext& c, int scratch, int out, Reg row, int64_t k) {
  const ir::FormatType& f = *c.v.type.format;
  if (!f.row_planes || f.encode != ir::EncodeRule::AbsMax) return false;
  Builder& b = c.b;
  int64_t group = f.fields[f.scale_field].per;
  int64_t codes = ir::plane_offset(f, f.code_field, k), scales = ir::plane_offset(f, f.scale_field, k);
  int lanes = c.s.lanes;
  LUMEN_ASSERT(group % lanes == 0);
  // a derived field must be the sum of its entry's codes
  int sum_field = -1;
  for (size_t i = 0; i < f.fields.size(); ++i) {
    if (static_cast<int>(i) == f.code_field || static_cast<int>(i) == f.scale_field) continue;
    ExprPtr d = f.fields[i].derive;
    while (d && d->kind == ir::Ek::Cast) d = d->args[0];
    if (!d || d->kind != ir::Ek::Reduce || d->reduction != ir::Reduction::Sum || f.fields[i].per % lanes || f.fields[i].per > group || sum_field >= 0)
      return false;
    sum_field = static_cast<int>(i);
  }
  int64_t sums = sum_field >= 0 ? ir::plane_offset(f, sum_field, k) : 0;
  int64_t per = sum_field >= 0 ? f.fields[sum_field].per : lanes;
  b.for_(0, k / group, 1, [&](Reg g) {
    Reg x0 = b.mul_imm(g, group * 4);
    Reg peak = b.reg(Ty::F32, lanes, "peak");
    b.set(peak, b.f32(0, lanes));
    auto over = [&](int64_t n, int64_t step, auto&& body) {  // short groups unrolled
      if (n / step <= 4) for (int64_t i = 0; i < n; i += step) body(Reg{}, i);
      else b.for_(0, n, step, [&](Reg i) { body(i, 0); });
    };
    over(group, lanes, [&](Reg i, int64_t at) {
      Reg x = b.load(Ty::F32, lanes, DType::F32, {scratch, x0, i ? b.mul_imm(i, 4) : Reg{}, at * 4});
      b.set(peak, b.op(LOp::Max, {peak, b.op(LOp::Abs, {x})}));
    });
    Reg a = b.op(LOp::HMax, {peak});
    Reg inv1 = b.op(LOp::Select, {b.op(LOp::CmpLt, {b.f32(0, 1), a}), b.op(LOp::Div, {b.f32(127, 1), a}), b.f32(0, 1)});
    b.store(b.op(LOp::Div, {a, b.f32(127, 1)}), DType::F32, {out, row, b.mul_imm(g, 4), scales});
    Reg inv = b.splat(inv1, lanes), most = b.i32(127, lanes), least = b.i32(-127, lanes);
    Reg q0 = b.add(row, b.mul_imm(g, group));
    Reg s0 = b.add(row, b.mul_imm(g, group / per * 2));
    over(group, per, [&](Reg i, int64_t at) {
      Reg sum;
      for (int64_t j = 0; j < per; j += lanes) {
        Reg x = b.load(Ty::F32, lanes, DType::F32, {scratch, x0, i ? b.mul_imm(i, 4) : Reg{}, (at + j) * 4});
        Reg q = b.op(LOp::CvtI, {b.mul(x, inv)});
        q = b.op(LOp::Max, {b.op(LOp::Min, {q, most}), least});
        b.store(q, DType::I8, {out, q0, i, codes + at + j});
        sum = sum ? b.add(sum, q) : q;
      }
      if (sum_field >= 0) b.store(b.op(LOp::HAdd, {sum}), DType::I16, {out, s0, i ? b.mul_imm(b.op(LOp::Div, {i, b.i64(per)}), 2) : Reg{}, sums + at / per * 2});
    });
  });
  return true;
}

Result<Lowered> lower_rows(LowerContext& c) {
  Builder& b = c.b;
  int rank = static_cast<int>(c.v.dims.size()), inner = rank - 1, outer = rank > 0 ? rank - 1 : 0;
  int out = c.result_buffer();
  bool encoded = c.v.type.format && c.v.kind == ir::ValueKind::Compute;
  int scratch = -1;
  if (encoded) scratch = b.buffer("row", BufferKind::Scratch, (c.v.dims[inner].value * 4 + 63) / 64 * 64);
  c.e.vector_lanes = c.s.lanes;
  for (int a = 0; a < outer; ++a) c.add_item_factor(c.v.dims[a], 1);
  const ir::Type& target = c.v.kind == ir::ValueKind::Scatter ? c.f.values[c.v.operands[0]].type : c.v.type;
  if (c.v.kind == ir::ValueKind::Scatter && target.format) return c.unsupported("a scatter into a formatted state");

  bool ok = true;
  b.for_(b.begin(), b.end(), 1, [&](Reg item) {
    c.e.scoped([&] {
      bind_outer(c, item, outer);
      ExprPtr body = c.v.body;
      if (body->kind == ir::Ek::Cast && is_float(body->type) && body->type == target.scalar) body = body->args[0];  // the store converts
      if (rank == 0) {
        b.store(c.e.value(body, 1), target.scalar, {out, {}, {}, 0});
        return;
      }
      if (encoded) {
        sweep_pieces(c, body, inner, [&](Reg i, Reg x, int) { b.store(x, DType::F32, {scratch, b.mul_imm(i, 4), {}, 0}); });
        int64_t k = c.v.dims[inner].value;
        ok = encode_row(c, scratch, out, b.mul_imm(item, ir::row_bytes(*c.v.type.format, k)), k);
        return;
      }
      if (c.v.kind == ir::ValueKind::Scatter) {
        std::vector<ExprPtr> dest = c.v.dest;
        c.e.vector_index = inner;
        auto step = c.e.stride(target, dest);
        if (step && *step == 1) {
          sweep_pieces(c, body, inner, [&](Reg, Reg x, int) { b.store(x, target.scalar, c.e.address(target, out, dest)); });
        } else {
          sweep(c, body, inner, b.i64(0), c.e.dim(c.v.dims[inner]), false,
                [&](Reg, Reg x, int) { b.store(x, target.scalar, c.e.address(target, out, dest)); });
        }
        return;
      }
      const ir::Dim& d = c.v.dims[inner];
      Reg row = outer == 0 ? Reg{} : d.is_const() ? b.mul_imm(item, d.value * size_of(target.scalar))
                                                  : b.mul_imm(b.mul(item, c.e.dim(d)), size_of(target.scalar));
      sweep_pieces(c, body, inner, [&](Reg i, Reg x, int) { b.store(x, target.scalar, {out, b.mul_imm(i, size_of(target.scalar)), row, 0}); });
    });
  });
  if (!ok) return c.unsupported("encoding into format " + c.v.type.format->name);
  return c.finish();
}

}  // namespace lumen::loops
