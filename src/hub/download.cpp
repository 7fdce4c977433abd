// Resume, transfer, verify, rename.
#include "hub/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/size_text.h"
#include "hub/places.h"

namespace lumen::hub {
namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string brief(const std::string& commit) { return commit.substr(0, 12); }

class FileDownload {
 public:
  FileDownload(HubClient& client, const DownloadJob& job, const Watcher& watcher)
      : client_(client), job_(job), file_(job.file), watcher_(watcher) {}
  ~FileDownload() {
    if (fd_ >= 0) ::close(fd_);
  }

  Status run() {
    LUMEN_CHECK(open_part());
    for (bool second = false;; second = true) {
      bool resumed = offset_ > 0;
      LUMEN_TRY(hasher, Hasher::create(file_.digest.kind, file_.bytes));
      hasher_.emplace(std::move(hasher));
      LUMEN_CHECK(hash_file(fd_, part_, offset_, *hasher_, doing("checking")));
      if (Status s = transfer(); !s) {
        if (offset_ == 0) remove_part();
        return s;
      }
      Digest got = hasher_->finish();
      if (got == file_.digest) return keep();
      if (!resumed || second) {
        remove_part();
        return Error{of_file() + "what came has the " + got.name() + " " + got.hex + ", expected " + file_.digest.hex +
                     "; nothing was kept"};
      }
      say("what had arrived earlier and what came now do not make up " + std::string(file_.digest.name()) + " " + file_.digest.hex +
          ": starting again");
      LUMEN_CHECK(forget());
    }
  }

 private:
  std::string of_file() const { return "hf:" + job_.ref.name() + ": " + file_.path + ": "; }
  void say(const std::string& line) const {
    if (watcher_.say) watcher_.say(file_.path + ": " + line);
  }
  std::function<void(int64_t, int64_t)> doing(const std::string& what) const {
    return [this, what](int64_t done, int64_t total) {
      if (watcher_.progress) watcher_.progress(what + " " + file_.path, done, total);
    };
  }
  Error failed(const std::string& doing) const { return Error{part_ + ": cannot " + doing + ": " + std::strerror(errno)}; }

  // The part of an earlier run, where it is of the same content; else an empty one.
  Status open_part() {
    std::string relative = part_path(job_.directory, file_.path);
    LUMEN_CHECK(make_directories(job_.root, folder_of(relative)));
    LUMEN_CHECK(check_place(job_.root, relative));
    part_ = job_.root + "/" + relative;
    note_path_ = job_.root + "/" + part_note_path(job_.directory, file_.path);
    fd_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd_ < 0) return failed("create");
    struct stat st {};
    if (::fstat(fd_, &st) != 0) return failed("stat");
    auto note = read_part_note(note_path_);
    bool same = note && note->bytes == file_.bytes && note->digest == file_.digest && static_cast<uint64_t>(st.st_size) <= file_.bytes;
    if (st.st_size > 0 && same) {
      offset_ = static_cast<uint64_t>(st.st_size);
      note_ = *note;
      say("continuing after " + size_text(offset_) + " of " + size_text(file_.bytes));
    } else if (st.st_size > 0) {
      say((note ? "the content changed on the hub since " + size_text(static_cast<uint64_t>(st.st_size)) + " of it came (commit " +
                      brief(note->commit) + ", now " + brief(job_.commit) + ")"
                : "nothing says what the part that came earlier is of") +
          std::string(": starting again"));
    }
    if (offset_ == 0) LUMEN_CHECK(forget());
    const std::string& endpoint = client_.settings().endpoint;
    if (note_.endpoint != endpoint) note_.etag.clear();
    note_.endpoint = endpoint;
    note_.commit = job_.commit;
    note_.bytes = file_.bytes;
    note_.digest = file_.digest;
    return write_part_note(note_path_, note_);
  }

  Status forget() {
    offset_ = 0;
    note_.etag.clear();
    if (::ftruncate(fd_, 0) != 0) return failed("truncate");
    return ok_status();
  }
  Status start_again() {
    LUMEN_CHECK(forget());
    LUMEN_TRY(hasher, Hasher::create(file_.digest.kind, file_.bytes));
    hasher_.emplace(std::move(hasher));
    return ok_status();
  }
  void remove_part() const {
    ::unlink(part_.c_str());
    ::unlink(note_path_.c_str());
  }

  Status transfer() {
    int restarts = 0;
    for (int tries = 0; offset_ < file_.bytes;) {
      uint64_t before = offset_;
      HubHead head;
      HttpRequest r;
      r.url = client_.file_url(job_.ref, job_.commit, file_.path);
      r.headers = {"Accept-Encoding: identity"};
      r.from = offset_;
      r.on_head = [&](const HttpAnswer& a) { return take_head(a, head); };
      r.on_body = [&](std::span<const uint8_t> piece) { return take(piece); };
      restart_ = false;
      HttpOutcome out = client_.fetch(r, head);
      if (disk_) return *disk_;
      if (restart_ || (out.answer.status == 416 && before > 0)) {
        if (++restarts > 2) return Error{of_file() + "the hub's content changes again and again"};
        if (!restart_) say("the hub has no bytes after " + size_text(before) + ": starting again");
        LUMEN_CHECK(start_again());
        continue;
      }
      if (offset_ == file_.bytes) break;
      if (offset_ > before) tries = 0;
      bool good = out.answer.status / 100 == 2;
      if (good && !out.broken && !out.refused)
        out.broken = "the connection ended after " + size_text(offset_) + " of " + size_text(file_.bytes);
      if (!client_.wait(out, head, tries)) return client_.explain(job_.ref, out, head, file_.path);
    }
    return ok_status();
  }

  // Before the first byte of an answer: is it of the content that was listed, and from where does it begin?
  Status take_head(const HttpAnswer& a, const HubHead& head) {
    if (!head.commit.empty() && head.commit != job_.commit)
      return Error{"expected commit " + job_.commit + ", the hub sends " + head.commit};
    if (head.bytes && *head.bytes != file_.bytes)
      return Error{"expected " + std::to_string(file_.bytes) + " bytes as listed, the hub sends " + std::to_string(*head.bytes)};
    if (is_digest(file_.digest.kind, head.etag) && head.etag != file_.digest.hex)
      return Error{"expected the " + std::string(file_.digest.name()) + " " + file_.digest.hex + " as listed, the hub sends " + head.etag};
    if (offset_ > 0 && !note_.etag.empty() && !head.etag.empty() && note_.etag != head.etag) {
      say("the content changed on the hub since " + size_text(offset_) + " of it came (etag " + note_.etag + ", now " + head.etag +
          "): starting again");
      restart_ = true;
      return Error{"changed"};
    }
    if (note_.etag != head.etag) {
      note_.etag = head.etag;
      LUMEN_CHECK(on_disk(write_part_note(note_path_, note_)));
    }
    return a.status == 206 ? take_range(a) : take_whole(a);
  }

  Status take_range(const HttpAnswer& a) const {
    const std::string* text = a.find("content-range");
    auto range = text ? parse_content_range(*text) : std::nullopt;
    if (!range || range->first != offset_ || range->total.value_or(file_.bytes) != file_.bytes)
      return Error{"expected bytes from " + std::to_string(offset_) + " on of " + std::to_string(file_.bytes) + ", the hub sends '" +
                   printable(text ? *text : "") + "'"};
    return ok_status();
  }

  Status take_whole(const HttpAnswer& a) {
    if (a.status != 200) return Error{"expected an answer of status 200, found " + std::to_string(a.status)};
    if (const std::string* v = a.find("content-length"); v && *v != std::to_string(file_.bytes))
      return Error{"expected " + std::to_string(file_.bytes) + " bytes as listed, the hub sends " + printable(*v)};
    if (offset_ == 0) return ok_status();
    say("the hub sends no parts of files: starting again");
    return on_disk(start_again());
  }

  Status take(std::span<const uint8_t> piece) {
    if (piece.size() > file_.bytes - offset_)
      return Error{"expected " + std::to_string(file_.bytes) + " bytes as listed, the hub sends more"};
    for (size_t done = 0; done < piece.size();) {
      ssize_t n = ::pwrite(fd_, piece.data() + done, piece.size() - done, static_cast<off_t>(offset_ + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
        return on_disk(Error{of_file() + "the disk of " + job_.root + " is full: " + size_text(file_.bytes - offset_) +
                             " are missing. What came is kept; pull it again when there is room"});
      if (n < 0) return on_disk(failed("write"));
      done += static_cast<size_t>(n);
    }
    hasher_->update(piece);
    offset_ += piece.size();
    doing("pulling")(static_cast<int64_t>(offset_), static_cast<int64_t>(file_.bytes));
    return ok_status();
  }

  // Remembers that it is this machine's trouble, not the connection's.
  Status on_disk(Status s) {
    if (!s) disk_ = s.error();
    return s;
  }

  Status keep() {
    std::string relative = job_.directory + "/" + file_.path, target = job_.root + "/" + relative;
    LUMEN_CHECK(make_directories(job_.root, folder_of(relative)));
    LUMEN_CHECK(check_place(job_.root, relative));
    if (::fsync(fd_) != 0) return failed("flush to disk");
    if (::rename(part_.c_str(), target.c_str()) != 0) return failed("rename to " + target);
    sync_directory(folder_of(target));
    ::unlink(note_path_.c_str());
    return ok_status();
  }

  HubClient& client_;
  const DownloadJob& job_;
  const RemoteFile& file_;
  const Watcher& watcher_;
  std::string part_, note_path_;
  PartNote note_;
  int fd_ = -1;
  uint64_t offset_ = 0;  // bytes in the part, all of them hashed
  std::optional<Hasher> hasher_;
  std::optional<Error> disk_;
  bool restart_ = false;
};

}  // namespace

std::string part_path(const std::string& directory, const std::string& path) { return directory + "/.lumen/" + path + ".part"; }
std::string part_note_path(const std::string& directory, const std::string& path) { return part_path(directory, path) + ".json"; }

Status download(HubClient& client, const DownloadJob& job, const Watcher& watcher) { return FileDownload(client, job, watcher).run(); }

}  // namespace lumen::hub
