// What a hub answers in JSON: the commit that a revision is, and the files of that commit. Everything in it is somebody else's text.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hub/digest.h"

namespace lumen::hub {

struct RemoteFile {
  std::string path;  // checked (check_path)
  uint64_t bytes = 0;
  Digest digest;
};

// GET /api/models/ORG/REPO/revision/REV. Error: what was expected of which field.
Result<std::string> parse_commit(std::string_view json);
// GET /api/models/ORG/REPO/tree/COMMIT?recursive=true, one page: appends its files. Error: also for paths that no repository can hold.
Status parse_tree(std::string_view json, std::vector<RemoteFile>& files);
// The next page's URL in a Link header; empty: this is the last one.
std::string next_page(std::string_view link);
// "bytes 100-199/200": where it begins and how long the whole is (nothing for '*').
struct ContentRange {
  uint64_t first = 0;
  std::optional<uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace lumen::hub
