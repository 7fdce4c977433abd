// Every kernel of the standard library and every format, on this CPU's levels, against the interpreter on the same IR after the
// passes: requantised activations equal to the bit, floats within the reassociation of their sums.
#include "backend/cpu/cpu_target.h"
#include "compiler/plan/kernel_check_test.h"

namespace lumen {
namespace {
using namespace kernel_cases;

const std::vector<Target*>& targets() {
  static const std::vector<Target*> all = [] {
    static std::vector<std::unique_ptr<Target>> owned;
    const std::pair<const char*, bool> levels[] = {{"avx2", __builtin_cpu_supports("avx2")},
                                                   {"avx512", __builtin_cpu_supports("avx512bw")},
                                                   {"avx512vnni", __builtin_cpu_supports("avx512vnni")}};
    for (auto [level, here] : levels)
      if (here)
        owned.push_back(make_cpu_target({level, 2}).take());
      else
        std::printf("this CPU has no %s: its kernels are not run here\n", level);
    std::vector<Target*> out;
    for (auto& t : owned) out.push_back(t.get());
    return out;
  }();
  return all;
}

// One block, few, and about 576 elements; K-quants: one and two blocks; plain numbers: no whole vector, and several.
std::vector<int64_t> widths(const std::string& format) {
  ir::FormatRef f = sema::testing::find_format(format);
  if (!f) return {1, 7, 64, 96};
  int64_t block = f->block;
  if (block > 64) return {block, 2 * block};
  return {block, 3 * block, 576 / block * block};
}

TEST(Kernels, LinearInEveryFormat) {
  for (const std::string& format : weight_formats())
    for (int64_t k : widths(format))
      for (int64_t n : {1, 16, 41})
        for (int64_t t : {1, 3, 9})
          for (bool integer : {true, false}) {
            check(linear_case(format, k, n, t, integer, t == 1 ? 1 : t == 3 ? 4 : 0), targets(), {});
            if (HasFatalFailure()) return;
          }
}

TEST(Kernels, EmbeddingInEveryFormat) {
  for (const std::string& format : weight_formats()) {
    check(embedding_case(format), targets(), {});
    if (HasFatalFailure()) return;
  }
}

TEST(Kernels, RowsOfTheLibrary) {
  for (const Case& c : row_cases({1, 5})) {
    check(c, targets(), {});
    if (HasFatalFailure()) return;
  }
}

TEST(Kernels, AttentionOverPages) {
  for (const Case& c : {attention_case(9, 3, 64, 0), attention_case(4, 1, 256, 0), attention_case(4, 4, 32, 5),
                        attention_case(14, 2, 64, 40), attention_case(2, 1, 20, 0), attention_case(9, 3, 64, 0, false, 4),
                        attention_case(9, 3, 64, 0, true), attention_case(8, 1, 64, 20, true), attention_case(4, 2, 256, 0, true),
                        attention_case(2, 1, 20, 7, true)}) {
    check(c, targets(), {});
    if (HasFatalFailure()) return;
  }
}

// An answer is the same whatever steps it was made in: a row of a product, a token's attention have the same bits in every plan.
TEST(Kernels, PlansAgreeToTheBit) {
  for (Target* device : targets()) {
    for (const std::string& format : weight_formats())
      for (bool integer : {true, false}) {
        Case many = linear_case(format, widths(format).back(), 41, 9, integer, 0);
        ir::Tensor all = check_plans(many, *device, {0});
        for (int64_t rows : {1, 3}) {
          Case few = many;
          few.symbols["T"] = rows;
          ir::Tensor& x = few.params.at("x");
          x.data.resize(x.data.size() / 9 * static_cast<size_t>(rows));
          x.type.dims[0] = ir::Dim(rows);
          ir::Tensor some = rows == 1 ? check_plans(few, *device, {1, 4, 0}) : check_plans(few, *device, {4, 0});
          EXPECT_TRUE(std::equal(some.data.begin(), some.data.end(), all.data.begin())) << few.what << ": " << rows << " of 9 rows round otherwise";
        }
        if (HasFailure()) return;
      }
    for (bool prompt : {false, true})
      for (const Case& c : {attention_case(9, 3, 64, 0, prompt), attention_case(4, 4, 32, 5, prompt), attention_case(2, 1, 20, 7, prompt),
                            attention_case(4, 2, 256, 0, prompt)}) {
        check_plans(c, *device, {4, 0});
        if (HasFailure()) return;
      }
  }
}

TEST(Kernels, Count) {
  std::printf("%d kernel cases compared with the interpreter\n", compared);
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace lumen
