// The CPU target: compile = check, simplify, emit, install; launch = pointers per worker and the team's loop over items.
#include "backend/cpu/cpu_target.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "backend/cpu/code_memory.h"
#include "backend/cpu/debug_info.h"
#include "backend/cpu/features.h"
#include "backend/cpu/prepare.h"
#include "backend/cpu/x86_64/emit.h"
#include "base/thread_team.h"
#include "tensor/buffer.h"

namespace lumen {
namespace {

using cpu::CodeMemory;
using cpu::CodePages;
using KernelFn = void (*)(uint8_t* const*, const int64_t*, int64_t, int64_t);

class CpuExecutable : public Executable {
 public:
  std::string listing() const override { return text; }
  KernelFn fn() const { return reinterpret_cast<KernelFn>(reinterpret_cast<uintptr_t>(code.data())); }

  std::string name, text;
  CodePages code;
  std::unique_ptr<cpu::DebugInfo> debug;  // goes before the code does
  std::vector<int64_t> scratch;  // a buffer's offset in the worker's scratch memory; -1: elsewhere
  std::vector<std::vector<uint8_t>> tables;  // a Table buffer's data; empty: given at launch
  int64_t scratch_bytes = 0;     // of all Scratch buffers together
  size_t given = 0, scalars = 0;
  int64_t grain = 1;
};

class CpuBuffer : public DeviceBuffer {
 public:
  explicit CpuBuffer(Buffer memory) : memory_(std::move(memory)), data_(memory_.data()), size_(static_cast<int64_t>(memory_.size())) {}
  CpuBuffer(const uint8_t* data, int64_t size) : data_(const_cast<uint8_t*>(data)), size_(size) {}
  uint8_t* host() override { return data_; }
  int64_t size() const override { return size_; }

 private:
  Buffer memory_;
  uint8_t* data_;
  int64_t size_;
};

Error misfit(const CpuExecutable& code, const std::string& what) { return Error{"launch of kernel '" + code.name + "': " + what}; }

class CpuTarget : public Target {
 public:
  CpuTarget(Machine machine, const cpu::Isa& isa, bool runs)
      : machine_(std::move(machine)), isa_(isa), runs_(runs), team_(machine_.threads), scratch_(machine_.threads) {}

  const Machine& machine() const override { return machine_; }

  Result<std::unique_ptr<Executable>> compile(const loops::Kernel& kernel) override {
    std::string wrong = verify(kernel);
    if (!wrong.empty()) return Error{wrong};
    loops::Kernel ready = cpu::prepare(kernel, machine_);
    LUMEN_TRY(code, cpu::emit(ready, isa_));
    LUMEN_TRY(out, install(kernel, code.bytes));
    out->text = std::move(code.listing);
    return std::unique_ptr<Executable>(std::move(out));
  }

  std::vector<uint8_t> save(const Executable& executable) const override {
    const auto* code = dynamic_cast<const CpuExecutable*>(&executable);
    return code ? std::vector<uint8_t>(code->code.data(), code->code.data() + code->code.size()) : std::vector<uint8_t>();
  }

  Result<std::unique_ptr<Executable>> restore(const loops::Kernel& kernel, std::span<const uint8_t> code) override {
    LUMEN_TRY(out, install(kernel, code));
    out->text = "; " + kernel.name + ": kept from an earlier run, not listed\n";
    return std::unique_ptr<Executable>(std::move(out));
  }

  // A first touch clears a whole page: 2 MB ones pay where all of the memory will be used.
  Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t bytes) override { return allocate(bytes, Pages::Normal); }
  Result<std::unique_ptr<DeviceBuffer>> allocate_dense(int64_t bytes) override {
    return allocate(bytes, bytes >= (int64_t{1} << 20) ? Pages::Huge : Pages::Normal);
  }

  Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t* data, int64_t bytes) override {
    return std::unique_ptr<DeviceBuffer>(std::make_unique<CpuBuffer>(data, bytes));
  }

  Status upload(DeviceBuffer& to, int64_t offset, std::span<const uint8_t> bytes) override {
    LUMEN_CHECK(inside("upload", to, offset, bytes.size()));
    if (!bytes.empty()) std::memcpy(to.host() + offset, bytes.data(), bytes.size());
    return ok_status();
  }

  Status download(DeviceBuffer& from, int64_t offset, std::span<uint8_t> bytes) override {
    LUMEN_CHECK(inside("download", from, offset, bytes.size()));
    if (!bytes.empty()) std::memcpy(bytes.data(), from.host() + offset, bytes.size());
    return ok_status();
  }

  Status launch(const Executable& executable, std::span<const BufferArg> buffers, std::span<const int64_t> scalars,
                int64_t items) override {
    const auto* code = dynamic_cast<const CpuExecutable*>(&executable);
    if (!code) return Error{"launch: the kernel was compiled for another device"};
    if (!runs_) return misfit(*code, "this CPU has no " + machine_.name + "; the code can only be listed");
    if (buffers.size() != code->given)
      return misfit(*code, std::to_string(buffers.size()) + " buffers given, expected " + std::to_string(code->given));
    if (scalars.size() != code->scalars)
      return misfit(*code, std::to_string(scalars.size()) + " scalars given, expected " + std::to_string(code->scalars));
    LUMEN_CHECK(point(*code, buffers));
    KernelFn fn = code->fn();
    size_t stride = code->scratch_bytes ? code->scratch.size() : 0;
    uint8_t* const* pointers = pointers_.data();
    const int64_t* values = scalars.data();
    team_.run(items, code->grain,
              [=](int worker, int64_t begin, int64_t end) { fn(pointers + static_cast<size_t>(worker) * stride, values, begin, end); });
    return ok_status();
  }

  Status synchronize() override { return ok_status(); }

 private:
  static Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t bytes, Pages pages) {
    if (bytes < 0) return Error{"allocate: a negative size"};
    LUMEN_TRY(memory, Buffer::allocate(static_cast<size_t>(bytes), pages));
    return std::unique_ptr<DeviceBuffer>(std::make_unique<CpuBuffer>(std::move(memory)));
  }

  Result<std::unique_ptr<CpuExecutable>> install(const loops::Kernel& kernel, std::span<const uint8_t> code) {
    LUMEN_TRY(pages, memory_->install(code));
    auto out = std::make_unique<CpuExecutable>();
    out->name = kernel.name;
    out->code = std::move(pages);
    out->debug = std::make_unique<cpu::DebugInfo>(kernel.name, out->code.data(), out->code.size());
    for (const loops::BufferInfo& b : kernel.buffers) {
      bool own = b.kind == loops::BufferKind::Scratch;
      out->scratch.push_back(own ? out->scratch_bytes : -1);
      out->tables.push_back(b.data);
      if (own) out->scratch_bytes += (b.bytes + 63) / 64 * 64;
      if (b.given()) ++out->given;
    }
    out->scalars = kernel.scalars.size();
    out->grain = kernel.grain;
    return out;
  }

  static Status inside(const char* what, DeviceBuffer& buffer, int64_t offset, size_t bytes) {
    if (offset >= 0 && offset <= buffer.size() && static_cast<int64_t>(bytes) <= buffer.size() - offset) return ok_status();
    return Error{std::string(what) + ": bytes " + std::to_string(offset) + " .. " + std::to_string(offset + static_cast<int64_t>(bytes)) +
                 " of a buffer of " + std::to_string(buffer.size())};
  }

  // The kernel's buffer pointers: one row for all workers, or a row each where there is scratch memory.
  Status point(const CpuExecutable& code, std::span<const BufferArg> buffers) {
    size_t n = code.scratch.size(), rows = code.scratch_bytes ? static_cast<size_t>(machine_.threads) : 1;
    pointers_.resize(std::max(pointers_.size(), n * rows));
    for (size_t w = 0; w < rows; ++w) {
      if (code.scratch_bytes > static_cast<int64_t>(scratch_[w].size())) {
        LUMEN_TRY(grown, Buffer::allocate(static_cast<size_t>(code.scratch_bytes)));
        scratch_[w] = std::move(grown);
      }
      size_t next = 0;
      for (size_t i = 0; i < n; ++i) {
        uint8_t*& p = pointers_[w * n + i];
        if (code.scratch[i] >= 0) {
          p = scratch_[w].data() + code.scratch[i];
          continue;
        }
        if (!code.tables[i].empty()) {
          p = const_cast<uint8_t*>(code.tables[i].data());  // kernels do not write to tables (loops::verify)
          continue;
        }
        const BufferArg& arg = buffers[next++];
        if (!arg.buffer) return misfit(code, "buffer " + std::to_string(next - 1) + " is missing");
        if (arg.offset < 0 || arg.offset > arg.buffer->size())
          return misfit(code, "buffer " + std::to_string(next - 1) + " begins outside its memory");
        p = arg.buffer->host() + arg.offset;
      }
    }
    return ok_status();
  }

  Machine machine_;
  cpu::Isa isa_;
  bool runs_;
  std::shared_ptr<CodeMemory> memory_ = CodeMemory::create();
  ThreadTeam team_;
  std::vector<Buffer> scratch_;  // one a worker
  std::vector<uint8_t*> pointers_;
};

}  // namespace

Result<std::unique_ptr<Target>> make_cpu_target(const CpuOptions& options) {
  cpu::Features f = cpu::detect();
  std::string level = options.level;
  if (level == "native") {
    if (!f.avx2) return Error{"this CPU has no AVX2 with FMA and F16C, which Lumen's x86-64 code needs at least"};
    level = f.vnni ? "avx512vnni" : f.avx512 ? "avx512" : "avx2";
  }
  if (level != "avx2" && level != "avx512" && level != "avx512vnni")
    return Error{"unknown CPU level '" + level + "', expected native, avx2, avx512 or avx512vnni", true};
  if (options.threads < 0 || options.threads > 1024)
    return Error{"threads: " + std::to_string(options.threads) + ", expected 0 to 1024", true};
  cpu::Isa isa{level != "avx2", level == "avx512vnni"};
  Machine m;
  m.name = level;
  m.lanes = isa.lanes();
  m.vector_registers = isa.avx512 ? 32 : 16;
  m.maddubs = true;
  m.dot4 = isa.dot4;
  m.l1 = f.l1;
  m.l2 = f.l2;
  m.threads = options.threads ? options.threads : f.cores;
  bool runs = isa.dot4 ? f.vnni : isa.avx512 ? f.avx512 : f.avx2;
  return std::unique_ptr<Target>(std::make_unique<CpuTarget>(std::move(m), isa, runs));
}

}  // namespace lumen
