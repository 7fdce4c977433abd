// For tests: runs a loop kernel through the evaluator and, compiled, through each CPU level, and compares the buffers.
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "compiler/loops/builder.h"
#include "compiler/target.h"

namespace lumen::cpu {

using Bytes = std::vector<uint8_t>;

struct CheckRun {
  loops::Kernel kernel;
  std::vector<Bytes> buffers;  // but for Scratch ones
  std::vector<int64_t> scalars;
  int64_t items = 1;
  double ulps = 0;  // how far f32 results may be off; 0: buffers are compared byte by byte
};

// "avx2", "avx512", "avx512vnni"
const std::vector<std::string>& levels();
Target& target(const std::string& level);  // made once, two threads
bool runs(const std::string& level);

// Empty, or what differs. A level that the CPU lacks is compiled only.
std::string check(const CheckRun& run, const std::string& level);
// Distance of two floats in units of the last place; NaNs are equal, as are zeros.
double ulp_distance(float a, float b);

Bytes random_bytes(std::mt19937& rng, size_t size);
Bytes random_floats(std::mt19937& rng, size_t count, bool edges);
template <class T>
Bytes bytes_of(const std::vector<T>& v) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(v.data());
  return Bytes(p, p + v.size() * sizeof(T));
}

}  // namespace lumen::cpu
