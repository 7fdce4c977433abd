// ModelRef: what hf:ORG/REPO[@REVISION][:PATTERN] says, and which paths of a repository are taken from a server at all.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace lumen::hub {

struct ModelRef {
  std::string org, repo;
  std::string revision;  // a branch, tag or commit; empty: main
  std::string pattern;   // empty: what fits this machine best

  std::string id() const { return org + "/" + repo; }
  std::string name() const { return id() + (revision.empty() ? "" : "@" + revision); }  // without pattern
  std::string text() const { return "hf:" + name() + (pattern.empty() ? "" : ":" + pattern); }
  // Where the store keeps it, below the store: "hf/ORG/REPO", "hf/ORG/REPO@REVISION" with '/' as %2F.
  std::string directory() const;
};

// "hf:" may be missing. Error: what is wrong, of usage.
Result<ModelRef> parse_ref(const std::string& text);
// Written as a reference: with "hf:" in front, or as ORG/REPO and so on, REPO being no file's name.
bool looks_like_ref(const std::string& text);

// A glob (*, ?, [a-z]; letters' case does not count) against the path or its last part. Without any of these signs: the path, its last
// part, or a piece of that, such as a quantisation's name.
bool matches(const std::string& pattern, const std::string& path);

// Paths come from a server and become files: relative, nothing that leads up or elsewhere, nothing a terminal would obey.
Status check_path(std::string_view path);

// Text from elsewhere for one line of a message: control characters as '?', cut at `most` bytes.
std::string printable(std::string_view text, size_t most = 200);
// As a part of a URL; '/' stays where `slashes`.
std::string url_encoded(std::string_view text, bool slashes);

}  // namespace lumen::hub
