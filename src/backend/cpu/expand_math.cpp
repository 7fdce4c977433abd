// The polynomials were fitted by reweighted least squares on Chebyshev nodes (near minimax), relative error below 6e-9.
#include "backend/cpu/expand_math.h"

#include <limits>

namespace lumen::cpu {
namespace {

using namespace loops;

// Appends ops to a statement list. All registers have the lanes of the op being replaced.
class Writer {
 public:
  Writer(Kernel& k, std::vector<Stmt>& out, int lanes) : k_(k), out_(out), lanes_(lanes) {}

  Reg f(double v) {
    Reg r = make(LOp::Const, Ty::F32, {});
    out_.back().fimm = v;
    return r;
  }
  Reg i(int64_t v) { return make(LOp::Const, Ty::I32, {}, v); }
  Reg real(LOp op, std::initializer_list<Reg> src) { return make(op, Ty::F32, src); }
  Reg integer(LOp op, std::initializer_list<Reg> src, int64_t imm = 0) { return make(op, Ty::I32, src, imm); }
  Reg fma(Reg a, Reg b, Reg c) { return real(LOp::Fma, {a, b, c}); }
  Reg mul(Reg a, Reg b) { return real(LOp::Mul, {a, b}); }
  Reg add(Reg a, Reg b) { return real(LOp::Add, {a, b}); }
  Reg sub(Reg a, Reg b) { return real(LOp::Sub, {a, b}); }
  Reg select(Reg mask, Reg a, Reg b) { return real(LOp::Select, {mask, a, b}); }
  // c[0] + c[1] x + c[2] x^2 ...
  Reg polynomial(Reg x, std::initializer_list<double> c) {
    const double* p = c.end() - 1;
    Reg r = f(*p);
    while (p != c.begin()) r = fma(r, x, f(*--p));
    return r;
  }
  void result(Reg dst) { out_.back().dst = dst; }  // the last op's result is `dst`

 private:
  Reg make(LOp op, Ty type, std::initializer_list<Reg> src, int64_t imm = 0) {
    k_.regs.push_back({type, lanes_, ""});
    Stmt& s = out_.emplace_back();
    s.op = op;
    s.dst = Reg{static_cast<int>(k_.regs.size()) - 1};
    s.imm = imm;
    int n = 0;
    for (Reg r : src) s.src[n++] = r;
    return s.dst;
  }
  Kernel& k_;
  std::vector<Stmt>& out_;
  int lanes_;
};

constexpr double kLn2High = 0.693145751953125, kLn2Low = 1.428606765330187e-06;  // the high part has 15 bits: n * high is exact
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// 2^n * (1 + r + r^2 P(r)), |r| <= ln 2 / 2. The power comes in two factors, so that results may be denormal. Constants stand
// first in min and max: those return the second operand where one is NaN.
Reg exp(Writer& w, Reg x) {
  x = w.real(LOp::Max, {w.f(-105), w.real(LOp::Min, {w.f(90), x})});
  Reg n = w.real(LOp::Round, {w.mul(x, w.f(1.4426950408889634))});
  Reg r = w.fma(n, w.f(-kLn2Low), w.fma(n, w.f(-kLn2High), x));
  Reg p = w.polynomial(r, {0.4999999403953552, 0.1666651964187622, 0.04166839271783829, 0.008368780836462975, 0.001381446490995586});
  Reg e = w.add(w.fma(w.mul(r, r), p, r), w.f(1));
  Reg i = w.integer(LOp::CvtI, {n}), half = w.integer(LOp::ShrS, {i}, 1), rest = w.integer(LOp::Sub, {i, half});
  auto power = [&](Reg k) { return w.real(LOp::BitsF, {w.integer(LOp::Shl, {w.integer(LOp::Add, {k, w.i(127)})}, 23)}); };
  return w.mul(w.mul(e, power(half)), power(rest));
}

// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt 2): e ln 2 + f - f^2 / 2 + f^3 P(f).
Reg log(Writer& w, Reg x) {
  constexpr int64_t kSqrtHalf = 0x3F3504F3;
  Reg tiny = w.integer(LOp::CmpLt, {x, w.f(1.17549435e-38)});
  Reg scaled = w.select(tiny, w.mul(x, w.f(8388608)), x);
  Reg bits = w.integer(LOp::Sub, {w.integer(LOp::BitsI, {scaled}), w.i(kSqrtHalf)});
  Reg e = w.real(LOp::CvtF, {w.integer(LOp::ShrS, {bits}, 23)});
  e = w.sub(e, w.select(tiny, w.f(23), w.f(0)));
  Reg m = w.integer(LOp::Add, {w.integer(LOp::And, {bits, w.i(0x7FFFFF)}), w.i(kSqrtHalf)});
  Reg f = w.sub(w.real(LOp::BitsF, {m}), w.f(1));
  Reg p = w.polynomial(f, {0.3333331346511841, -0.25000008940696716, 0.2000211924314499, -0.1666799634695053, 0.14219550788402557,
                           -0.12405591458082199, 0.11888174712657928, -0.11675640940666199, 0.06746601313352585});
  Reg f2 = w.mul(f, f);
  Reg tail = w.fma(w.mul(f, f2), p, w.mul(f2, w.f(-0.5)));
  Reg r = w.fma(e, w.f(kLn2High), w.add(f, w.fma(e, w.f(kLn2Low), tail)));
  r = w.select(w.integer(LOp::CmpLt, {x, w.f(kInfinity)}), r, x);  // infinity and NaN stay
  r = w.select(w.integer(LOp::CmpEq, {x, w.f(0)}), w.f(-kInfinity), r);
  return w.select(w.integer(LOp::CmpLt, {x, w.f(0)}), w.f(std::numeric_limits<double>::quiet_NaN()), r);
}

// x = n pi/2 + r, pi/2 in three floats; fma makes the first difference exact. Odd quadrants swap sine and cosine.
Reg sin_cos(Writer& w, Reg x, bool cosine) {
  Reg n = w.real(LOp::Round, {w.mul(x, w.f(0.6366197723675814))});
  Reg r = w.fma(n, w.f(-1.5707963705062866), x);
  r = w.fma(n, w.f(4.371138828673793e-08), r);
  r = w.fma(n, w.f(1.7151245100058819e-15), r);
  Reg q = w.integer(LOp::CvtI, {n});
  if (cosine) q = w.integer(LOp::Add, {q, w.i(1)});
  Reg z = w.mul(r, r);
  Reg s = w.fma(w.mul(z, r), w.polynomial(z, {-0.16666655242443085, 0.008332176133990288, -0.000195169763173908}), r);
  Reg c = w.polynomial(z, {0.04166664555668831, -0.0013887364184483886, 2.4438089894829318e-05});
  c = w.fma(z, w.fma(z, c, w.f(-0.5)), w.f(1));
  Reg odd = w.integer(LOp::CmpEq, {w.integer(LOp::And, {q, w.i(1)}), w.i(1)});
  Reg v = w.select(odd, c, s);
  Reg sign = w.integer(LOp::Shl, {w.integer(LOp::And, {q, w.i(2)})}, 30);
  return w.real(LOp::BitsF, {w.integer(LOp::Xor, {w.integer(LOp::BitsI, {v}), sign})});
}

// Small |x|: x + x^3 P(x^2). Else 1 - 2 / (exp(2|x|) + 1) with x's sign.
Reg tanh(Writer& w, Reg x) {
  Reg a = w.real(LOp::Abs, {x}), z = w.mul(x, x);
  Reg p = w.polynomial(z, {-0.3333328366279602, 0.13331490755081177, -0.05374349653720856, 0.020650578662753105, -0.005717036779969931});
  Reg small = w.fma(w.mul(z, x), p, x);
  Reg e = exp(w, w.add(a, a));
  Reg big = w.sub(w.f(1), w.real(LOp::Div, {w.f(2), w.add(e, w.f(1))}));
  Reg sign = w.integer(LOp::And, {w.integer(LOp::BitsI, {x}), w.i(-0x7FFFFFFF - 1)});
  big = w.real(LOp::BitsF, {w.integer(LOp::Or, {w.integer(LOp::BitsI, {big}), sign})});
  return w.select(w.integer(LOp::CmpLt, {a, w.f(0.625)}), small, big);
}

void expand(Kernel& k, std::vector<Stmt>& body) {
  std::vector<Stmt> out;
  out.reserve(body.size());
  for (Stmt& s : body) {
    expand(k, s.body);
    expand(k, s.otherwise);
    bool math =
        s.kind == Stmt::OpStmt && (s.op == LOp::Exp || s.op == LOp::Log || s.op == LOp::Sin || s.op == LOp::Cos || s.op == LOp::Tanh);
    if (!math) {
      out.push_back(std::move(s));
      continue;
    }
    Writer w(k, out, k.regs[s.dst.id].lanes);
    Reg x = s.src[0], dst = s.dst;
    switch (s.op) {
      case LOp::Exp: exp(w, x); break;
      case LOp::Log: log(w, x); break;
      case LOp::Tanh: tanh(w, x); break;
      default: sin_cos(w, x, s.op == LOp::Cos); break;
    }
    w.result(dst);
  }
  body = std::move(out);
}

}  // namespace

void expand_math(Kernel& k) { expand(k, k.body); }

}  // namespace lumen::cpu
