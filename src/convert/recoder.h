// One tensor from the storage it has to the one it shall have, a piece of rows at a time, shared by all threads.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_writer.h"
#include "compiler/formats/row_decoder.h"

namespace lumen::convert {

// Bytes of a row of k elements; elements of a block; the format's or the scalar's name.
int64_t bytes_per_row(const ir::Type& element, int64_t k);
int block_of(const ir::Type& element);
std::string name_of(const ir::Type& element);

// How much each of a tensor's columns counts when it is encoded; `matrices` sets of k numbers, one for each equal share of the rows
// (the experts of a mixture). Empty: all alike.
struct Importance {
  std::vector<float> weights;
  int64_t matrices = 1;
};

class Recoder {
 public:
  // from: a plain float type or a format; to: the same, of those that can be written.
  Recoder(ThreadTeam& team, ir::Type from, ir::Type to);
  // Rows of `data`, encoded, into the sink; `where` begins messages. progress: elements, may be empty.
  Status run(const uint8_t* data, int64_t rows, int64_t k, const Importance& importance, const std::string& where, ByteSink& sink,
             const std::function<void(int64_t)>& progress);
  double rms_error() const;  // of what was written, relative to the numbers' own root mean square

 private:
  struct alignas(64) Worker {
    std::vector<float> x, back, importance;
    std::string wrong;
    double error = 0, square = 0;
  };
  bool recode_row(size_t worker, const uint8_t* in, int64_t k, const float* columns, uint8_t* out);
  ThreadTeam& team_;
  ir::Type from_, to_;
  std::vector<formats::RowDecoder> readers_, backs_;
  std::vector<Worker> workers_;
};

}  // namespace lumen::convert
