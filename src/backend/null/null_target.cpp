// Every request to hold memory or to run is refused with one clear line.
#include "backend/null/null_target.h"

namespace lumen {
namespace {

class NullExecutable : public Executable {
 public:
  explicit NullExecutable(std::string text) : text_(std::move(text)) {}
  std::string listing() const override { return text_; }

 private:
  std::string text_;
};

Error refused(const char* what) {
  return Error{std::string(what) + ": the null target has no device; choose one that runs, such as --target native", true};
}

class NullTarget : public Target {
 public:
  explicit NullTarget(Machine machine) : machine_(std::move(machine)) {}
  const Machine& machine() const override { return machine_; }
  Result<std::unique_ptr<Executable>> compile(const loops::Kernel& kernel) override {
    std::string wrong = verify(kernel);
    if (!wrong.empty()) return Error{wrong};
    return std::unique_ptr<Executable>(std::make_unique<NullExecutable>(print(kernel)));
  }
  Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t) override { return refused("allocate"); }
  Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t*, int64_t) override { return refused("wrap"); }
  Status upload(DeviceBuffer&, int64_t, std::span<const uint8_t>) override { return refused("upload"); }
  Status download(DeviceBuffer&, int64_t, std::span<uint8_t>) override { return refused("download"); }
  Status launch(const Executable&, std::span<const BufferArg>, std::span<const int64_t>, int64_t) override { return refused("launch"); }
  Status synchronize() override { return ok_status(); }

 private:
  Machine machine_;
};

}  // namespace

std::unique_ptr<Target> make_null_target(Machine machine) { return std::make_unique<NullTarget>(std::move(machine)); }

}  // namespace lumen
