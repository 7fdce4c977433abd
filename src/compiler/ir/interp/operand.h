// What a body reads: a tensor's bytes with its shape, and, for formats, rows decoded once and kept.
// Rows are decoded when first asked for, by any thread, each exactly once (an atomic state a group of rows).
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/format.h"
#include "compiler/ir/type.h"

namespace lumen::ir::interp {

// Runs `make(group)` once for each group, by whichever thread asks first; the others wait.
class OncePerGroup {
 public:
  explicit OncePerGroup(int64_t groups) : state_(std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(groups))), groups_(groups) {}
  template <class F>
  void ensure(int64_t group, const F& make) {
    std::atomic<uint8_t>& s = state_[group];
    if (s.load(std::memory_order_acquire) == 2) return;
    uint8_t fresh = 0;
    if (s.compare_exchange_strong(fresh, 1)) {
      make();
      s.store(2, std::memory_order_release);
      s.notify_all();
      return;
    }
    s.wait(1, std::memory_order_acquire);
  }
  void invalidate(int64_t group) { state_[group].store(0, std::memory_order_relaxed); }  // no reader at the same time
  int64_t groups() const { return groups_; }

 private:
  std::unique_ptr<std::atomic<uint8_t>[]> state_;
  int64_t groups_;
};

// Memory that is touched only where it is used.
template <class T>
struct LazyArray {
  explicit LazyArray(int64_t n) : data(static_cast<T*>(std::calloc(static_cast<size_t>(n > 0 ? n : 1), sizeof(T)))) {}
  ~LazyArray() { std::free(data); }
  LazyArray(const LazyArray&) = delete;
  T* data;
};

// Rows of a formatted tensor as f32.
class FloatRows {
 public:
  FloatRows(FormatRef format, const uint8_t* bytes, int64_t rows, int64_t k);
  const float* row(int64_t r);
  void invalidate(int64_t r) { once_.invalidate(r); }

 private:
  FormatRef format_;
  const uint8_t* bytes_;
  int64_t k_, stride_;
  LazyArray<float> values_;
  OncePerGroup once_;
};

// Rows of a tensor whose format has an integer form: codes and the values of each scale level.
class CodeRows {
 public:
  struct Level {
    int extent = 0;  // elements; 0: there is no such level
    const float* f = nullptr;
    const int32_t* i = nullptr;
  };
  struct Row {
    const int16_t* codes;
    Level scale_f, scale_i, offset_f, offset_i;
  };
  CodeRows(FormatRef format, const uint8_t* bytes, int64_t rows, int64_t k);
  Row row(int64_t r);
  const IntForm& form() const { return *format_->form; }

 private:
  struct Store {
    const ScaleLevel* level = nullptr;
    int first_output = 0;
    std::unique_ptr<LazyArray<float>> f;
    std::unique_ptr<LazyArray<int32_t>> i;
  };
  void fill(int64_t group);
  Level at(const Store& s, int64_t r) const;
  FormatRef format_;
  const uint8_t* bytes_;
  int64_t rows_, k_, rows_per_group_;
  std::vector<ExprPtr> outputs_;
  Store stores_[4];  // scale float, scale integer, offset float, offset integer
  LazyArray<int16_t> codes_;
  OncePerGroup once_;
};

// What is kept for one tensor's bytes.
struct Decoded {
  FormatRef format;  // with the shape: what the cache was made for
  int64_t rows = 0, k = 0;
  std::unique_ptr<FloatRows> floats;
  std::unique_ptr<CodeRows> codes;
};

struct Operand {
  const uint8_t* bytes = nullptr;
  DType scalar = DType::F32;
  FormatRef format;  // null: dense scalars
  std::vector<int64_t> dims;
  std::string label;  // for errors: %3 "x"
  std::shared_ptr<Decoded> decoded;
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  int64_t row_length() const { return dims.empty() ? 1 : dims.back(); }
};

}  // namespace lumen::ir::interp
