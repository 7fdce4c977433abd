// One block seen through its integer form: raw codes and levels as numbers. The plain definition that fast paths are compared with.
#pragma once
#include <random>

#include "compiler/formats/block_program.h"

namespace lumen::formats {

class FormReader {
 public:
  FormReader(const ir::FormatType& f, const ir::IntForm& form);
  void read(const uint8_t* block) { program_.run(block); }
  int raw(int k) const { return static_cast<int>(program_.integer(static_cast<size_t>(k))); }
  int code(int k) const { return (form_.codebook.empty() ? raw(k) : form_.codebook[static_cast<size_t>(raw(k))]) + form_.bias; }
  // Level `i` of the scale list (of the offset list) at element k.
  double scale(int i, int k) const { return level(form_.scale, 0, i, k); }
  double offset_level(int i, int k) const { return level(form_.offset, form_.scale.size(), i, k); }
  double scaled(int k) const;  // product of the scales times the code
  double offset(int k) const;  // product of the offsets; 0 without
  double value(int k) const { return scaled(k) + offset(k); }

 private:
  static std::vector<ir::ExprPtr> outputs(const ir::IntForm& form);
  double level(const std::vector<ir::ScaleLevel>& levels, size_t before, int i, int k) const;
  const ir::IntForm& form_;
  BlockProgram program_;
  std::vector<size_t> first_;  // output number of each level's first value
};

// A block with random bytes and, in float fields, finite numbers of moderate size and either sign.
void random_block(const ir::FormatType& f, std::mt19937& rng, uint8_t* block);

}  // namespace lumen::formats
