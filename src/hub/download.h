// One file of a repository, from the hub into the store. It comes to its name only verified and flushed to disk. Until then it is
// DIR/.lumen/PATH.part, which survives a kill and is continued where its note says that it is a part of the same content.
#pragma once
#include <string>

#include "hub/client.h"
#include "hub/record.h"

namespace lumen::hub {

// For people who watch; both may be empty.
struct Watcher {
  Say say;
  std::function<void(const std::string& doing, int64_t done, int64_t total)> progress;
};

struct DownloadJob {
  const ModelRef& ref;
  std::string commit;
  RemoteFile file;
  std::string root, directory;  // the store; the repository's place below it
};
Status download(HubClient& client, const DownloadJob& job, const Watcher& watcher);

// Where the parts of a file lie, below the store.
std::string part_path(const std::string& directory, const std::string& path);
std::string part_note_path(const std::string& directory, const std::string& path);

}  // namespace lumen::hub
