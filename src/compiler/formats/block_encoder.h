// Chooses the codes and levels of one block so that the (weighted) squared error is small, and writes them.
#pragma once
#include <array>

#include "compiler/formats/block_writer.h"
#include "compiler/formats/fit.h"

namespace lumen::formats {

// What is the same for all blocks of a format. Immutable, shared by threads.
class EncodePlan {
 public:
  // The error is the bare reason.
  static Result<std::shared_ptr<const EncodePlan>> make(const ir::FormatType& f);

  struct Product {  // scale or offset: numbers of its levels in the writer, or -1
    int float_level = -1, int_level = -1;
    int float_extent = 0, int_extent = 0;  // the block's length where there is no such level
    int finest = 0;
    CodeSet ints = CodeSet::range(1, 1);
    bool exists() const { return float_level >= 0 || int_level >= 0; }
  };
  const ir::FormatType& format() const { return f_; }
  const BlockWriter& writer() const { return *writer_; }
  const Product& product(int which) const { return products_[which]; }  // 0: scale, 1: offset
  const CodeSet& codes() const { return codes_; }
  uint8_t raw_of(float code) const { return raw_of_code_[static_cast<size_t>(code - codes_.lo)]; }
  const LevelEntry& level(int number, size_t entry) const { return writer_->levels()[static_cast<size_t>(number)][entry]; }

 private:
  explicit EncodePlan(const ir::FormatType& f) : f_(f) {}
  std::string plan_product(int which, const std::vector<ir::ScaleLevel>& levels, int first);
  void plan_codes();
  const ir::FormatType f_;
  std::unique_ptr<BlockWriter> writer_;
  std::array<Product, 2> products_;
  CodeSet codes_;
  std::vector<uint8_t> raw_of_code_;  // by code less the lowest one: codes are whole numbers
};

class BlockEncoder {
 public:
  explicit BlockEncoder(const EncodePlan& plan);
  // False where no bits give the codes that were chosen.
  bool encode(const float* x, const float* w, uint8_t* block);

 private:
  struct State {
    std::vector<float> floats[2], ints[2];  // by product, by entry; 1 where a level is missing
    std::vector<float> code;
    std::vector<CodeSums> sums;  // by run: of the codes, kept up with them
    double error = INFINITY;
  };
  float factor(const State& s, int which, int k) const {
    const EncodePlan::Product& p = plan_.product(which);
    if (!p.exists()) return which == 0 ? 1.0f : 0.0f;
    return s.floats[which][static_cast<size_t>(k / p.float_extent)] * s.ints[which][static_cast<size_t>(k / p.int_extent)];
  }
  bool has_offset() const { return plan_.product(1).exists(); }
  FitOptions fit_options(bool quick) const;
  void start_free(State& s);
  // Offsets of `share` times the lowest (highest) number under each of them.
  void start_with_offset(State& s, float share, bool highest, bool quick);
  void search_shared_offset();
  void set_levels(State& s, int which);  // to meet targets_[which]
  void set_float(State& s, int which, size_t entry, double wanted);
  double code_range(State& s, int from, int to);  // chooses codes, returns the error
  void choose_codes(State& s);
  bool refit_both(State& s, int from, int to, double& scale, double& offset) const;
  double refit_one(const State& s, int which, int from, int to, bool over_ints) const;
  void refit_floats(State& s);
  void refit_ints(State& s, int which);
  void refine(State& s);  // and keeps the best in best_
  int offset_sign() const;

  const EncodePlan& plan_;
  int block_;
  const float *x_ = nullptr, *w_ = nullptr;
  int run_;  // elements with the same scale and offset, at least
  State best_, work_, trial_;
  std::vector<float> targets_[2], weights_[2];  // by run: wanted scale and offset, and how much an error of it costs
  std::vector<float> run_x_, run_w_;            // by run: sums of w * x and w
  std::vector<float> rest_;                     // what is left of x without the offset
  std::vector<float> entry_target_, entry_weight_;
  std::vector<uint8_t> raw_;
};

}  // namespace lumen::formats
