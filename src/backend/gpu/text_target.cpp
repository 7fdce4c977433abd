// Text for people: compile emits, everything else refuses.
#include "backend/gpu/text_target.h"

#include "backend/gpu/emit.h"

namespace lumen::gpu {
namespace {

class Text : public Executable {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  std::string listing() const override { return text_; }

 private:
  std::string text_;
};

class TextTarget : public Target {
 public:
  explicit TextTarget(const Dialect& d) : dialect_(d), machine_(machine_of(d)) {}
  const Machine& machine() const override { return machine_; }
  Result<std::unique_ptr<Executable>> compile(const loops::Kernel& kernel) override {
    LUMEN_TRY(shader, emit(kernel, dialect_));
    return std::unique_ptr<Executable>(std::make_unique<Text>(std::move(shader.text)));
  }
  Result<std::unique_ptr<DeviceBuffer>> allocate(int64_t) override { return refuse(); }
  Result<std::unique_ptr<DeviceBuffer>> wrap(const uint8_t*, int64_t) override { return refuse(); }
  Status upload(DeviceBuffer&, int64_t, std::span<const uint8_t>) override { return refuse(); }
  Status download(DeviceBuffer&, int64_t, std::span<uint8_t>) override { return refuse(); }
  Status launch(const Executable&, std::span<const BufferArg>, std::span<const int64_t>, int64_t) override { return refuse(); }
  Status synchronize() override { return refuse(); }

 private:
  Error refuse() const { return Error{machine_.name + " kernels can be printed here, not run"}; }
  const Dialect& dialect_;
  Machine machine_;
};

}  // namespace

Machine machine_of(const Dialect& dialect) {
  Machine m;
  m.name = std::string(dialect.name);
  m.lanes = 1;
  m.gpu = true;
  return m;
}

std::unique_ptr<Target> make_text_target(const Dialect& dialect) { return std::make_unique<TextTarget>(dialect); }

}  // namespace lumen::gpu
