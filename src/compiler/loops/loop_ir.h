// Loop IR: what a kernel is just before a target makes code of it. Structured (loops, ifs), explicit vectors, registers that
// may be assigned more than once, memory addressed as buffer + byte offset. Made by the lowerings beside this file; printed by
// print(); turned into machine code by backend/cpu and into C-like text by backend/gpu.
//
// Invariants: three register types: I64 scalars (offsets, counters), I32 and F32 with `lanes` lanes (1 or the machine's width).
// A comparison gives an I32 mask, all ones or zero a lane. Operands of an op have the lanes of its result unless the table says
// otherwise. Every register is assigned before it is read, on every path.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace lumen::loops {

enum class Ty : uint8_t { I64, I32, F32 };

// X(id, text, number of register operands). "imm": uses Stmt::imm; "mem": uses Stmt::mem and Stmt::at.
// Vector integer ops on packed smaller integers view each 32-bit lane as four bytes or two halves, little-endian.
#define LUMEN_LOOP_OPS(X)                                                                                                     \
  X(Const, "const", 0)        /* any type: imm (I64, I32) or fimm (F32), in every lane */                                      \
  X(Mov, "mov", 1)                                                                                                            \
  X(Splat, "splat", 1)        /* F32x1 -> F32xL, I32x1 -> I32xL, I64 -> I32xL (low 32 bits) */                                  \
  X(Iota, "iota", 0)          /* I32xL: lane number + imm */                                                                   \
  X(ToI32, "to_i32", 1)       /* I64 -> I32x1 */                                                                               \
  X(ToI64, "to_i64", 1)       /* I32x1 -> I64, sign-extended */                                                                \
  X(Add, "add", 2) X(Sub, "sub", 2) X(Mul, "mul", 2) X(Min, "min", 2) X(Max, "max", 2) /* I64, I32 (wrapping, signed), F32 */   \
  X(Div, "div", 2)            /* F32; I64 and I32x1: floor, positive divisor */                                                 \
  X(Mod, "mod", 2)            /* I64 and I32x1: floor, positive divisor */                                                      \
  X(Neg, "neg", 1) X(Abs, "abs", 1) /* I32, F32 */                                                                             \
  X(And, "and", 2) X(Or, "or", 2) X(Xor, "xor", 2) /* I64, I32 */                                                              \
  X(AndNot, "andnot", 2)      /* I32: a & ~b */                                                                                \
  X(Shl, "shl", 1) X(ShrU, "shru", 1) X(ShrS, "shrs", 1) /* I64, I32 by imm */                                                  \
  X(ShlV, "shlv", 2) X(ShrUV, "shruv", 2) X(ShrSV, "shrsv", 2) /* I32 by a register of the same lanes, count 0..31 */            \
  X(CmpEq, "eq", 2) X(CmpLt, "lt", 2) X(CmpLe, "le", 2) /* I32 or F32 (ordered) operands -> I32 mask; I64 operands -> I64 0 or 1 */ \
  X(Select, "select", 3)      /* mask I32, a, b: mask ? a : b; for I64: condition I64 */                                        \
  X(Fma, "fma", 3)            /* F32: a * b + c, one rounding */                                                               \
  X(Sqrt, "sqrt", 1) X(Floor, "floor", 1) X(Round, "round", 1) /* F32; round to nearest even */                                 \
  X(Rcp, "rcp", 1)            /* F32: 1 / a, correctly rounded division */                                                      \
  X(Exp, "exp", 1) X(Log, "log", 1) X(Sin, "sin", 1) X(Cos, "cos", 1) X(Tanh, "tanh", 1) /* F32, within 2 ulp (4 for tanh); CPU targets expand them */ \
  X(CvtF, "cvt_f", 1)         /* I32 -> F32, round to nearest even */                                                           \
  X(CvtI, "cvt_i", 1)         /* F32 -> I32, round to nearest even */                                                           \
  X(TruncI, "trunc_i", 1)     /* F32 -> I32, toward zero */                                                                     \
  X(BitsF, "bits_f", 1) X(BitsI, "bits_i", 1) /* reinterpret I32 -> F32, F32 -> I32 */                                          \
  X(AddI16, "add_i16", 2)     /* I32 as halves: wrapping addition */                                                            \
  X(MaddUBS, "maddubs", 2)    /* bytes of a unsigned, of b signed: halves a0*b0+a1*b1, a2*b2+a3*b3, saturating (vpmaddubsw) */    \
  X(MaddWD, "maddwd", 2)      /* halves: a0*b0 + a1*b1 (vpmaddwd) */                                                            \
  X(Dot4, "dot4", 3)          /* a + sum of four byte products, b unsigned, c signed, wrapping (vpdpbusd) */                    \
  X(Lut16, "lut16", 1)        /* I32 as bytes: each byte (0..15) -> table[byte]; table = Stmt::table (16 bytes) */              \
  X(DupLo16, "dup_lo16", 1) X(DupHi16, "dup_hi16", 1) /* I32 as halves: (lo, lo), (hi, hi) */                                   \
  X(HAdd, "hadd", 1) X(HMax, "hmax", 1) /* F32xL or I32xL -> x1: sum, maximum of the lanes, folded in halves */                    \
  X(Lane, "lane", 1)          /* xL -> x1: lane imm */                                                                          \
  X(Load, "load", 0)          /* mem: L consecutive elements of mem type, converted to the result's type; with count: lanes >= count are 0, not read */ \
  X(LoadSplat, "load_splat", 0) /* mem: one element to every lane */                                                            \
  X(LoadPair, "load_pair", 0) /* mem I8/U8: 2L consecutive bytes, sign/zero-extended to halves of I32xL */                       \
  X(Store, "store", 1)        /* mem: L consecutive elements from src[0], converted (F32 -> F16/BF16 rounds to even; I32 -> narrower truncates); with count: only lanes < count */ \
  X(Prefetch, "prefetch", 0)  /* mem */

enum class LOp : uint8_t {
#define X(id, text, n) id,
  LUMEN_LOOP_OPS(X)
#undef X
};
std::string_view name(LOp op);
int operand_count(LOp op);

struct Reg {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
  bool operator==(const Reg&) const = default;
};
struct RegInfo {
  Ty type;
  int lanes;
  std::string hint;  // for people
};

// Byte address: start of buffer `buffer` + offset (I64 register, optional) + offset2 (optional) + disp.
struct Address {
  int buffer = -1;
  Reg offset, offset2;
  int64_t disp = 0;
};

struct Stmt {
  enum Kind : uint8_t { OpStmt, For, While, If, Comment } kind = OpStmt;
  LOp op = LOp::Const;
  Reg dst;
  Reg src[3];
  DType mem = DType::F32;      // element type in memory
  Address at;
  Reg count;                   // Load, Store: optional I64; only the first `count` lanes take part (0 <= count; >= lanes means all)
  int64_t imm = 0;
  double fimm = 0;
  std::vector<uint8_t> table;  // Lut16
  // For: dst (I64) runs from src[0] to src[1] (exclusive) by imm > 0. While: body runs as long as I64 src[0], set by the body
  // and before it, is non-zero. If: I64 src[0] non-zero.
  std::vector<Stmt> body, otherwise;
  bool unroll_hint = false;
  std::string text;            // Comment
};

// Scratch: private to one worker, `bytes` long, 64-byte aligned. Table: constants that the kernel brings itself.
enum class BufferKind : uint8_t { Input, Output, InOut, Scratch, Table };
struct BufferInfo {
  std::string name;
  BufferKind kind;
  int64_t bytes = 0;          // Scratch
  std::vector<uint8_t> data;  // Table
  bool given() const { return kind != BufferKind::Scratch && kind != BufferKind::Table; }  // by whoever launches the kernel
};

// Product of ceil(symbol or constant / divisor): how many items the outermost, parallel loop has.
struct CountFactor {
  int64_t value = 1;   // where symbol is empty
  std::string symbol;
  int64_t divisor = 1;
};

// One kernel. The body handles the items [begin, end), given as I64 registers; items are independent of each other.
// CPU calling convention: void f(uint8_t* const* buffers, const int64_t* scalars, int64_t begin, int64_t end), buffers in
// order of `buffers` (a Scratch buffer's pointer is the calling worker's own, a Table's points at a copy of its data), scalars in order of `scalars`.
// GPU: one invocation an item, begin = its number, end = begin + 1.
struct Kernel {
  std::string name;
  std::vector<BufferInfo> buffers;
  std::vector<std::string> scalars;   // run-time extents and parameters: "T"
  std::vector<Reg> scalar_regs;       // I64, set at entry
  Reg begin, end;
  std::vector<CountFactor> items;
  int64_t grain = 1;                  // items a worker should claim at once
  std::vector<RegInfo> regs;
  std::vector<Stmt> body;
};

std::string print(const Kernel& k);
std::string verify(const Kernel& k);  // empty: valid

}  // namespace lumen::loops
