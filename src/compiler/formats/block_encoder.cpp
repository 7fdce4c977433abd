// A first guess for each run of equal scales by itself, levels fitted to those guesses, then rounds in which floats, integers and
// codes are each refitted with the others held.
#include "compiler/formats/block_encoder.h"

#include <map>

namespace lumen::formats {
namespace {

constexpr int kRounds = 3;
constexpr double kCoarse = 0.01;  // relative step of a float level above which both neighbours are tried

}  // namespace

Result<std::shared_ptr<const EncodePlan>> EncodePlan::make(const ir::FormatType& f) {
  std::shared_ptr<EncodePlan> p(new EncodePlan(f));
  LUMEN_TRY(writer, BlockWriter::make(p->f_));
  p->writer_ = std::move(writer);
  const ir::IntForm& form = *p->f_.form;
  std::string why = p->plan_product(0, form.scale, 0);
  if (why.empty()) why = p->plan_product(1, form.offset, static_cast<int>(form.scale.size()));
  if (!why.empty()) return Error{why};
  p->plan_codes();
  if (p->codes_.lo == p->codes_.hi) return Error{"there are no two codes that every element may take"};
  return std::shared_ptr<const EncodePlan>(std::move(p));
}

std::string EncodePlan::plan_product(int which, const std::vector<ir::ScaleLevel>& levels, int first) {
  Product& p = products_[static_cast<size_t>(which)];
  p.float_extent = p.int_extent = p.finest = f_.block;
  for (size_t i = 0; i < levels.size(); ++i) {
    int number = first + static_cast<int>(i);
    (levels[i].integer ? p.int_level : p.float_level) = number;
    (levels[i].integer ? p.int_extent : p.float_extent) = levels[i].extent;
    p.finest = std::min(p.finest, levels[i].extent);
    if (!levels[i].integer) continue;
    const std::vector<LevelEntry>& entries = writer_->levels()[static_cast<size_t>(number)];
    for (const LevelEntry& e : entries)
      if (e.table->values != entries[0].table->values) return "its integer scales have different ranges";
    p.ints = CodeSet::of(std::vector<float>(entries[0].table->values.begin(), entries[0].table->values.end()));
  }
  if (p.float_level >= 0 && p.int_level >= 0 && p.float_extent % p.int_extent != 0) return "its integer scales span several float scales";
  return "";
}

void EncodePlan::plan_codes() {
  const ir::IntForm& form = *f_.form;
  std::map<int, int> raw_by_code;  // of two entries of the book alike the first serves
  for (int raw : writer_->reachable()) {
    int code = static_cast<int>(form.codebook.empty() ? raw : form.codebook[static_cast<size_t>(raw)]) + form.bias;
    raw_by_code.emplace(code, raw);
  }
  if (raw_by_code.empty()) return;
  int lo = raw_by_code.begin()->first;
  std::vector<float> values;
  raw_of_code_.assign(static_cast<size_t>(raw_by_code.rbegin()->first - lo) + 1, 0);
  for (auto [code, raw] : raw_by_code) {
    raw_of_code_[static_cast<size_t>(code - lo)] = static_cast<uint8_t>(raw);
    values.push_back(static_cast<float>(code));
  }
  codes_ = CodeSet::of(std::move(values));
}

BlockEncoder::BlockEncoder(const EncodePlan& plan) : plan_(plan), block_(plan.format().block) {
  const EncodePlan::Product &scale = plan.product(0), &offset = plan.product(1);
  run_ = scale.exists() ? scale.finest : block_;
  if (offset.exists()) run_ = std::min(run_, offset.finest);
  for (int which : {0, 1}) {
    const EncodePlan::Product& p = plan.product(which);
    for (State* s : {&best_, &work_, &trial_}) {
      s->floats[which].assign(static_cast<size_t>(block_ / p.float_extent), 1.0f);
      s->ints[which].assign(static_cast<size_t>(block_ / p.int_extent), 1.0f);
      s->code.assign(static_cast<size_t>(block_), 0.0f);
      s->sums.assign(static_cast<size_t>(block_ / run_), {});
    }
    targets_[which].resize(static_cast<size_t>(block_ / run_));
    weights_[which].resize(static_cast<size_t>(block_ / run_));
  }
  run_x_.resize(static_cast<size_t>(block_ / run_));
  run_w_.resize(static_cast<size_t>(block_ / run_));
  rest_.resize(static_cast<size_t>(block_));
  raw_.resize(static_cast<size_t>(block_));
}

bool BlockEncoder::encode(const float* x, const float* w, uint8_t* block) {
  x_ = x;
  w_ = w;
  best_.error = INFINITY;
  for (int r = 0; r < block_ / run_; ++r) {
    float sx = 0, sw = 0;
    for (int k = r * run_; k < (r + 1) * run_; ++k) {
      sx += w[k] * x[k];
      sw += w[k];
    }
    run_x_[static_cast<size_t>(r)] = sx;
    run_w_[static_cast<size_t>(r)] = sw;
  }
  const EncodePlan::Product &scale = plan_.product(0), &offset = plan_.product(1);
  if (offset.exists() && scale.exists() && offset.finest > scale.finest) {
    search_shared_offset();
  } else {
    start_free(work_);
    refine(work_);
  }
  std::fill(block, block + plan_.format().block_bytes, 0);
  for (int which : {0, 1}) {
    const EncodePlan::Product& p = plan_.product(which);
    for (size_t i = 0; p.float_level >= 0 && i < best_.floats[which].size(); ++i)
      plan_.writer().write_level(p.float_level, i, best_.floats[which][i], block);
    for (size_t i = 0; p.int_level >= 0 && i < best_.ints[which].size(); ++i)
      plan_.writer().write_level(p.int_level, i, best_.ints[which][i], block);
  }
  for (int k = 0; k < block_; ++k) raw_[static_cast<size_t>(k)] = plan_.raw_of(best_.code[static_cast<size_t>(k)]);
  return plan_.writer().write_codes(raw_.data(), block);
}

// Where offsets are unsigned integers under one float, all of them have its sign.
int BlockEncoder::offset_sign() const {
  const EncodePlan::Product& p = plan_.product(1);
  const LevelEntry* f = p.float_level >= 0 ? &plan_.level(p.float_level, 0) : nullptr;
  bool never_negative = f && f->table && f->table->values.front() >= 0;
  if (p.int_level < 0 || p.ints.lo < 0) return never_negative ? 1 : 0;
  return never_negative || (!f && p.ints.lo >= 0) ? 1 : *std::min_element(x_, x_ + block_) < 0 ? -1 : 1;
}

// Scales of one block may have different signs where the integers have, or where each has a float of its own that has.
FitOptions BlockEncoder::fit_options(bool quick) const {
  FitOptions options;
  options.quick = quick;
  options.sign = has_offset() ? offset_sign() : 0;
  const EncodePlan::Product& p = plan_.product(0);
  if (p.int_level >= 0)
    options.negative = p.ints.lo < 0;
  else if (p.float_level >= 0)
    options.negative = !plan_.level(p.float_level, 0).table || plan_.level(p.float_level, 0).table->values.front() < 0;
  return options;
}

void BlockEncoder::start_free(State& s) {
  FitOptions options = fit_options(false);
  for (int r = 0; r < block_ / run_; ++r) {
    const float *x = x_ + r * run_, *w = w_ + r * run_;
    Fit fit = has_offset() ? fit_affine(plan_.codes(), x, w, run_, options) : fit_scale(plan_.codes(), x, w, run_, options);
    targets_[0][r] = fit.s;
    targets_[1][r] = fit.o;
    weights_[0][r] = fit.cc;
    weights_[1][r] = run_w_[static_cast<size_t>(r)];
  }
  set_levels(s, 0);
  if (has_offset()) set_levels(s, 1);
  choose_codes(s);
}

void BlockEncoder::set_levels(State& s, int which) {
  const EncodePlan::Product& p = plan_.product(which);
  if (!p.exists()) return;
  int per_float = p.float_extent / p.int_extent;
  for (size_t f = 0; f < s.floats[which].size(); ++f) {
    int pieces = p.int_level >= 0 ? per_float : 1, runs = p.float_extent / pieces / run_;
    entry_target_.assign(static_cast<size_t>(pieces), 0);
    entry_weight_.assign(static_cast<size_t>(pieces), 0);
    for (int i = 0; i < pieces; ++i) {
      double sum = 0, weight = 0;
      for (int r = 0; r < runs; ++r) {
        size_t at = f * static_cast<size_t>(p.float_extent / run_) + static_cast<size_t>(i * runs + r);
        double w = weights_[which][at] + 1e-30;
        sum += w * targets_[which][at];
        weight += w;
      }
      entry_target_[i] = static_cast<float>(sum / weight);
      entry_weight_[i] = static_cast<float>(weight);
    }
    float d = entry_target_[0];
    if (p.int_level >= 0) {
      d = 1;
      if (p.float_level >= 0) d = fit_scale(p.ints, entry_target_.data(), entry_weight_.data(), pieces, {}).s;
    }
    if (p.float_level >= 0) d = static_cast<float>(plan_.level(p.float_level, f).nearest(d));
    s.floats[which][f] = p.float_level >= 0 ? d : 1.0f;
    for (int i = 0; p.int_level >= 0 && i < pieces; ++i)
      s.ints[which][f * static_cast<size_t>(per_float) + static_cast<size_t>(i)] = p.ints.nearest(d != 0 ? entry_target_[i] / d : 0.0f);
  }
}

double BlockEncoder::code_range(State& s, int from, int to) {
  double error = 0;
  const CodeSet& set = plan_.codes();
  for (int r = from; r < to; r += run_) {
    float scale = factor(s, 0, r), offset = factor(s, 1, r), inv = scale != 0 ? 1 / scale : 0;
    if (!std::isfinite(inv)) inv = 0;
    CodeSums& sums = s.sums[static_cast<size_t>(r / run_)];
    sums = nearest_codes(set, x_ + r, w_ + r, run_, scale, offset, inv, s.code.data() + r);
    error += sums.error;
  }
  return error;
}

void BlockEncoder::choose_codes(State& s) { s.error = code_range(s, 0, block_); }

// The float level's representable value for `wanted`; where steps are coarse, the one of both neighbours that errs less.
void BlockEncoder::set_float(State& s, int which, size_t entry, double wanted) {
  const EncodePlan::Product& p = plan_.product(which);
  const LevelEntry& e = plan_.level(p.float_level, entry);
  double near = e.nearest(wanted), next = e.next(wanted);
  float& v = s.floats[which][entry];
  v = static_cast<float>(near);
  if (std::fabs(next - near) <= kCoarse * std::fabs(near) || near == next) return;
  int from = static_cast<int>(entry) * p.float_extent, to = from + p.float_extent;
  double error_near = code_range(s, from, to);
  v = static_cast<float>(next);
  if (code_range(s, from, to) < error_near) return;
  v = static_cast<float>(near);
  code_range(s, from, to);
}

// Least squares of scale and offset together over elements under one float scale and one float offset, codes and integers held.
bool BlockEncoder::refit_both(State& s, int from, int to, double& scale, double& offset) const {
  const EncodePlan::Product &p = plan_.product(0), &q = plan_.product(1);
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int r = from; r < to; r += run_) {
    double m = s.ints[0][static_cast<size_t>(r / p.int_extent)], b = s.ints[1][static_cast<size_t>(r / q.int_extent)];
    size_t i = static_cast<size_t>(r / run_);
    const CodeSums& sums = s.sums[i];
    aa += m * m * sums.cc;
    ab += m * b * sums.c;
    bb += b * b * run_w_[i];
    ax += m * sums.xc;
    bx += b * run_x_[i];
  }
  double det = aa * bb - ab * ab;
  if (!(det > 1e-9 * aa * bb)) return false;
  scale = (ax * bb - bx * ab) / det;
  offset = (bx * aa - ax * ab) / det;
  return true;
}

// Least squares of one factor with everything else held: of the float (`over_ints`: integers belong to what is held) or of the
// whole scale or offset.
double BlockEncoder::refit_one(const State& s, int which, int from, int to, bool over_ints) const {
  const EncodePlan::Product& p = plan_.product(which);
  double num = 0, den = 0;
  for (int r = from; r < to; r += run_) {
    double m = over_ints ? s.ints[which][static_cast<size_t>(r / p.int_extent)] : 1.0;
    size_t i = static_cast<size_t>(r / run_);
    const CodeSums& sums = s.sums[i];
    num += m * (which == 0 ? sums.xc - factor(s, 1, r) * sums.c : run_x_[i] - factor(s, 0, r) * sums.c);
    den += m * m * (which == 0 ? sums.cc : run_w_[i]);
  }
  return den > 0 ? num / den : NAN;
}

void BlockEncoder::refit_floats(State& s) {
  const EncodePlan::Product &p = plan_.product(0), &q = plan_.product(1);
  bool both = p.float_level >= 0 && q.float_level >= 0 && p.float_extent == q.float_extent;
  if (both) {
    for (size_t e = 0; e < s.floats[0].size(); ++e) {
      int from = static_cast<int>(e) * p.float_extent;
      double scale = 0, offset = 0;
      if (!refit_both(s, from, from + p.float_extent, scale, offset)) continue;
      s.floats[1][e] = static_cast<float>(plan_.level(q.float_level, e).nearest(offset));
      set_float(s, 0, e, scale);
    }
    return;
  }
  for (int which : {0, 1}) {
    const EncodePlan::Product& r = plan_.product(which);
    if (r.float_level < 0) continue;
    for (size_t e = 0; e < s.floats[which].size(); ++e) {
      int from = static_cast<int>(e) * r.float_extent;
      double wanted = refit_one(s, which, from, from + r.float_extent, true);
      if (std::isfinite(wanted)) set_float(s, which, e, wanted);
    }
  }
}

void BlockEncoder::refit_ints(State& s, int which) {
  const EncodePlan::Product& p = plan_.product(which);
  if (p.int_level < 0) return;
  for (size_t e = 0; e < s.ints[which].size(); ++e) {
    int from = static_cast<int>(e) * p.int_extent, to = from + p.int_extent;
    float d = s.floats[which][static_cast<size_t>(from / p.float_extent)], best = s.ints[which][e], last = best;
    double whole = refit_one(s, which, from, to, false);
    if (d == 0 || !std::isfinite(whole)) continue;
    float near = p.ints.nearest(static_cast<float>(whole / d)), tried[4] = {best, near, p.ints.step(near, -1), p.ints.step(near, 1)};
    double least = INFINITY;
    for (int i = 0; i < 4; ++i) {
      if (std::find(tried, tried + i, tried[i]) != tried + i) continue;
      s.ints[which][e] = last = tried[i];
      double error = code_range(s, from, to);
      if (error < least) {
        least = error;
        best = tried[i];
      }
    }
    if (best == last) continue;
    s.ints[which][e] = best;
    code_range(s, from, to);
  }
}

void BlockEncoder::refine(State& s) {
  if (s.error < best_.error) best_ = s;
  for (int round = 0; round < kRounds; ++round) {
    double before = best_.error;
    refit_floats(s);
    refit_ints(s, 0);
    refit_ints(s, 1);
    choose_codes(s);
    if (s.error < best_.error) best_ = s;
    if (!(s.error < before * 0.9999)) break;
  }
}

void BlockEncoder::start_with_offset(State& s, float share, bool highest, bool quick) {
  const EncodePlan::Product &p = plan_.product(0), &q = plan_.product(1);
  for (int r = 0; r < block_ / run_; ++r) {
    const float* under = x_ + r * run_ / q.finest * q.finest;
    targets_[1][r] = share * (highest ? *std::max_element(under, under + q.finest) : *std::min_element(under, under + q.finest));
    weights_[1][r] = 1;
  }
  set_levels(s, 1);
  for (int r = 0; r < block_; r += run_) {
    float offset = factor(s, 1, r);
    for (int k = r; k < r + run_; ++k) rest_[static_cast<size_t>(k)] = x_[k] - offset;
  }
  FitOptions options = fit_options(quick);
  if (plan_.codes().lo >= 0) {  // what is left lies on one side
    options.positive = !highest;
    options.negative &= highest;
  }
  for (int r = 0; r < block_ / p.finest; ++r) {
    Fit fit = fit_scale(plan_.codes(), rest_.data() + r * p.finest, w_ + r * p.finest, p.finest, options);
    for (int i = 0; i < p.finest / run_; ++i) {
      targets_[0][r * (p.finest / run_) + i] = fit.s;
      weights_[0][r * (p.finest / run_) + i] = fit.cc;
    }
  }
  set_levels(s, 0);
  choose_codes(s);
}

// One offset for several scales: runs cannot be fitted one by one, so offsets are tried from the lowest number towards zero (and
// from the highest, with negative scales).
void BlockEncoder::search_shared_offset() {
  struct Start {
    float share;
    bool highest;
  };
  Start best{1, false};
  double least = INFINITY;
  for (Start t : {Start{1, false},
                  {0.85f, false},
                  {0.7f, false},
                  {0.55f, false},
                  {0.35f, false},
                  {0, false},
                  {1, true},
                  {0.85f, true},
                  {0.7f, true}}) {
    start_with_offset(trial_, t.share, t.highest, true);
    if (trial_.error >= least) continue;
    least = trial_.error;
    best = t;
  }
  start_with_offset(work_, best.share, best.highest, false);
  refine(work_);
}

}  // namespace lumen::formats
