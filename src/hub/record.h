// What the store knows of a pulled repository (DIR/.lumen/record.json), and of a file that has not arrived whole
// (DIR/.lumen/PATH.part and PATH.part.json). Both are written whole or not at all.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hub/listing.h"

namespace lumen::hub {

struct StoredFile : RemoteFile {
  std::string commit;  // of the repository, when it was last found to be this
  std::string pulled;  // UTC, 2026-01-31T12:00:00Z
};

struct Record {
  std::string name, endpoint;        // "ORG/REPO[@REVISION]"
  std::vector<StoredFile> files;     // verified, and in place
  std::vector<std::string> pending;  // paths that belong to a model here and are not
  const StoredFile* find(const std::string& path) const;
  bool is_pending(const std::string& path) const;
  void put(StoredFile file);  // in place of the one at that path; no longer pending
  void erase(const std::string& path);
};
// Nothing where there is no record. Error: it makes no sense, or is a link.
Result<std::optional<Record>> read_record(const std::string& directory);
Status write_record(const std::string& directory, const Record& record);

// What a part is a part of.
struct PartNote {
  std::string commit, endpoint, etag;  // the etag is that endpoint's
  uint64_t bytes = 0;
  Digest digest;
};
// Nothing where there is none, or it makes no sense: the part is then worth nothing.
std::optional<PartNote> read_part_note(const std::string& path);
Status write_part_note(const std::string& path, const PartNote& note);

std::string now_utc();

}  // namespace lumen::hub
