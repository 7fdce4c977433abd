// libFuzzer target: whatever a hub answers is either refused with one line, or gives files whose paths stay inside a directory.
#include <cstdlib>

#include "hub/choose.h"
#include "hub/listing.h"
#include "hub/model_ref.h"

using namespace lumen;

static void one_line(const Error& e) {
  for (char c : e.message)
    if (c == '\n' || c == '\0') std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)hub::next_page(text);
  (void)hub::parse_content_range(text);
  if (auto commit = hub::parse_commit(text); !commit) one_line(commit.error());
  if (auto ref = hub::parse_ref(std::string(text)); ref) {
    auto again = hub::parse_ref(ref->text());
    if (!again || again->text() != ref->text()) std::abort();
  }
  std::vector<hub::RemoteFile> files;
  if (Status s = hub::parse_tree(text, files); !s) return one_line(s.error()), 0;
  for (const hub::RemoteFile& f : files)
    if (f.path.empty() || f.path[0] == '/' || ("/" + f.path + "/").find("/../") != std::string::npos ||
        !hub::is_digest(f.digest.kind, f.digest.hex))
      std::abort();
  hub::ModelRef ref{"org", "name", "", ""};
  for (bool all : {false, true})
    if (auto choice = hub::choose_files(ref, files, uint64_t{1} << 34, all); !choice) one_line(choice.error());
  return 0;
}
