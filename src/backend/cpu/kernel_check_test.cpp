// The comparison of compiled kernels with the evaluator, for the tests beside this file.
#include "backend/cpu/kernel_check.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "backend/cpu/cpu_target.h"
#include "backend/cpu/features.h"
#include "backend/cpu/prepare.h"
#include "backend/cpu/x86_64/emit.h"
#include "compiler/loops/eval.h"

namespace lumen::cpu {

const std::vector<std::string>& levels() {
  static const std::vector<std::string> kLevels = {"avx2", "avx512", "avx512vnni"};
  return kLevels;
}

Target& target(const std::string& level) {
  static std::map<std::string, std::unique_ptr<Target>> targets;
  std::unique_ptr<Target>& t = targets[level];
  if (!t) {
    auto made = make_cpu_target({.level = level, .threads = 2});
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().message.c_str());
      std::abort();
    }
    t = made.take();
  }
  return *t;
}

bool runs(const std::string& level) {
  Features f = detect();
  bool fine = level == "avx2" ? f.avx2 : level == "avx512" ? f.avx512 : f.vnni;
  static std::map<std::string, bool> told;
  if (!fine && !told[level]) {
    told[level] = true;
    std::printf("this CPU has no %s: its code is compiled, not run\n", level.c_str());
  }
  return fine;
}

double ulp_distance(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : 1e9;
  auto order = [](float f) {
    int32_t i = std::bit_cast<int32_t>(f);
    return static_cast<double>(i < 0 ? INT32_MIN - static_cast<int64_t>(i) : i);
  };
  return std::fabs(order(a) - order(b));
}

Bytes random_bytes(std::mt19937& rng, size_t size) {
  Bytes b(size);
  for (uint8_t& v : b) v = static_cast<uint8_t>(rng());
  return b;
}

Bytes random_floats(std::mt19937& rng, size_t count, bool edges) {
  static const float kEdges[] = {0.0f,          -0.0f,    1.0f,     -1.0f, 0.5f,     1.5f,          2.5f,
                                 -2.5f,         1e-40f,   -1e-40f,  3e38f, -3e38f,   2147483648.0f, -2147483648.0f,
                                 2147483520.0f, 65504.0f, 65520.0f, 1e-8f, INFINITY, -INFINITY,     NAN};
  std::vector<float> v(count);
  for (size_t i = 0; i < count; ++i)
    v[i] = edges && rng() % 4 == 0
               ? kEdges[rng() % std::size(kEdges)]
               : std::ldexp(static_cast<float>(static_cast<int32_t>(rng())) / 2147483648.0f, static_cast<int>(rng() % 24) - 8);
  return bytes_of(v);
}

namespace {

std::string differs(const CheckRun& run, const std::vector<Bytes>& expected, const std::vector<Bytes>& got) {
  for (size_t b = 0; b < expected.size(); ++b) {
    if (run.ulps == 0) {
      for (size_t i = 0; i < expected[b].size(); ++i)
        if (expected[b][i] != got[b][i])
          return "buffer " + std::to_string(b) + " byte " + std::to_string(i) + ": expected " + std::to_string(expected[b][i]) + ", got " +
                 std::to_string(got[b][i]);
      continue;
    }
    for (size_t i = 0; i + 4 <= expected[b].size(); i += 4) {
      float e, g;
      std::memcpy(&e, &expected[b][i], 4);
      std::memcpy(&g, &got[b][i], 4);
      if (ulp_distance(e, g) > run.ulps)
        return "buffer " + std::to_string(b) + " float " + std::to_string(i / 4) + ": expected " + std::to_string(e) + ", got " +
               std::to_string(g);
    }
  }
  return {};
}

// Appends a case for x86_64/emulate/run.py, which says what it consists of.
void record(const char* file, const CheckRun& run, const std::string& level, const std::vector<Bytes>& expected,
            const loops::Kernel& ready) {
  auto code = emit(ready, {true, level == "avx512vnni"});
  std::FILE* f = std::fopen(file, "ab");
  if (!code || !f) std::abort();
  auto number = [&](uint64_t v) { std::fwrite(&v, 8, 1, f); };
  auto bytes = [&](const void* p, size_t n) { std::fwrite(p, 1, n, f); };
  auto blob = [&](const void* p, size_t n) {
    number(n);
    bytes(p, n);
  };
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(test ? test->name() : "?") + " " + level;
  for (const loops::Stmt& s : run.kernel.body)
    for (const loops::Stmt& t : s.body)
      if (t.kind == loops::Stmt::OpStmt)
        name += " " + std::string(loops::name(t.op)) + std::to_string(t.dst ? run.kernel.regs[t.dst.id].lanes : 0);
  blob(name.data(), name.size());
  blob(code->bytes.data(), code->bytes.size());
  number(0);
  number(static_cast<uint64_t>(run.items));
  number(run.scalars.size());
  for (int64_t v : run.scalars) number(static_cast<uint64_t>(v));
  number(run.kernel.buffers.size());
  size_t next = 0;
  for (const loops::BufferInfo& b : run.kernel.buffers) {
    bool own = !b.given();
    Bytes before = b.kind == loops::BufferKind::Table ? b.data : own ? Bytes(static_cast<size_t>(b.bytes)) : run.buffers[next];
    number(before.size());
    number(run.ulps > 0);
    number(!own);
    bytes(before.data(), before.size());
    if (!own) bytes(expected[next].data(), expected[next].size()), ++next;
  }
  std::fclose(f);
}

// Memory that ends where an inaccessible page begins: an access beyond its end is a crash.
class Guarded {
 public:
  explicit Guarded(const Bytes& b) : size_(b.size()), mapped_((b.size() + 4095) / 4096 * 4096 + 4096) {
    base_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + mapped_ - 4096, 4096, PROT_NONE);
    std::copy(b.begin(), b.end(), data());
  }
  ~Guarded() { munmap(base_, mapped_); }
  uint8_t* data() { return base_ + mapped_ - 4096 - size_; }
  Bytes bytes() { return Bytes(data(), data() + size_); }

 private:
  size_t size_, mapped_;
  uint8_t* base_;
};

}  // namespace

std::string check(const CheckRun& run, const std::string& level) {
  std::string about = "level " + level + "\n" + print(run.kernel);
  std::vector<Bytes> expected = run.buffers;
  std::vector<loops::EvalBuffer> views;
  for (Bytes& b : expected) views.push_back({b.data(), static_cast<int64_t>(b.size())});
  Status status = loops::eval(run.kernel, views, run.scalars, 0, run.items);
  if (!status) return "evaluator: " + status.error().message + "\n" + about;
  Target& t = target(level);
  std::vector<Bytes> prepared = run.buffers;  // the passes alone
  for (size_t i = 0; i < views.size(); ++i) views[i].data = prepared[i].data();
  loops::Kernel ready = prepare(run.kernel, t.machine());
  status = loops::eval(ready, views, run.scalars, 0, run.items);
  if (!status) return "evaluator after the passes: " + status.error().message + "\n" + about + print(ready);
  std::string why = differs(run, expected, prepared);
  if (!why.empty()) return "after the passes: " + why + "\n" + about + print(ready);
  auto code = t.compile(run.kernel);
  if (!code) return "compile: " + code.error().message + "\n" + about;
  if (const char* file = std::getenv("LUMEN_EMULATE"); file && level != "avx2") record(file, run, level, expected, ready);
  if (!runs(level)) return {};
  std::vector<std::unique_ptr<Guarded>> guarded;
  std::vector<std::unique_ptr<DeviceBuffer>> memory;
  std::vector<BufferArg> args;
  for (const Bytes& b : run.buffers) {
    guarded.push_back(std::make_unique<Guarded>(b));
    memory.push_back(t.wrap(guarded.back()->data(), static_cast<int64_t>(b.size())).take());
    args.push_back({memory.back().get(), 0});
  }
  status = t.launch(**code, args, run.scalars, run.items);
  if (!status) return "launch: " + status.error().message + "\n" + about;
  std::vector<Bytes> got;
  for (const auto& g : guarded) got.push_back(g->bytes());
  why = differs(run, expected, got);
  return why.empty() ? why : why + "\n" + about + print(ready) + (*code)->listing();
}

}  // namespace lumen::cpu
