// Attention: softmax-weighted sums over keys, one pass with a running maximum (online softmax, arXiv 1805.02867). An item is a
// token and a group of heads that share keys. Keys come in blocks (pages, where the cache is paged): the scores of a block, the
// softmax's new maximum, then the weighted values. Prompts take blocks of tokens: each page is converted to f32 once for all of them, keys
// transposed, so that lanes are keys.
#include <algorithm>
#include <functional>

#include "compiler/loops/lowering.h"

namespace lumen::loops {
namespace {
using ir::Ek;
using ir::ExprPtr;

constexpr int kBlock = 1 << 21, kInBlock = kBlock + 1;  // index numbers: block of keys, key within the block

ExprPtr strip_cast(const ExprPtr& e) { return e->kind == Ek::Cast && is_float(e->type) ? strip_cast(e->args[0]) : e; }

class AttentionLowering {
 public:
  explicit AttentionLowering(LowerContext& c) : c_(c), b_(c.b), lanes_(c.s.lanes) {}

  Result<Lowered> run() {
    std::string why = match();
    if (!why.empty()) return c_.unsupported("attention: " + why);
    tokens_ = std::max<int64_t>(c_.s.token_block, 1);
    c_.add_item_factor(c_.v.dims[0], tokens_);
    c_.b.kernel().items.push_back({heads_ / share_, "", 1});
    scores_ = b_.buffer("scores", BufferKind::Scratch, (static_cast<int64_t>(share_) * keys_ * 4 + 63) / 64 * 64);
    sums_ = b_.buffer("sums", BufferKind::Scratch, (tokens_ * share_ * depth_ * 4 + 63) / 64 * 64);
    if (tokens_ > 1) {
      states_ = b_.buffer("states", BufferKind::Scratch, (tokens_ * share_ * 8 + 63) / 64 * 64);
      key_page_ = b_.buffer("key_page", BufferKind::Scratch, width_ * keys_ * 4);
      value_page_ = b_.buffer("value_page", BufferKind::Scratch, depth_ * keys_ * 4);
      int levels = 0;
      while (1 << levels < lanes_) ++levels;
      partial_ = b_.buffer("partial", BufferKind::Scratch, std::max<int64_t>(levels * share_ * keys_ * 4, 64));
    }
    b_.for_(b_.begin(), b_.end(), 1, [&](Reg i) { c_.e.scoped([&] { tokens_ > 1 ? block_item(i) : item(i); }); });
    return c_.finish();
  }

 private:
  std::string match() {
    if (c_.v.kind != ir::ValueKind::Compute || c_.v.type.format || c_.v.dims.size() != 3) return "expected a plain result (token, head, channel)";
    if (!c_.v.dims[1].is_const() || !c_.v.dims[2].is_const()) return "expected constant numbers of heads and channels";
    soft_ = c_.v.body;
    if (soft_->kind != Ek::Reduce || soft_->reduction != ir::Reduction::SoftmaxSum) return "expected softmax_sum as the whole body";
    heads_ = c_.v.dims[1].value;
    depth_ = c_.v.dims[2].value;
    key_ = static_cast<int>(soft_->ival);
    ir::visit(soft_->args[2], [&](const ir::Expr& e) {
      if (e.kind == Ek::Reduce) { product_ = &e; ++products_; }
    });
    if (products_ != 1 || product_->reduction != ir::Reduction::Sum || product_->args[2]->kind != Ek::Op || product_->args[2]->op != ir::Op::Mul)
      return "expected one sum of products in the score";
    q_ = strip_cast(product_->args[2]->args[0]);
    k_ = strip_cast(product_->args[2]->args[1]);
    if (q_->kind != Ek::Load || k_->kind != Ek::Load) return "expected a product of loads in the score";
    if (ir::uses_index(q_, key_)) std::swap(q_, k_);
    v_ = strip_cast(soft_->args[3]);
    if (v_->kind != Ek::Load) return "expected a load as the weighted value";
    if (product_->args[0]->kind != Ek::Int || product_->args[0]->ival != 0 || product_->args[1]->kind != Ek::Int) return "expected a constant head size";
    width_ = product_->args[1]->ival;
    if (width_ % lanes_ || depth_ % lanes_) return "head sizes that are not whole vectors";
    for (const ExprPtr& l : {q_, k_, v_})
      if (type_of(l).format) return "a formatted operand";
    // Block of keys: the page, where indices use key / page and key % page.
    keys_ = c_.s.keys;
    for (const ExprPtr& l : {k_, v_})
      for (const ExprPtr& i : l->args)
        ir::visit(i, [&](const ir::Expr& e) {
          if (e.kind == Ek::Op && e.op == ir::Op::Mod && e.args[0]->kind == Ek::Index && e.args[0]->ival == key_ && e.args[1]->kind == Ek::Int) keys_ = e.args[1]->ival;
        });
    if (keys_ % lanes_) return "pages that are not whole vectors";
    // Heads that share keys: the divisor of the head index, if all of k's and v's uses divide by it.
    int64_t share = 0;
    bool plain = false;
    for (const ExprPtr& l : {k_, v_})
      for (const ExprPtr& i : l->args) {
        ExprPtr rest = ir::rewrite(i, [&](const ExprPtr& e) -> ExprPtr {
          if (e->kind == Ek::Op && e->op == ir::Op::Div && e->args[0]->kind == Ek::Index && e->args[0]->ival == 1 && e->args[1]->kind == Ek::Int) {
            if (share && share != e->args[1]->ival) plain = true;
            share = e->args[1]->ival;
            return ir::make_int(0);
          }
          return nullptr;
        });
        plain |= ir::uses_index(rest, 1);
      }
    bool used = share != 0 || plain;
    share_ = static_cast<int>(plain ? 1 : used ? share : heads_);
    if (share_ < 1 || heads_ % share_) share_ = 1;
    k_ = blocked(k_);
    v_ = blocked(v_);
    return "";
  }

  const ir::Type& type_of(const ExprPtr& load) const { return c_.f.values[c_.v.operands[load->operand]].type; }

  // key -> block * keys + place, with quotients and remainders by the block's size resolved.
  ExprPtr blocked(const ExprPtr& e) const {
    ExprPtr block = ir::make_index(kBlock), place = ir::make_index(kInBlock);
    ExprPtr split = ir::rewrite(e, [&](const ExprPtr& x) -> ExprPtr {
      if (x->kind == Ek::Op && (x->op == ir::Op::Div || x->op == ir::Op::Mod) && x->args[0]->kind == Ek::Index && x->args[0]->ival == key_ &&
          x->args[1]->kind == Ek::Int && x->args[1]->ival == keys_)
        return x->op == ir::Op::Div ? block : place;
      return nullptr;
    });
    return ir::substitute(split, key_, ir::make_op(ir::Op::Add, {ir::make_op(ir::Op::Mul, {block, ir::make_int(keys_)}), place}));
  }

  void item(Reg i) {
    Reg groups = b_.i64(heads_ / share_);
    c_.e.index[0] = b_.op(LOp::Div, {i, groups});
    Reg head0 = b_.mul_imm(b_.op(LOp::Mod, {i, groups}), share_);
    c_.e.index[1] = head0;
    Reg lo = c_.e.scalar(soft_->args[0]), hi = c_.e.scalar(soft_->args[1]);
    find_queries(head0);
    for (int h = 0; h < share_; ++h) {
      top_.push_back(variable(-__builtin_inf(), 1));
      total_.push_back(variable(0, 1));
    }
    c_.e.index[1] = head0;
    b_.for_(0, share_ * depth_ / lanes_, 1, [&](Reg x) { b_.store(b_.f32(0, lanes_), DType::F32, {sums_, b_.mul_imm(x, lanes_ * 4), {}, 0}); });
    Reg n = b_.i64(keys_);
    Reg first = b_.op(LOp::Div, {b_.op(LOp::Max, {lo, b_.i64(0)}), n});
    Reg last = b_.op(LOp::Div, {b_.add_imm(hi, keys_ - 1), n});
    b_.for_(first, last, 1, [&](Reg block) {
      c_.e.scoped([&] {
        Reg j0 = b_.mul_imm(block, keys_);
        Reg from = b_.op(LOp::Max, {b_.sub(lo, j0), b_.i64(0)}), to = b_.op(LOp::Min, {b_.sub(hi, j0), n});
        c_.e.index[kBlock] = block;
        scores(from, to);
        soften(from, to, head0);
        weigh(from, to);
      });
    });
    finish(head0);
    q_at_.clear();
    top_.clear();
    total_.clear();
  }

  // Addresses of the heads' queries at index[0].
  void find_queries(Reg head0) {
    q_at_.clear();
    for (int h = 0; h < share_; ++h)
      c_.e.scoped([&] {
        c_.e.index[1] = b_.add_imm(head0, h);
        int number = static_cast<int>(product_->ival);
        c_.e.index[number] = b_.i64(0);
        q_at_.push_back(c_.e.address(type_of(q_), c_.e.operand_buffer[q_->operand], q_->args));
        c_.e.index.erase(number);
      });
    c_.e.index[1] = head0;
  }

  // A block of tokens. What the online softmax knows of each token and head lies in memory between pages.
  void block_item(Reg i) {
    Reg groups = b_.i64(heads_ / share_), n = b_.i64(keys_);
    Reg t0 = b_.mul_imm(b_.op(LOp::Div, {i, groups}), tokens_);
    Reg count = b_.op(LOp::Min, {b_.sub(c_.e.dim(c_.v.dims[0]), t0), b_.i64(tokens_)});
    Reg head0 = b_.mul_imm(b_.op(LOp::Mod, {i, groups}), share_);
    Reg first = b_.reg(Ty::I64, 1), last = b_.reg(Ty::I64, 1);
    b_.set(first, b_.i64(INT64_MAX));
    b_.set(last, b_.i64(0));
    auto each_token = [&](auto&& body) {
      b_.for_(b_.i64(0), count, 1, [&](Reg t) {
        c_.e.scoped([&] {
          c_.e.index[0] = b_.add(t0, t);
          c_.e.index[1] = head0;
          body(t);
        });
      });
    };
    each_token([&](Reg t) {
      Reg sums = b_.mul_imm(t, share_ * depth_ * 4), states = b_.mul_imm(t, share_ * 8);
      b_.for_(0, share_ * depth_, lanes_, [&](Reg x) { b_.store(b_.f32(0, lanes_), DType::F32, {sums_, sums, b_.mul_imm(x, 4), 0}); });
      for (int h = 0; h < share_; ++h) {
        b_.store(b_.f32(-__builtin_inf(), 1), DType::F32, {states_, states, {}, h * 8});
        b_.store(b_.f32(0, 1), DType::F32, {states_, states, {}, h * 8 + 4});
      }
      Reg lo = c_.e.scalar(soft_->args[0]), hi = c_.e.scalar(soft_->args[1]);
      b_.set_op(first, LOp::Min, {first, b_.op(LOp::Div, {b_.op(LOp::Max, {lo, b_.i64(0)}), n})});
      b_.set_op(last, LOp::Max, {last, b_.op(LOp::Div, {b_.add_imm(hi, keys_ - 1), n})});
    });
    b_.for_(first, last, 1, [&](Reg page) {
      Reg converted = b_.reg(Ty::I64, 1), converted_v = b_.reg(Ty::I64, 1);  // where the pages in scratch came from
      b_.set(converted, b_.i64(-1));
      b_.set(converted_v, b_.i64(-1));
      each_token([&](Reg t) {
        Reg j0 = b_.mul_imm(page, keys_);
        Reg lo = c_.e.scalar(soft_->args[0]), hi = c_.e.scalar(soft_->args[1]);
        Reg from = b_.op(LOp::Max, {b_.sub(lo, j0), b_.i64(0)}), to = b_.op(LOp::Min, {b_.sub(hi, j0), n});
        b_.if_(b_.op(LOp::CmpLt, {from, to}), [&] {
          c_.e.scoped([&] {
            c_.e.index[kBlock] = page;
            token_on_page(t, head0, from, to, converted, converted_v);
          });
        });
      });
    });
    each_token([&](Reg t) {
      load_states(t);
      sums_base_ = b_.mul_imm(t, share_ * depth_ * 4);
      finish(head0);
      sums_base_ = Reg{};
    });
    top_.clear();
    total_.clear();
    q_at_.clear();
  }

  void load_states(Reg t) {
    top_.clear();
    total_.clear();
    Reg at = b_.mul_imm(t, share_ * 8);
    for (int h = 0; h < share_; ++h) {
      top_.push_back(b_.reg(Ty::F32, 1));
      b_.set(top_.back(), b_.load(Ty::F32, 1, DType::F32, {states_, at, {}, h * 8}));
      total_.push_back(b_.reg(Ty::F32, 1));
      b_.set(total_.back(), b_.load(Ty::F32, 1, DType::F32, {states_, at, {}, h * 8 + 4}));
    }
  }

  Reg place(const Address& a) {
    Reg r = a.offset ? a.offset : b_.i64(0);
    if (a.offset2) r = b_.add(r, a.offset2);
    return b_.add_imm(r, a.disp);
  }

  void token_on_page(Reg t, Reg head0, Reg from, Reg to, Reg converted, Reg converted_v) {
    auto [keys, key_step] = keyed(k_, static_cast<int>(product_->ival));
    auto [values, value_step] = keyed(v_, 2);
    Reg key_at = place(keys), value_at = place(values);
    Reg same = b_.op(LOp::And, {b_.op(LOp::CmpEq, {key_at, converted}), b_.op(LOp::CmpEq, {value_at, converted_v})});
    b_.if_(b_.sub(b_.i64(1), same), [&, key_step = key_step, value_step = value_step] {
      convert(key_at, key_step, value_at, value_step);
      b_.set(converted, key_at);
      b_.set(converted_v, value_at);
    });
    find_queries(head0);
    load_states(t);
    page_scores();
    soften(from, to, head0);
    Reg states = b_.mul_imm(t, share_ * 8);
    for (int h = 0; h < share_; ++h) {
      b_.store(top_[h], DType::F32, {states_, states, {}, h * 8});
      b_.store(total_[h], DType::F32, {states_, states, {}, h * 8 + 4});
    }
    page_weigh(b_.mul_imm(t, share_ * depth_ * 4), from, to);
  }

  // The page in f32: values as they lie, keys with the channel outermost.
  void convert(Reg key_at, int64_t key_step, Reg value_at, int64_t value_step) {
    DType kt = type_of(k_).scalar, vt = type_of(v_).scalar;
    int kb = c_.e.operand_buffer[k_->operand], vb = c_.e.operand_buffer[v_->operand];
    int64_t step = width_ % 8 == 0 ? 8 : 1;
    b_.for_(0, keys_, 1, [&](Reg j) {
      Reg key = b_.add(key_at, b_.mul_imm(j, key_step)), value = b_.add(value_at, b_.mul_imm(j, value_step)), j4 = b_.mul_imm(j, 4);
      b_.for_(0, width_, step, [&](Reg c) {
        Reg from = b_.mul_imm(c, size_of(kt)), to = b_.mul_imm(c, keys_ * 4);
        for (int64_t x = 0; x < step; ++x)
          b_.store(b_.load(Ty::F32, 1, kt, {kb, key, from, x * size_of(kt)}), DType::F32, {key_page_, to, j4, x * keys_ * 4});
      });
      Reg row = b_.mul_imm(j, depth_ * 4);
      b_.for_(0, depth_, lanes_, [&](Reg d) {
        b_.store(b_.load(Ty::F32, lanes_, vt, {vb, value, b_.mul_imm(d, size_of(vt)), 0}), DType::F32, {value_page_, row, b_.mul_imm(d, 4), 0});
      });
    });
  }

  // Heads in groups whose accumulators fit the registers beside a broadcast each, a load and one to spare.
  template <class F>
  void over_few_heads(int vectors, F&& f) {
    int most = std::max(1, (c_.m.vector_registers - 2) / (vectors + 1)), groups = (share_ + most - 1) / most;
    for (int g = 0, h = 0; g < groups; ++g) {
      int n = (share_ - h + groups - g - 1) / (groups - g);
      f(h, n);
      h += n;
    }
  }

  // Summed in the order of `scores`, whose lanes are channels: a sum for each channel modulo the lanes, and those as HAdd folds them. So an
  // answer does not depend on the steps it was made in.
  void page_scores() {
    int vectors = static_cast<int>(keys_) / lanes_;
    DType qt = type_of(q_).scalar;
    over_few_heads(vectors, [&](int h0, int heads) {
      int cells = heads * vectors;
      auto at = [&](int cell, int level) { return Address{partial_, {}, {}, (level * cells + cell) * lanes_ * 4}; };
      auto channels = [&](int from) {
        std::vector<Reg> acc;
        for (int i = 0; i < cells; ++i) acc.push_back(variable(0, lanes_));
        b_.for_(0, width_, lanes_, [&](Reg c) {
          Reg qc = b_.mul_imm(c, size_of(qt)), kc = b_.mul_imm(c, keys_ * 4);
          std::vector<Reg> q;
          for (int h = 0; h < heads; ++h) q.push_back(b_.load_splat(Ty::F32, lanes_, qt, plus(q_at_[h0 + h], qc, from * size_of(qt))));
          for (int v = 0; v < vectors; ++v) {
            Reg k = b_.load(Ty::F32, lanes_, DType::F32, {key_page_, kc, {}, (from * keys_ + v * lanes_) * 4});
            for (int h = 0; h < heads; ++h) b_.set_op(acc[h * vectors + v], LOp::Fma, {q[h], k, acc[h * vectors + v]});
          }
        });
        return acc;
      };
      // Sums of the channels from + i * stride; the first half waits in memory for the second.
      std::function<std::vector<Reg>(int, int, int)> fold = [&](int from, int stride, int level) {
        if (stride == lanes_) return channels(from);
        std::vector<Reg> first = fold(from, stride * 2, level + 1);
        for (int i = 0; i < cells; ++i) b_.store(first[i], DType::F32, at(i, level));
        std::vector<Reg> second = fold(from + stride, stride * 2, level + 1);
        for (int i = 0; i < cells; ++i) second[i] = b_.add(second[i], b_.load(Ty::F32, lanes_, DType::F32, at(i, level)));
        return second;
      };
      std::vector<Reg> acc = fold(0, 1, 0);
      for (int h = 0; h < heads; ++h)
        for (int v = 0; v < vectors; ++v) b_.store(acc[h * vectors + v], DType::F32, {scores_, {}, {}, ((h0 + h) * keys_ + v * lanes_) * 4});
    });
  }

  void page_weigh(Reg sums, Reg from, Reg to) {
    int wide = 4;
    while (depth_ % (wide * lanes_)) wide /= 2;
    over_few_heads(wide, [&](int h0, int heads) {
      std::vector<Reg> scale;
      for (int h = 0; h < heads; ++h) scale.push_back(b_.splat(scale_[h0 + h], lanes_));
      b_.for_(0, depth_, wide * lanes_, [&](Reg d) {
        Reg d4 = b_.mul_imm(d, 4);
        auto at = [&](int h, int x) { return Address{sums_, sums, d4, ((h0 + h) * depth_ + x * lanes_) * 4}; };
        std::vector<Reg> acc;
        for (int h = 0; h < heads; ++h)
          for (int x = 0; x < wide; ++x) {
            acc.push_back(b_.reg(Ty::F32, lanes_));
            b_.set(acc.back(), b_.mul(b_.load(Ty::F32, lanes_, DType::F32, at(h, x)), scale[h]));
          }
        b_.for_(from, to, 1, [&](Reg j) {
          Reg j4 = b_.mul_imm(j, 4), row = b_.add(b_.mul_imm(j, depth_ * 4), d4);
          std::vector<Reg> p;
          for (int h = 0; h < heads; ++h) p.push_back(b_.load_splat(Ty::F32, lanes_, DType::F32, {scores_, j4, {}, (h0 + h) * keys_ * 4}));
          for (int x = 0; x < wide; ++x) {
            Reg v = b_.load(Ty::F32, lanes_, DType::F32, {value_page_, row, {}, x * lanes_ * 4});
            for (int h = 0; h < heads; ++h) b_.set_op(acc[h * wide + x], LOp::Fma, {p[h], v, acc[h * wide + x]});
          }
        });
        for (int h = 0; h < heads; ++h)
          for (int x = 0; x < wide; ++x) b_.store(acc[h * wide + x], DType::F32, at(h, x));
      });
    });
  }

  Reg variable(double start, int lanes) {
    Reg r = b_.reg(Ty::F32, lanes);
    b_.set(r, b_.f32(start, lanes));
    return r;
  }
  // Address of `load` at the block's first key, and bytes from one key to the next.
  std::pair<Address, int64_t> keyed(const ExprPtr& load, int channel) {
    const ir::Type& t = type_of(load);
    int saved = c_.e.vector_index;
    c_.e.index[kInBlock] = b_.i64(0);
    c_.e.index[channel] = b_.i64(0);
    Address at = c_.e.address(t, c_.e.operand_buffer[load->operand], load->args);
    c_.e.vector_index = kInBlock;
    auto step = c_.e.stride(t, load->args);
    c_.e.vector_index = channel;
    auto along = c_.e.stride(t, load->args);
    c_.e.vector_index = saved;
    c_.e.index.erase(kInBlock);
    c_.e.index.erase(channel);
    if ((!step || !along || *along != 1) && c_.e.error.empty()) c_.e.error = "attention over a cache whose channels do not lie together";
    return {at, step.value_or(0) * size_of(t.scalar)};
  }
  template <class F>
  void over_heads(F&& f) {  // at most four at a time: their accumulators stay in registers
    for (int h = 0; h < share_; h += 4) f(h, std::min(4, share_ - h));
  }
  Address plus(Address a, Reg offset, int64_t disp) {
    if (offset) a.offset = a.offset ? b_.add(a.offset, offset) : offset;
    a.disp += disp;
    return a;
  }

  void scores(Reg from, Reg to) {
    auto [base, step] = keyed(k_, static_cast<int>(product_->ival));
    DType kt = type_of(k_).scalar, qt = type_of(q_).scalar;
    over_heads([&, base = base, step = step](int h0, int heads) {
      b_.for_(from, to, 1, [&](Reg j) {
        Address key = plus(base, b_.mul_imm(j, step), 0);
        std::vector<Reg> acc;
        for (int h = 0; h < heads; ++h) acc.push_back(variable(0, lanes_));
        auto part = [&](Reg c, int64_t fixed) {
          Reg kv = b_.load(Ty::F32, lanes_, kt, plus(key, c ? b_.mul_imm(c, size_of(kt)) : Reg{}, fixed * size_of(kt)));
          for (int h = 0; h < heads; ++h) {
            Reg qv = b_.load(Ty::F32, lanes_, qt, plus(q_at_[h0 + h], c ? b_.mul_imm(c, size_of(qt)) : Reg{}, fixed * size_of(qt)));
            b_.set_op(acc[h], LOp::Fma, {kv, qv, acc[h]});
          }
        };
        if (width_ / lanes_ <= 16) for (int64_t c = 0; c < width_; c += lanes_) part(Reg{}, c);
        else b_.for_(0, width_, lanes_, [&](Reg c) { part(c, 0); });
        for (int h = 0; h < heads; ++h) b_.store(b_.op(LOp::HAdd, {acc[h]}), DType::F32, {scores_, b_.mul_imm(j, 4), {}, (h0 + h) * keys_ * 4});
      });
    });
  }

  // Scores -> weights relative to the new maximum; earlier sums are scaled when they are next read.
  void soften(Reg from, Reg to, Reg head0) {
    scale_.clear();
    Reg lo = b_.splat(from, lanes_), hi = b_.splat(to, lanes_), minus_inf = b_.f32(-__builtin_inf(), lanes_);
    int64_t vectors = keys_ / lanes_;
    for (int h = 0; h < share_; ++h) {
      c_.e.scoped([&] {
        c_.e.index[1] = b_.add_imm(head0, h);
        Reg peak = variable(-__builtin_inf(), lanes_);
        for (int64_t v = 0; v < vectors; ++v) {
          Address at{scores_, {}, {}, (h * keys_ + v * lanes_) * 4};
          Reg i = b_.reg(Ty::I32, lanes_);
          b_.set_op(i, LOp::Iota, {}, v * lanes_);
          Reg inside = b_.op(LOp::AndNot, {b_.op(LOp::CmpLt, {i, hi}), b_.op(LOp::CmpLt, {i, lo})});
          Reg s;
          c_.e.scoped([&] {
            c_.e.given[product_] = b_.load(Ty::F32, lanes_, DType::F32, at);
            c_.e.vector_index = key_;
            c_.e.index[key_] = b_.add_imm(b_.mul_imm(c_.e.index[kBlock], keys_), v * lanes_);
            s = c_.e.value(soft_->args[2], lanes_);
            c_.e.index.erase(key_);
            c_.e.vector_index = -1;
            c_.e.given.erase(product_);
          });
          s = b_.op(LOp::Select, {inside, s, minus_inf});
          b_.store(s, DType::F32, at);
          b_.set_op(peak, LOp::Max, {peak, s});
        }
        Reg top = b_.op(LOp::Max, {top_[h], b_.op(LOp::HMax, {peak})});
        Reg scale = b_.op(LOp::Exp, {b_.sub(top_[h], top)});
        scale_.push_back(scale);
        b_.set(top_[h], top);
        Reg wide_top = b_.splat(top, lanes_), sum = variable(0, lanes_);
        for (int64_t v = 0; v < vectors; ++v) {
          Address at{scores_, {}, {}, (h * keys_ + v * lanes_) * 4};
          Reg p = b_.op(LOp::Exp, {b_.sub(b_.load(Ty::F32, lanes_, DType::F32, at), wide_top)});
          b_.store(p, DType::F32, at);
          b_.set_op(sum, LOp::Add, {sum, p});
        }
        b_.set(total_[h], b_.add(b_.mul(total_[h], scale), b_.op(LOp::HAdd, {sum})));
      });
    }
    c_.e.index[1] = head0;
  }

  void weigh(Reg from, Reg to) {
    auto [base, step] = keyed(v_, 2);
    DType vt = type_of(v_).scalar;
    over_heads([&, base = base, step = step](int h0, int heads) {
      int64_t wide = depth_ % (2 * lanes_) == 0 ? 2 : 1;
      std::vector<Reg> scale;
      for (int h = 0; h < heads; ++h) scale.push_back(b_.splat(scale_[h0 + h], lanes_));
      b_.for_(0, depth_, wide * lanes_, [&](Reg d) {
        std::vector<Reg> acc;
        Reg d4 = b_.mul_imm(d, 4);
        auto at = [&](int h, int64_t x) { return Address{sums_, d4, {}, ((h0 + h) * depth_ + x * lanes_) * 4}; };
        for (int h = 0; h < heads; ++h)
          for (int64_t x = 0; x < wide; ++x) {
            acc.push_back(b_.reg(Ty::F32, lanes_));
            b_.set(acc.back(), b_.mul(b_.load(Ty::F32, lanes_, DType::F32, at(h, x)), scale[h]));
          }
        Address values = plus(base, b_.mul_imm(d, size_of(vt)), 0);
        b_.for_(from, to, 1, [&](Reg j) {
          Address row = plus(values, b_.mul_imm(j, step), 0);
          std::vector<Reg> v;
          for (int64_t x = 0; x < wide; ++x) v.push_back(b_.load(Ty::F32, lanes_, vt, plus(row, Reg{}, x * lanes_ * size_of(vt))));
          Reg j4 = b_.mul_imm(j, 4);
          for (int h = 0; h < heads; ++h) {
            Reg p = b_.load_splat(Ty::F32, lanes_, DType::F32, {scores_, j4, {}, (h0 + h) * keys_ * 4});
            for (int64_t x = 0; x < wide; ++x) b_.set_op(acc[h * wide + x], LOp::Fma, {p, v[x], acc[h * wide + x]});
          }
        });
        for (int h = 0; h < heads; ++h)
          for (int64_t x = 0; x < wide; ++x) b_.store(acc[h * wide + x], DType::F32, at(h, x));
      });
    });
  }

  void finish(Reg head0) {
    for (int h = 0; h < share_; ++h) {
      c_.e.scoped([&] {
        c_.e.index[1] = b_.add_imm(head0, h);
        Reg total = total_[h], rescale;
        if (soft_->args.size() > 4) {  // a sink joins the denominator
          Reg sink = c_.e.value(soft_->args[4], 1);
          Reg top = b_.op(LOp::Max, {top_[h], sink});
          rescale = b_.op(LOp::Exp, {b_.sub(top_[h], top)});
          total = b_.add(b_.mul(total, rescale), b_.op(LOp::Exp, {b_.sub(sink, top)}));
        }
        Reg none = b_.op(LOp::CmpLe, {total, b_.f32(0, 1)});  // no key at all: zeros
        Reg inv = b_.op(LOp::Select, {none, b_.f32(0, 1), b_.op(LOp::Rcp, {total})});
        if (rescale) inv = b_.mul(inv, rescale);
        Reg wide = b_.splat(inv, lanes_);
        Reg out = b_.mul_imm(b_.add(b_.mul_imm(c_.e.index[0], heads_), c_.e.index[1]), depth_ * size_of(c_.v.type.scalar));
        b_.for_(0, depth_, lanes_, [&](Reg d) {
          Reg x = b_.load(Ty::F32, lanes_, DType::F32, {sums_, b_.mul_imm(d, 4), sums_base_, h * depth_ * 4});
          b_.store(b_.mul(x, wide), c_.v.type.scalar, {c_.result_buffer(), out, b_.mul_imm(d, size_of(c_.v.type.scalar)), 0});
        });
      });
    }
    c_.e.index.erase(1);
  }

  LowerContext& c_;
  Builder& b_;
  int lanes_;
  ExprPtr soft_, q_, k_, v_;
  const ir::Expr* product_ = nullptr;
  int products_ = 0, key_ = 0, share_ = 1;
  int64_t heads_ = 0, depth_ = 0, width_ = 0, keys_ = 32, tokens_ = 1;
  int scores_ = -1, sums_ = -1, states_ = -1, key_page_ = -1, value_page_ = -1, partial_ = -1;
  Reg sums_base_;  // byte offset of the token's sums; none: 0
  std::vector<Address> q_at_;
  std::vector<Reg> top_, total_, scale_;
};

}  // namespace

Result<Lowered> lower_attention(LowerContext& c) { return AttentionLowering(c).run(); }

}  // namespace lumen::loops
