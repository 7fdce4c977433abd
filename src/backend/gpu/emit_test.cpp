// Kernels of the standard library as WGSL text (tests/filetests/codegen/wgsl), and what the emitter refuses. Whether the text
// computes the right thing is tested on a device: backend/webgpu/kernels_test.cpp.
#include "backend/gpu/emit.h"

#include <gtest/gtest.h>

#include "backend/gpu/alignment.h"
#include "base/filetest.h"
#include "compiler/loops/builder.h"
#include "compiler/passes/passes.h"
#include "compiler/schedule/choose.h"
#include "compiler/sema/library.h"

namespace lumen::gpu {
namespace {
using loops::Address;
using loops::BufferKind;
using loops::Builder;
using loops::LOp;
using loops::Reg;
using loops::Ty;

Machine machine() {
  Machine m;
  m.name = "wgsl";
  m.gpu = true;
  return m;
}

// "linear K=64 N=8 W=q4_0": the kernels of that function.
std::string kernels_of(const std::string& command) {
  auto lib = sema::Library::standard();
  if (!lib) return lib.error().message;
  std::istringstream words(command);
  std::string fn, word;
  words >> fn;
  std::map<std::string, sema::StaticValue> bind;
  while (words >> word) {
    std::string key = word.substr(0, word.find('=')), text = word.substr(word.find('=') + 1);
    auto format = lib->format(text);
    if (std::isdigit(static_cast<unsigned char>(text[0])) && text.find('.') != std::string::npos)
      bind[key] = std::stod(text);
    else if (std::isdigit(static_cast<unsigned char>(text[0])))
      bind[key] = static_cast<int64_t>(std::stoll(text));
    else if (format && *format)
      bind[key] = *format;
    else
      bind[key] = text;
  }
  auto f = sema::elaborate_function(*lib, fn, bind);
  if (!f) return f.error().message;
  passes::Options o;
  o.activation = [&](int group) -> ir::FormatRef {
    auto a = lib->format("act_q8<" + std::to_string(group) + ">");
    return a ? *a : nullptr;
  };
  passes::run(*f, o);
  std::string out;
  Machine m = machine();
  for (const ir::Value& v : f->values) {
    if (v.kind != ir::ValueKind::Compute && v.kind != ir::ValueKind::Scatter) continue;
    auto lowered = loops::lower(*f, v, m, schedule::choose(*f, v, m, 1));
    if (!lowered) return lowered.error().message;
    auto shader = emit(lowered->kernel, wgsl());
    out += (out.empty() ? "" : "\n") + (shader ? shader->text : shader.error().message + "\n");
  }
  return out;
}

TEST(Wgsl, Kernels) {
  filetest::run_filetests("codegen/wgsl", [](const filetest::Case& c) { return kernels_of(c.command); });
}

TEST(Wgsl, Alignment) {
  Builder b("k");
  int in = b.buffer("x", BufferKind::Input), out = b.buffer("y", BufferKind::Output);
  Reg odd = b.mul_imm(b.begin(), 3), even = b.mul_imm(b.begin(), 18), four = b.mul_imm(b.begin(), 12);
  b.store(b.load(Ty::I32, 1, DType::I32, {in, four, {}, 8}), DType::I32, {out, four, {}, 0});
  loops::Kernel k = b.take();
  std::vector<int> z = low_zero_bits(k);
  EXPECT_EQ(alignment({in, odd, {}, 0}, z), 1);
  EXPECT_EQ(alignment({in, even, {}, 0}, z), 2);
  EXPECT_EQ(alignment({in, even, odd, 0}, z), 1);
  EXPECT_EQ(alignment({in, four, {}, 8}, z), 4);
  EXPECT_EQ(alignment({in, four, {}, 6}, z), 2);
  EXPECT_EQ(alignment({in, {}, {}, 0}, z), 4);
}

TEST(Wgsl, AVariableIsAsAlignedAsItsWorstAssignment) {
  Builder b("k");
  int out = b.buffer("y", BufferKind::Output);
  Reg r = b.reg(Ty::I64, 1);
  b.set(r, b.i64(0));
  b.for_(0, 8, 1, [&](Reg) {
    b.store(b.i32(1, 1), DType::I32, {out, r, {}, 0});
    b.set_op(r, LOp::Add, {r, b.i64(6)});
  });
  loops::Kernel k = b.take();
  EXPECT_EQ(low_zero_bits(k)[static_cast<size_t>(r.id)], 1);
  auto s = emit(k, wgsl());
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_NE(s->text.find("b0_put_u32_2("), std::string::npos) << s->text;
  EXPECT_NE(s->text.find("array<atomic<u32>>"), std::string::npos) << s->text;  // halves are stored
}

TEST(Wgsl, WholeWordsNeedNoAtomics) {
  Builder b("k");
  int out = b.buffer("y", BufferKind::Output);
  b.store(b.f32(-0.1, 1), DType::F32, {out, b.mul_imm(b.begin(), 4), {}, 0});
  auto s = emit(b.take(), wgsl());
  ASSERT_TRUE(s) << s.error().message;
  EXPECT_EQ(s->text.find("atomic"), std::string::npos) << s->text;
  EXPECT_NE(s->text.find("(-0.100000001f)"), std::string::npos) << s->text;
  EXPECT_EQ(s->used, std::vector<bool>{true});
  EXPECT_EQ(s->scratch_bytes, 0);
  EXPECT_EQ(s->launch_bytes, 16);
}

std::string refusal(const std::function<void(Builder&, int)>& body) {
  Builder b("bad");
  int out = b.buffer("y", BufferKind::Output);
  body(b, out);
  auto s = emit(b.take(), wgsl());
  return s ? "nothing refused" : s.error().message;
}

TEST(Wgsl, Refusals) {
  EXPECT_EQ(refusal([](Builder& b, int out) {
              b.store(b.f32(0, 8), DType::F32, {out, {}, {}, 0});
            }),
            "kernel bad has vectors of 8 lanes, wgsl takes scalar kernels");
  EXPECT_EQ(refusal([](Builder& b, int out) {
              b.store(b.f32(0, 1), DType::F32, {out, b.add_imm(b.begin(), int64_t{1} << 31), {}, 0});
            }),
            "kernel bad in wgsl: the constant 2147483648 does not fit 32 bits");
  EXPECT_EQ(refusal([](Builder& b, int out) {
              b.store(b.add_imm(b.begin(), 1), DType::I64, {out, {}, {}, 0});
            }),
            "kernel bad in wgsl: no spelling for a store of i64");
  EXPECT_EQ(refusal([](Builder& b, int out) {
              b.store(b.op(LOp::ToI32, {b.op(LOp::ShrS, {b.begin()}, 40)}), DType::I32, {out, {}, {}, 0});
            }),
            "kernel bad in wgsl: no spelling for: shrs by 40");
}

}  // namespace
}  // namespace lumen::gpu
