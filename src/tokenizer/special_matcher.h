// SpecialMatcher: finds added tokens (control, user-defined, unknown) in text: leftmost first, the longest at a place.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace lumen::tok {

class SpecialMatcher {
 public:
  SpecialMatcher() { nodes_.push_back({}); }
  // always: matched even where special tokens are not to be parsed (user-defined tokens). The first of equal texts wins.
  void add(std::string_view text, int32_t id, bool always);
  struct Match {
    size_t begin, end;
    int32_t id;
  };
  bool find(std::string_view text, size_t from, bool parse_special, Match& match) const;

 private:
  // A trie; the children of a node are a list. Level one is a table, for there almost every position of a text fails.
  struct Node {
    int32_t first_child = -1, next_sibling = -1;
    int32_t id = -1;
    char byte = 0;
    bool always = false;
  };
  int32_t child(int32_t node, char byte) const;
  std::vector<Node> nodes_;
  int32_t roots_[256] = {};  // 0: no token begins with this byte
};

}  // namespace lumen::tok
