// A model of a hub into the store.
#pragma once
#include <string>
#include <vector>

#include "hub/download.h"
#include "hub/store.h"

namespace lumen::hub {

struct PullOptions {
  uint64_t memory = 0;   // bytes free, to choose by
  bool all = false;      // every GGUF file that matches, not the one that fits best
  bool dry_run = false;  // say what would be pulled, and stop
};
struct Pulled {
  std::string name, path;  // as lumen run takes it; where it lies
  std::string commit;
  std::vector<RemoteFile> files;
  uint64_t fetched = 0;  // bytes that had to come over the network
};
// `name`: hf:ORG/REPO[@REVISION][:PATTERN], with or without "hf:", or a short name. What is there already and the same on the hub is not
// fetched again; another process that pulls the same is waited for.
Result<Pulled> pull(const std::string& name, const PullOptions& options, const Watcher& watcher);

}  // namespace lumen::hub
