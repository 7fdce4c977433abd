// Elements of one kind. What an element's expression will look like is decided by those parts of the rule that depend on its number
// alone: they are computed for all elements, and elements with equal results read entries of the same fields in the same way.
#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "compiler/formats/enumerate.h"
#include "compiler/ir/scalar.h"

namespace lumen::formats {
namespace {

using ir::Ek;
using ir::ExprPtr;

// The rule as a list, arguments before users.
class Rule {
 public:
  explicit Rule(const ir::FormatType& f) : f_(f) {
    add(f.value);
    std::vector<ExprPtr> known;
    for (Node& n : nodes_)
      if (n.of_index) {
        n.output = known.size();
        known.push_back(n.e);
      }
    program_ = std::make_unique<BlockProgram>(f, known);
    LUMEN_ASSERT(program_->error().empty());
    seen_.resize(nodes_.size(), -1);
  }

  // What tells element k's kind, and the entries it reads.
  std::vector<uint64_t> kind_of(int k, std::vector<Leaf>& leaves) {
    program_->run(nullptr, k);
    k_ = k;
    std::vector<uint64_t> key;
    walk(static_cast<int>(nodes_.size()) - 1, key, leaves);
    return key;
  }

 private:
  struct Node {
    ExprPtr e;
    std::vector<int> args;
    bool of_index = false;  // of the element's number and constants alone
    size_t output = 0;
  };

  int add(const ExprPtr& e) {
    auto it = number_.find(e.get());
    if (it != number_.end()) return it->second;
    Node n{e, {}, e->kind != Ek::Field, 0};
    for (const ExprPtr& a : e->args) {
      n.args.push_back(add(a));
      n.of_index &= nodes_[static_cast<size_t>(n.args.back())].of_index;
    }
    nodes_.push_back(std::move(n));
    return number_[e.get()] = static_cast<int>(nodes_.size()) - 1;
  }

  // Selections by the element's number alone lead to one arm; the other is not looked at.
  void walk(int number, std::vector<uint64_t>& key, std::vector<Leaf>& leaves) {
    const Node& n = nodes_[static_cast<size_t>(number)];
    if (n.e->kind == Ek::Int || n.e->kind == Ek::Float) return;
    if (n.of_index) {
      key.push_back(is_float(n.e->type) ? std::bit_cast<uint32_t>(program_->real(n.output))
                                        : static_cast<uint64_t>(program_->integer(n.output)));
      return;
    }
    if (seen_[static_cast<size_t>(number)] == k_) return;  // as in every element of this kind
    seen_[static_cast<size_t>(number)] = k_;
    if (n.e->kind == Ek::Field && nodes_[static_cast<size_t>(n.args[0])].of_index) {
      Leaf leaf{static_cast<int>(n.e->ival), program_->integer(nodes_[static_cast<size_t>(n.args[0])].output)};
      LUMEN_ASSERT(leaf.index >= 0 && leaf.index < f_.fields[static_cast<size_t>(leaf.field)].count);  // sema refuses others
      size_t at = static_cast<size_t>(std::find(leaves.begin(), leaves.end(), leaf) - leaves.begin());
      if (at == leaves.size()) leaves.push_back(leaf);
      key.push_back(at);
      return;
    }
    if (n.e->kind == Ek::Field) key.push_back(static_cast<uint64_t>(k_));  // any entry, by the data: of no other element's kind
    size_t first = 0, end = n.args.size();
    if (n.e->kind == Ek::Op && n.e->op == ir::Op::Select && nodes_[static_cast<size_t>(n.args[0])].of_index) {
      bool taken = program_->integer(nodes_[static_cast<size_t>(n.args[0])].output) != 0;
      key.push_back(taken);
      first = taken ? 1 : 2;
      end = first + 1;
    }
    for (size_t i = first; i < end; ++i) walk(n.args[i], key, leaves);
  }

  const ir::FormatType& f_;
  std::vector<Node> nodes_;
  std::unordered_map<const ir::Expr*, int> number_;
  std::unique_ptr<BlockProgram> program_;
  std::vector<int> seen_;
  int k_ = 0;
};

}  // namespace

bool BlockMap::levels_only(const BitList& b) const {
  return std::all_of(b.begin(), b.end(), [&](int i) { return level_bit[static_cast<size_t>(i)]; });
}
bool BlockMap::codes_only(const BitList& b) const {
  return std::none_of(b.begin(), b.end(), [&](int i) { return level_bit[static_cast<size_t>(i)]; });
}

// A kind's bits are those of its representative, each in the entry of the element's own that stands in the same place.
class BitsOfKind {
 public:
  BitsOfKind(const ir::FormatType& f, const BlockMap& m) : f_(f), m_(m) {}
  int first_bit(const Leaf& l) const {
    const ir::FormatField& field = f_.fields[static_cast<size_t>(l.field)];
    return 8 * (field.offset + static_cast<int>(l.index) * size_of(field.type));
  }
  template <class Use>
  void each(int k, const BitList& of_representative, Use use) const {
    const BlockMap::Element& e = m_.elements[static_cast<size_t>(k)];
    const BlockMap::Element& r = m_.elements[static_cast<size_t>(m_.kinds[static_cast<size_t>(e.kind)].k)];
    for (size_t i = 0; i < of_representative.size(); ++i) {
      int bit = of_representative[i];
      for (size_t l = 0; l < r.leaves.size(); ++l) {
        int at = bit - first_bit(r.leaves[l]);
        if (at < 0 || at >= 8 * size_of(f_.fields[static_cast<size_t>(r.leaves[l].field)].type)) continue;
        bit = first_bit(e.leaves[l]) + at;
        break;
      }
      use(i, static_cast<size_t>(bit));
    }
  }

 private:
  const ir::FormatType& f_;
  const BlockMap& m_;
};

BlockMap enumerate(const ir::FormatType& f, Interner& intern, BitAnalysis& bits) {
  BlockMap m;
  Rule rule(f);
  std::map<std::vector<uint64_t>, int> kinds;
  auto add_kind = [&](int k) {
    m.kinds.push_back({k, intern(ir::substitute(f.value, 0, ir::make_int(k)))});
    return static_cast<int>(m.kinds.size()) - 1;
  };
  for (int k = 0; k < f.block; ++k) {
    BlockMap::Element e;
    auto [it, fresh] = kinds.try_emplace(rule.kind_of(k, e.leaves), 0);
    if (fresh) it->second = add_kind(k);
    e.kind = it->second;
    m.elements.push_back(std::move(e));
  }
  size_t source_bits = 8 * static_cast<size_t>(f.block_bytes), runs = static_cast<size_t>(f.block / 16);
  std::vector<uint8_t> used(source_bits * runs, 0);  // elements of a run that depend on a bit
  BitsOfKind in(f, m);
  for (int k = 0; k < f.block; ++k)
    in.each(k, bits.support(m.kinds[static_cast<size_t>(m.elements[static_cast<size_t>(k)].kind)].value),
            [&](size_t, size_t b) { ++used[b * runs + static_cast<size_t>(k / 16)]; });
  m.level_bit.assign(source_bits, true);
  m.users.assign(source_bits, 0);
  for (size_t b = 0; b < source_bits; ++b)
    for (size_t r = 0; r < runs; ++r) {
      int n = used[b * runs + r];
      m.users[b] += n;
      if (n != 0 && n != 16) m.level_bit[b] = false;
    }
  // Elements whose levels and codes lie in other places than the representative's are of another kind.
  std::map<std::pair<int, std::vector<bool>>, int> split;
  for (int k = 0; k < f.block; ++k) {
    BlockMap::Element& e = m.elements[static_cast<size_t>(k)];
    const BitList& support = bits.support(m.kinds[static_cast<size_t>(e.kind)].value);
    std::vector<bool> levels(support.size());
    in.each(k, support, [&](size_t i, size_t b) { levels[i] = m.level_bit[b]; });
    int own = e.kind;
    if (m.kinds[static_cast<size_t>(e.kind)].k == k) {
      split[{e.kind, levels}] = e.kind;
    } else if (auto [it, fresh] = split.try_emplace({e.kind, levels}, 0); fresh) {
      own = it->second = add_kind(k);
    } else {
      own = it->second;
    }
    e.kind = own;
  }
  return m;
}

ExprPtr Renamer::operator()(const ExprPtr& e, int k) {
  const BlockMap::Element& to = map_.elements[static_cast<size_t>(k)];
  const BlockMap::Kind& kind = map_.kinds[static_cast<size_t>(to.kind)];
  if (kind.k == k) return e;
  const BlockMap::Element& from = map_.elements[static_cast<size_t>(kind.k)];
  auto [it, fresh] = known_.try_emplace({e.get(), to.kind});
  Known& known = it->second;
  if (fresh) {
    keep_.push_back(e);
    ir::visit(e, [&](const ir::Expr& n) {
      if (n.kind != Ek::Field || n.args[0]->kind != Ek::Int) return;
      Leaf leaf{static_cast<int>(n.ival), n.args[0]->ival};
      size_t at = static_cast<size_t>(std::find(from.leaves.begin(), from.leaves.end(), leaf) - from.leaves.begin());
      if (at < from.leaves.size()) known.leaves.push_back(at);
    });
  }
  std::vector<int64_t> key;
  for (size_t l : known.leaves) key.push_back(to.leaves[l].index);
  ExprPtr& made = known.made[key];
  if (made) return made;
  made = ir::rewrite(e, [&](const ExprPtr& n) -> ExprPtr {
    if (n->kind == Ek::Field && n->args[0]->kind == Ek::Int) {
      Leaf leaf{static_cast<int>(n->ival), n->args[0]->ival};
      for (size_t l : known.leaves)
        if (from.leaves[l] == leaf)
          return intern_.node(ir::make_field(leaf.field, n->type, intern_.node(ir::make_int(to.leaves[l].index))));
    }
    return intern_.node(n);
  });
  return made;
}

}  // namespace lumen::formats
