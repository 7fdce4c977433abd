// The reference evaluator. Values are bit patterns: up to 64 lanes of 32 bits, or one 64-bit integer.
// Minimum and maximum are `a < b ? a : b` and `a > b ? a : b`; conversions of what does not fit an i32 give INT_MIN.
#include "compiler/loops/eval.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "compiler/loops/print_stmt.h"

namespace lumen::loops {
namespace {

constexpr int kMaxLanes = 64;

struct Value {
  int64_t i64 = 0;
  uint32_t bits[kMaxLanes] = {};
  float f(int l) const { return std::bit_cast<float>(bits[l]); }
  int32_t i(int l) const { return static_cast<int32_t>(bits[l]); }
};

uint32_t bits_of(float f) { return std::bit_cast<uint32_t>(f); }

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

int32_t to_int(double v) { return v >= -2147483648.0 && v <= 2147483647.0 ? static_cast<int32_t>(v) : INT32_MIN; }

int16_t saturate16(int32_t v) { return static_cast<int16_t>(v > 32767 ? 32767 : v < -32768 ? -32768 : v); }

uint32_t halves(int32_t lo, int32_t hi) { return (static_cast<uint32_t>(lo) & 0xFFFF) | static_cast<uint32_t>(hi) << 16; }
int32_t half(uint32_t v, int i) { return static_cast<int16_t>(v >> (16 * i)); }
int32_t byte_u(uint32_t v, int i) { return static_cast<uint8_t>(v >> (8 * i)); }
int32_t byte_s(uint32_t v, int i) { return static_cast<int8_t>(v >> (8 * i)); }

float float_op(LOp op, float a, float b) {
  switch (op) {
    case LOp::Add: return a + b;
    case LOp::Sub: return a - b;
    case LOp::Mul: return a * b;
    case LOp::Div: return a / b;
    case LOp::Min: return a < b ? a : b;
    case LOp::Max: return a > b ? a : b;
    case LOp::Neg: return -a;
    case LOp::Abs: return std::fabs(a);
    case LOp::Sqrt: return std::sqrt(a);
    case LOp::Floor: return std::floor(a);
    case LOp::Round: return std::nearbyint(a);
    case LOp::Rcp: return 1.0f / a;
    case LOp::Exp: return static_cast<float>(std::exp(static_cast<double>(a)));
    case LOp::Log: return static_cast<float>(std::log(static_cast<double>(a)));
    case LOp::Sin: return static_cast<float>(std::sin(static_cast<double>(a)));
    case LOp::Cos: return static_cast<float>(std::cos(static_cast<double>(a)));
    case LOp::Tanh: return static_cast<float>(std::tanh(static_cast<double>(a)));
    default: return 0;
  }
}

int64_t long_op(LOp op, int64_t a, int64_t b) {
  uint64_t ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  switch (op) {
    case LOp::Add: return static_cast<int64_t>(ua + ub);
    case LOp::Sub: return static_cast<int64_t>(ua - ub);
    case LOp::Mul: return static_cast<int64_t>(ua * ub);
    case LOp::Min: return a < b ? a : b;
    case LOp::Max: return a > b ? a : b;
    case LOp::And: return a & b;
    case LOp::Or: return a | b;
    case LOp::Xor: return a ^ b;
    case LOp::CmpEq: return a == b;
    case LOp::CmpLt: return a < b;
    case LOp::CmpLe: return a <= b;
    default: return 0;
  }
}

uint32_t int_op(LOp op, uint32_t a, uint32_t b, uint32_t c, const Stmt& s) {
  int32_t sa = static_cast<int32_t>(a), sb = static_cast<int32_t>(b);
  switch (op) {
    case LOp::Add: return a + b;
    case LOp::Sub: return a - b;
    case LOp::Mul: return a * b;
    case LOp::Min: return sa < sb ? a : b;
    case LOp::Max: return sa > sb ? a : b;
    case LOp::Neg: return 0u - a;
    case LOp::Abs: return sa < 0 ? 0u - a : a;
    case LOp::And: return a & b;
    case LOp::Or: return a | b;
    case LOp::Xor: return a ^ b;
    case LOp::AndNot: return a & ~b;
    case LOp::Shl: return a << s.imm;
    case LOp::ShrU: return a >> s.imm;
    case LOp::ShrS: return static_cast<uint32_t>(sa >> s.imm);
    case LOp::ShlV: return b < 32 ? a << b : 0;
    case LOp::ShrUV: return b < 32 ? a >> b : 0;
    case LOp::ShrSV: return static_cast<uint32_t>(sa >> (b < 32 ? b : 31));
    case LOp::CmpEq: return a == b ? ~0u : 0;
    case LOp::CmpLt: return sa < sb ? ~0u : 0;
    case LOp::CmpLe: return sa <= sb ? ~0u : 0;
    case LOp::AddI16: return halves(half(a, 0) + half(b, 0), half(a, 1) + half(b, 1));
    case LOp::MaddUBS:
      return halves(saturate16(byte_u(a, 0) * byte_s(b, 0) + byte_u(a, 1) * byte_s(b, 1)),
                    saturate16(byte_u(a, 2) * byte_s(b, 2) + byte_u(a, 3) * byte_s(b, 3)));
    case LOp::MaddWD: return static_cast<uint32_t>(half(a, 0) * half(b, 0)) + static_cast<uint32_t>(half(a, 1) * half(b, 1));
    case LOp::Dot4: {
      uint32_t sum = a;
      for (int i = 0; i < 4; ++i) sum += static_cast<uint32_t>(byte_u(b, i) * byte_s(c, i));
      return sum;
    }
    case LOp::Lut16: {
      uint32_t r = 0;
      for (int i = 0; i < 4; ++i)
        if (byte_u(a, i) < 128) r |= static_cast<uint32_t>(s.table[byte_u(a, i) & 15]) << (8 * i);
      return r;
    }
    case LOp::DupLo16: return (a & 0xFFFF) | a << 16;
    case LOp::DupHi16: return (a >> 16) | (a & 0xFFFF0000);
    default: return 0;
  }
}

class Evaluator {
 public:
  Evaluator(const Kernel& k, std::span<const EvalBuffer> buffers) : k_(k), values_(k.regs.size()) {
    scratch_.resize(k.buffers.size());
    size_t next = 0;
    for (size_t i = 0; i < k.buffers.size(); ++i) {
      if (k.buffers[i].kind == BufferKind::Scratch) {
        scratch_[i].assign(static_cast<size_t>(k.buffers[i].bytes), 0xA5);
        buffers_.push_back({scratch_[i].data(), k.buffers[i].bytes});
      } else if (k.buffers[i].kind == BufferKind::Table) {
        scratch_[i] = k.buffers[i].data;
        buffers_.push_back({scratch_[i].data(), static_cast<int64_t>(scratch_[i].size())});
      } else {
        buffers_.push_back(next < buffers.size() ? buffers[next] : EvalBuffer{});
        ++next;
      }
    }
    enough_buffers_ = next == buffers.size();
  }

  Status run(std::span<const int64_t> scalars, int64_t begin, int64_t end) {
    std::string wrong = verify(k_);
    if (!wrong.empty()) return Error{wrong};
    if (!enough_buffers_ || scalars.size() != k_.scalars.size())
      return Error{"loop kernel '" + k_.name + "': wrong number of buffers or scalars given"};
    values_[k_.begin.id].i64 = begin;
    values_[k_.end.id].i64 = end;
    for (size_t i = 0; i < scalars.size(); ++i) values_[k_.scalar_regs[i].id].i64 = scalars[i];
    if (!block(k_.body)) return Error{error_};
    return ok_status();
  }

 private:
  bool fail(const Stmt& s, const std::string& message) {
    error_ = "loop kernel '" + k_.name + "': " + message + ", in: " + print_stmt(k_, s);
    return false;
  }
  Ty type(Reg r) const { return k_.regs[r.id].type; }
  int lanes(Reg r) const { return k_.regs[r.id].lanes; }
  const Value& value(Reg r) const { return values_[r.id]; }

  bool block(const std::vector<Stmt>& body) {
    for (const Stmt& s : body)
      if (!statement(s)) return false;
    return true;
  }

  bool statement(const Stmt& s) {
    switch (s.kind) {
      case Stmt::Comment: return true;
      case Stmt::OpStmt: return op(s);
      case Stmt::For: {
        int64_t hi = value(s.src[1]).i64;
        for (int64_t i = value(s.src[0]).i64; i < hi; i += s.imm) {
          values_[s.dst.id].i64 = i;
          if (!block(s.body)) return false;
        }
        return true;
      }
      case Stmt::While:
        while (value(s.src[0]).i64 != 0)
          if (!block(s.body)) return false;
        return true;
      case Stmt::If: return block(value(s.src[0]).i64 != 0 ? s.body : s.otherwise);
    }
    return fail(s, "unknown statement");
  }

  // The start of `bytes` bytes at a statement's address, or null.
  uint8_t* at(const Stmt& s, int64_t bytes) {
    int64_t offset = s.at.disp;
    if (s.at.offset) offset += value(s.at.offset).i64;
    if (s.at.offset2) offset += value(s.at.offset2).i64;
    const EvalBuffer& b = buffers_[s.at.buffer];
    if (offset >= 0 && bytes <= b.size && offset <= b.size - bytes) return b.data + offset;
    fail(s, "access to bytes " + std::to_string(offset) + " .. " + std::to_string(offset + bytes) + " of a buffer of " +
                std::to_string(b.size));
    return nullptr;
  }

  bool load(const Stmt& s) {
    int n = lanes(s.dst), size = size_of(s.mem);
    int64_t take = n;
    if (s.count) take = std::min<int64_t>(n, std::max<int64_t>(0, value(s.count).i64));
    int64_t elements = s.op == LOp::LoadSplat ? 1 : s.op == LOp::LoadPair ? 2 * n : take;
    Value v;
    if (elements > 0) {
      const uint8_t* p = at(s, elements * size);
      if (!p) return false;
      for (int l = 0; l < (s.op == LOp::Load ? take : n); ++l) {
        if (s.op == LOp::LoadPair)
          v.bits[l] = halves(static_cast<int32_t>(element(s.mem, p + 2 * l)), static_cast<int32_t>(element(s.mem, p + 2 * l + 1)));
        else
          read(s, s.op == LOp::LoadSplat ? p : p + l * size, l, v);
      }
    }
    values_[s.dst.id] = v;
    return true;
  }

  static int64_t element(DType mem, const uint8_t* p) {
    int64_t v = 0;
    std::memcpy(&v, p, static_cast<size_t>(size_of(mem)));
    int unused = 64 - 8 * size_of(mem);
    return is_signed(mem) ? static_cast<int64_t>(static_cast<uint64_t>(v) << unused) >> unused : v;
  }

  void read(const Stmt& s, const uint8_t* p, int lane, Value& v) {
    if (s.mem == DType::F32) std::memcpy(&v.bits[lane], p, 4);
    else if (s.mem == DType::F16) v.bits[lane] = bits_of(half_to_float(static_cast<uint16_t>(p[0] | p[1] << 8)));
    else if (s.mem == DType::BF16) v.bits[lane] = bits_of(bfloat_to_float(static_cast<uint16_t>(p[0] | p[1] << 8)));
    else if (type(s.dst) == Ty::F32) v.bits[lane] = bits_of(static_cast<float>(element(s.mem, p)));
    else if (type(s.dst) == Ty::I32) v.bits[lane] = static_cast<uint32_t>(element(s.mem, p));
    else v.i64 = element(s.mem, p);
  }

  bool store(const Stmt& s) {
    int64_t take = lanes(s.src[0]);
    if (s.count) take = std::min(take, std::max<int64_t>(0, value(s.count).i64));
    if (take == 0) return true;
    size_t size = static_cast<size_t>(size_of(s.mem));
    uint8_t* p = at(s, take * static_cast<int64_t>(size));
    if (!p) return false;
    const Value& v = value(s.src[0]);
    for (int l = 0; l < take; ++l) {
      uint64_t bits = type(s.src[0]) == Ty::I64 ? static_cast<uint64_t>(v.i64) : v.bits[l];
      if (s.mem == DType::F16) bits = float_to_half(v.f(l));
      if (s.mem == DType::BF16) bits = float_to_bfloat(v.f(l));
      std::memcpy(p + static_cast<size_t>(l) * size, &bits, size);
    }
    return true;
  }

  bool op(const Stmt& s) {
    switch (s.op) {
      case LOp::Load: case LOp::LoadSplat: case LOp::LoadPair: return load(s);
      case LOp::Store: return store(s);
      case LOp::Prefetch: return true;
      default: break;
    }
    if ((s.op == LOp::Div || s.op == LOp::Mod) && type(s.dst) != Ty::F32) return divide(s);
    Value v;
    if (type(s.dst) == Ty::I64) v.i64 = long_result(s);
    else
      for (int l = 0; l < lanes(s.dst); ++l) v.bits[l] = lane(s, l);
    values_[s.dst.id] = v;
    return true;
  }

  bool divide(const Stmt& s) {
    bool wide = type(s.dst) == Ty::I64;
    int64_t a = wide ? value(s.src[0]).i64 : value(s.src[0]).i(0), b = wide ? value(s.src[1]).i64 : value(s.src[1]).i(0);
    if (b <= 0) return fail(s, "division by " + std::to_string(b));
    int64_t rest = a % b, r = s.op == LOp::Div ? floor_div(a, b) : rest < 0 ? rest + b : rest;
    Value v;
    if (wide) v.i64 = r;
    else v.bits[0] = static_cast<uint32_t>(r);
    values_[s.dst.id] = v;
    return true;
  }

  int64_t long_result(const Stmt& s) const {
    int64_t a = s.src[0] ? value(s.src[0]).i64 : 0;
    switch (s.op) {
      case LOp::Const: return s.imm;
      case LOp::Mov: return a;
      case LOp::ToI64: return value(s.src[0]).i(0);
      case LOp::Shl: return static_cast<int64_t>(static_cast<uint64_t>(a) << s.imm);
      case LOp::ShrU: return static_cast<int64_t>(static_cast<uint64_t>(a) >> s.imm);
      case LOp::ShrS: return a >> s.imm;
      case LOp::Select: return a != 0 ? value(s.src[1]).i64 : value(s.src[2]).i64;
      default: return long_op(s.op, a, value(s.src[1]).i64);
    }
  }

  uint32_t lane(const Stmt& s, int l) const {
    auto bits = [&](int i) { return s.src[i] ? value(s.src[i]).bits[l] : 0u; };
    auto real = [&](int i) { return std::bit_cast<float>(bits(i)); };
    bool of_float = s.src[0] && type(s.src[0]) == Ty::F32;
    switch (s.op) {
      case LOp::Const: return type(s.dst) == Ty::F32 ? bits_of(static_cast<float>(s.fimm)) : static_cast<uint32_t>(s.imm);
      case LOp::Mov: case LOp::BitsF: case LOp::BitsI: return bits(0);
      case LOp::Splat: return type(s.src[0]) == Ty::I64 ? static_cast<uint32_t>(value(s.src[0]).i64) : value(s.src[0]).bits[0];
      case LOp::Iota: return static_cast<uint32_t>(l + s.imm);
      case LOp::ToI32: return static_cast<uint32_t>(value(s.src[0]).i64);
      case LOp::Select: return value(s.src[0]).bits[l] != 0 ? bits(1) : bits(2);
      case LOp::Fma: return bits_of(std::fma(real(0), real(1), real(2)));
      case LOp::CvtF: return bits_of(static_cast<float>(value(s.src[0]).i(l)));
      case LOp::CvtI: return static_cast<uint32_t>(to_int(std::nearbyint(real(0))));
      case LOp::TruncI: return static_cast<uint32_t>(to_int(std::trunc(real(0))));
      case LOp::Lane: return value(s.src[0]).bits[s.imm];
      case LOp::HAdd: case LOp::HMax: return across(s, of_float);
      case LOp::CmpEq: if (of_float) return real(0) == real(1) ? ~0u : 0; break;
      case LOp::CmpLt: if (of_float) return real(0) < real(1) ? ~0u : 0; break;
      case LOp::CmpLe: if (of_float) return real(0) <= real(1) ? ~0u : 0; break;
      default: if (of_float) return bits_of(float_op(s.op, real(0), real(1))); break;
    }
    return int_op(s.op, bits(0), bits(1), bits(2), s);
  }

  uint32_t across(const Stmt& s, bool of_float) const {
    Value x = value(s.src[0]);
    for (int n = lanes(s.src[0]) / 2; n > 0; n /= 2)
      for (int l = 0; l < n; ++l) {
        if (s.op == LOp::HAdd) x.bits[l] = of_float ? bits_of(x.f(l) + x.f(l + n)) : x.bits[l] + x.bits[l + n];
        else if (of_float ? x.f(l + n) > x.f(l) : x.i(l + n) > x.i(l)) x.bits[l] = x.bits[l + n];
      }
    return x.bits[0];
  }

  const Kernel& k_;
  std::vector<Value> values_;
  std::vector<EvalBuffer> buffers_;
  std::vector<std::vector<uint8_t>> scratch_;
  bool enough_buffers_ = false;
  std::string error_;
};

}  // namespace

Status eval(const Kernel& k, std::span<const EvalBuffer> buffers, std::span<const int64_t> scalars, int64_t begin, int64_t end) {
  return Evaluator(k, buffers).run(scalars, begin, end);
}

}  // namespace lumen::loops
