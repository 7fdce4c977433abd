// See special_matcher.h.
#include "tokenizer/special_matcher.h"

namespace lumen::tok {

int32_t SpecialMatcher::child(int32_t node, char byte) const {
  int32_t c = nodes_[static_cast<size_t>(node)].first_child;
  while (c >= 0 && nodes_[static_cast<size_t>(c)].byte != byte) c = nodes_[static_cast<size_t>(c)].next_sibling;
  return c;
}

void SpecialMatcher::add(std::string_view text, int32_t id, bool always) {
  if (text.empty()) return;
  const auto make = [&](char byte) {
    nodes_.push_back({.byte = byte});
    return static_cast<int32_t>(nodes_.size() - 1);
  };
  int32_t& root = roots_[static_cast<uint8_t>(text[0])];
  if (root == 0) root = make(text[0]);
  int32_t node = root;
  for (const char byte : text.substr(1)) {
    int32_t next = child(node, byte);
    if (next < 0) {
      next = make(byte);
      nodes_[static_cast<size_t>(next)].next_sibling = nodes_[static_cast<size_t>(node)].first_child;
      nodes_[static_cast<size_t>(node)].first_child = next;
    }
    node = next;
  }
  Node& end = nodes_[static_cast<size_t>(node)];
  if (end.id < 0) end.id = id, end.always = always;
}

bool SpecialMatcher::find(std::string_view text, size_t from, bool parse_special, Match& match) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    int32_t node = roots_[static_cast<uint8_t>(text[begin])];
    if (node == 0) continue;
    bool found = false;
    for (size_t pos = begin + 1; node >= 0; ++pos) {
      const Node& n = nodes_[static_cast<size_t>(node)];
      if (n.id >= 0 && (parse_special || n.always)) {
        match = {begin, pos, n.id};
        found = true;
      }
      if (pos >= text.size()) break;
      node = child(node, text[pos]);
    }
    if (found) return true;
  }
  return false;
}

}  // namespace lumen::tok
