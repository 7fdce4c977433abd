// The order of a pull: ask what there is, choose, lock, see what is missing, check the room, fetch file by file.
#include "hub/pull.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/size_text.h"
#include "hub/choose.h"
#include "hub/names.h"
#include "hub/places.h"

namespace lumen::hub {
namespace {

constexpr uint64_t kRoom = uint64_t{1} << 20;  // for records and directories

// Bytes at a path that is a file; nothing else counts.
uint64_t size_at(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
}
bool is_there(const std::string& path, uint64_t bytes) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && static_cast<uint64_t>(st.st_size) == bytes;
}

// Has the file at `path` that content?
bool has_content(const std::string& path, const RemoteFile& f, const Watcher& w) {
  int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  auto hasher = Hasher::create(f.digest.kind, f.bytes);
  auto progress = [&](int64_t done, int64_t total) {
    if (w.progress) w.progress("checking " + f.path, done, total);
  };
  bool same = hasher && hash_file(fd, path, f.bytes, *hasher, progress).ok() && hasher->finish() == f.digest;
  ::close(fd);
  return same;
}

class Puller {
 public:
  Puller(HubClient& client, const ModelRef& ref, const HubClient::Listing& listing, const std::vector<RemoteFile>& files,
         const Watcher& watcher)
      : client_(client),
        ref_(ref),
        listing_(listing),
        files_(files),
        watcher_(watcher),
        store_(store_directory()),
        directory_(ref.directory()),
        root_(store_ + "/" + directory_) {}

  Result<Pulled> run() {
    LUMEN_CHECK(make_directories(store_, std::filesystem::path(directory_).parent_path().string()));
    LUMEN_TRY(lock, StoreLock::take(store_ + "/" + lock_path_of(directory_), "hf:" + ref_.name(), watcher_.say));
    LUMEN_CHECK(make_directories(store_, directory_ + "/.lumen"));
    LUMEN_TRY(found, read_record(root_));
    record_ = found.value_or(Record{});
    record_.name = ref_.name();
    record_.endpoint = client_.settings().endpoint;
    LUMEN_CHECK(look());
    LUMEN_CHECK(write_record(root_, record_));
    if (missing_.empty()) say("hf:" + ref_.name() + " is here already, as on the hub (commit " + listing_.commit.substr(0, 12) + ")");
    Pulled out;
    size_t n = 0;
    for (const RemoteFile* f : missing_) {
      say(f->path + ": " + size_text(f->bytes) + " (" + std::to_string(++n) + " of " + std::to_string(missing_.size()) + ")");
      uint64_t had = size_at(store_ + "/" + part_path(directory_, f->path));
      LUMEN_CHECK(download(client_, {ref_, listing_.commit, *f, store_, directory_}, watcher_));
      out.fetched += f->bytes - std::min(had, f->bytes);
      LUMEN_CHECK(keep(*f));
    }
    out.commit = listing_.commit;
    out.files = files_;
    out.path = root_;
    if (auto groups = gguf_groups(files_); groups.size() == 1) out.path += "/" + groups[0].name;
    out.name = ref_.name();
    for (const StoredModel& m : list_models())
      if (m.path == out.path) out.name = m.name;
    return out;
  }

 private:
  void say(const std::string& line) const {
    if (watcher_.say) watcher_.say(line);
  }

  // What is here and verified, what has to come, and whether there is room for it.
  Status look() {
    uint64_t needed = 0;
    for (const RemoteFile& f : files_) {
      LUMEN_CHECK(check_place(store_, directory_ + "/" + f.path));
      const StoredFile* have = record_.find(f.path);
      bool there = is_there(root_ + "/" + f.path, f.bytes);
      if (there && ((have && have->digest == f.digest) || has_content(root_ + "/" + f.path, f, watcher_))) {
        record_.put({f, listing_.commit, have ? have->pulled : now_utc()});
        continue;
      }
      if (have && have->digest != f.digest)
        say(f.path + ": the content changed on the hub (commit " + have->commit.substr(0, 12) + ", now " + listing_.commit.substr(0, 12) +
            ")");
      record_.erase(f.path);
      record_.pending.push_back(f.path);
      missing_.push_back(&f);
      needed += f.bytes - std::min(f.bytes, size_at(store_ + "/" + part_path(directory_, f.path)));
    }
    uint64_t room = free_bytes(root_);
    if (needed > 0 && needed + kRoom > room)
      return Error{"hf:" + ref_.name() + " needs " + size_text(needed) + " more in " + store_ + ", where " + size_text(room) +
                   " are free (LUMEN_MODELS names another directory; lumen rm makes room)"};
    return ok_status();
  }

  Status keep(const RemoteFile& f) {
    record_.put({f, listing_.commit, now_utc()});
    return write_record(root_, record_);
  }

  HubClient& client_;
  const ModelRef& ref_;
  const HubClient::Listing& listing_;
  const std::vector<RemoteFile>& files_;
  const Watcher& watcher_;
  std::string store_, directory_, root_;
  Record record_;
  std::vector<const RemoteFile*> missing_;
};

Result<Pulled> stored(const StoredModel& m, const Watcher& w, const std::string& why) {
  if (w.say) w.say(m.name + " is here: " + why);
  Pulled out{m.name, m.path};
  out.files.assign(m.files.begin(), m.files.end());
  if (!m.files.empty()) out.commit = m.files[0].commit;
  return out;
}

}  // namespace

Result<Pulled> pull(const std::string& name, const PullOptions& options, const Watcher& watcher) {
  LUMEN_TRY(known, ref_of_short_name(name));
  auto here = find_model(name);
  if (known && here && here->source.empty())
    return stored(*here, watcher, "a file of that name lies in the store; lumen rm " + name + " removes it");
  ModelRef ref;
  if (known) {
    ref = *known;
    if (watcher.say) watcher.say(name + " is " + ref.text());
  } else {
    if (name.find('/') == name.npos)
      return Error{
          "'" + printable(name) + "': no short name; expected hf:ORG/REPO[@REVISION][:PATTERN], or one of those that lumen pull lists",
          true};
    LUMEN_TRY(parsed, parse_ref(name));
    ref = std::move(parsed);
  }
  LUMEN_TRY(settings, settings_from_environment());
  if (!settings.offline.empty()) {
    if (here && here->complete) return stored(*here, watcher, settings.offline + " is set, the hub was not asked");
    if (!here && here.error().usage) return here.error();  // several
    return Error{ref.text() + (here ? ": not whole in " : ": not in ") + store_directory() + ", and " + settings.offline +
                 " forbids to ask the hub"};
  }
  LUMEN_TRY(client, HubClient::create(std::move(settings), watcher.say));
  LUMEN_TRY(listing, client->list(ref));
  LUMEN_TRY(choice, choose_files(ref, listing.files, options.memory, options.all));
  if (watcher.say)
    for (const std::string& line : choice.why) watcher.say(line);
  if (options.dry_run) return Pulled{ref.name(), "", listing.commit, choice.files};
  return Puller(*client, ref, listing, choice.files, watcher).run();
}

}  // namespace lumen::hub
