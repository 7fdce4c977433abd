// Dialect: how one C-like language of device code spells the loop IR. The emitter (emit.cpp) knows the structure of a kernel and
// no language; a language is the table here. Patterns: $0 $1 $2 operands, $i an immediate, $w0 … $w3 the words of a byte table,
// $x the raw bits read from memory (unsigned, zero-extended), $b a buffer's name, $n a number, $c a comment.
//
// Invariants: operands put into a pattern are identifiers or literals that need no parentheses. I64 registers become 32-bit
// integers: offsets and extents stay below 2^31, and a constant that does not is an Error. Byte addresses are unsigned.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "compiler/loops/loop_ir.h"

namespace lumen::gpu {

inline constexpr unsigned kI64 = 1, kI32 = 2, kF32 = 4, kInt = kI64 | kI32, kAny = kInt | kF32;

// The expression of `op` on operands of one of `types` (the first operand's; the result's where there is none).
struct OpSpelling {
  loops::LOp op;
  unsigned types;
  std::string_view text;
};

// The bits $x of an element in memory as a register's value; a register's value $0 as bits for memory.
struct Conversion {
  loops::Ty type;
  DType memory;
  std::string_view load, store;  // store empty: not stored as this
};

// A function of the emitted text, present only where something calls it; ordered so that callees come first.
struct Helper {
  std::string_view name;  // "$b_u16_2": bytes of a buffer, known alignment of the address
  std::string_view text;
};

// Plain: nothing narrower than a word is stored. Shared: narrow stores, where invocations may share a word. Scratch: one slice of
// a common buffer for each invocation.
enum class Flavour : uint8_t { Plain, Shared, Scratch };
struct BufferSpelling {
  std::string_view declare;
  std::vector<Helper> helpers;  // $b_u8_1 $b_u16_1 $b_u16_2 $b_u32_1 $b_u32_2 $b_u32_4, the same with put_
};

struct Dialect {
  std::string_view name;
  std::vector<OpSpelling> ops;
  std::vector<Conversion> conversions;
  std::vector<Helper> prelude;
  BufferSpelling plain, shared, scratch;
  std::string_view integer, real;             // type names
  std::string_view let, variable, assign;     // $t type, $0 name, $1 value
  std::string_view for_, while_, if_, else_;  // openings of blocks, closed by "}"; for: $0 from $1 to $2 by $i
  std::string_view int_literal, negative_literal, least_int, float_literal, infinity, not_a_number;  // $n; infinity: $n is "" or "-"
  std::string_view address;                                   // $0: a sum of integers, as an unsigned byte address
  std::string_view pair_i8, pair_u8;                          // $x: two bytes -> two halves
  std::string_view launch_open, launch_scalar, launch_close;  // what a launch passes: first item, count, scalars $n ($c its name)
  std::string_view main_open, main_scratch, main_items, main_scalar, main_close;
};

const Dialect& wgsl();

}  // namespace lumen::gpu
