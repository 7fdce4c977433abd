// The choice, and the sentence that explains it.
#include "hub/choose.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/size_text.h"
#include "hub/names.h"

namespace lumen::hub {
namespace {

constexpr double kShare = 0.7;      // of the free memory: the rest of the machine goes on living
constexpr double kSameSize = 0.96;  // files of at least this much of the largest one's size are alike
constexpr size_t kMostListed = 24;

bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() &&
         std::equal(end.rbegin(), end.rend(), s.rbegin(), [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

// "-00002-of-00003.gguf": which part of how many; begins at `at`.
struct PartName {
  size_t at;
  int number, count;
};
std::optional<PartName> part_name(const std::string& path) {
  constexpr size_t kLength = 20;
  if (path.size() <= kLength || !ends_with(path, ".gguf")) return std::nullopt;
  std::string s = path.substr(path.size() - kLength);
  auto digits = [&](size_t at) {
    return std::all_of(s.begin() + static_cast<long>(at), s.begin() + static_cast<long>(at) + 5,
                       [](char c) { return c >= '0' && c <= '9'; });
  };
  if (s[0] != '-' || s.compare(6, 4, "-of-") != 0 || !digits(1) || !digits(10)) return std::nullopt;
  return PartName{path.size() - kLength, std::stoi(s.substr(1, 5)), std::stoi(s.substr(10, 5))};
}

bool any_matches(const std::vector<std::string>& globs, const std::string& path) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& g) { return matches(g, path); });
}

std::string listed(const std::vector<GgufGroup>& groups) {
  std::string out;
  for (size_t i = 0; i < groups.size() && i < kMostListed; ++i)
    out += (i ? ", " : "") + groups[i].name + " (" + size_text(groups[i].bytes) + ")";
  return out + (groups.size() > kMostListed ? ", …" : "");
}

std::string files_text(size_t n) { return std::to_string(n) + (n == 1 ? " file" : " files"); }

class Chooser {
 public:
  Chooser(const ModelRef& ref, const std::vector<RemoteFile>& files, uint64_t memory, bool all)
      : ref_(ref), files_(files), memory_(memory), all_(all) {}

  Result<Choice> run() {
    std::vector<RemoteFile> matching;
    for (const RemoteFile& f : files_)
      if (ref_.pattern.empty() || matches(ref_.pattern, f.path)) matching.push_back(f);
    std::vector<GgufGroup> every = gguf_groups(files_), groups;
    size_t ggufs = 0;  // among the matching
    for (const RemoteFile& f : matching) ggufs += ends_with(f.path, ".gguf");
    for (const GgufGroup& g : every) {
      auto wanted = [&](const RemoteFile& f) {
        return ref_.pattern.empty() ? !any_matches(file_preferences().beside, f.path) : matches(ref_.pattern, f.path);
      };
      if (std::any_of(g.files.begin(), g.files.end(), wanted)) groups.push_back(g);
    }
    if (ref_.pattern.empty() && groups.empty()) groups = every;
    if (!ref_.pattern.empty()) {
      if (matching.empty()) return nothing_matches(every);
      if (all_ || ggufs < matching.size()) return take(matching, groups);
      return pick(groups);
    }
    if (!groups.empty()) return all_ ? take({}, groups) : pick(groups);
    return directory();
  }

 private:
  Error nothing_matches(const std::vector<GgufGroup>& groups) const {
    return Error{ref_.text() + ": no file matches '" + printable(ref_.pattern) + "'; there are " +
                     (groups.empty() ? files_text(files_.size()) + ", none of them GGUF" : listed(groups)),
                 true};
  }

  // Everything that matches; of split files all parts.
  Result<Choice> take(const std::vector<RemoteFile>& matching, const std::vector<GgufGroup>& groups) const {
    Choice c;
    for (const RemoteFile& f : matching)
      if (!ends_with(f.path, ".gguf")) c.files.push_back(f);
    for (const GgufGroup& g : groups) LUMEN_CHECK(take(c, g));
    return c;
  }

  static Status take(Choice& c, const GgufGroup& g) {
    if (g.files.size() != g.parts)
      return Error{g.name + ": expected " + std::to_string(g.parts) + " parts, the hub lists " + std::to_string(g.files.size())};
    c.files.insert(c.files.end(), g.files.begin(), g.files.end());
    return ok_status();
  }

  uint64_t budget() const { return static_cast<uint64_t>(kShare * static_cast<double>(memory_)); }
  bool fits(const GgufGroup& g) const { return memory_needed(g.bytes) <= budget(); }

  Result<Choice> pick(std::vector<GgufGroup> groups) const {
    Choice c;
    const std::string room = "70% of the " + size_text(memory_) + " of free memory";
    if (groups.size() == 1) {
      LUMEN_CHECK(take(c, groups[0]));
      if (!fits(groups[0]))
        c.why.push_back(groups[0].name + " needs about " + size_text(memory_needed(groups[0].bytes)) + " of memory to run, more than " +
                        room);
      return c;
    }
    std::vector<GgufGroup> candidates;
    for (const GgufGroup& g : groups)
      if (!any_matches(file_preferences().plain, g.name)) candidates.push_back(g);
    bool plain_left_out = !candidates.empty() && candidates.size() < groups.size();
    if (candidates.empty()) candidates = groups;
    auto smaller = [](const GgufGroup& a, const GgufGroup& b) { return a.bytes < b.bytes; };
    auto smallest = std::min_element(candidates.begin(), candidates.end(), smaller);
    std::vector<GgufGroup> fitting;
    for (const GgufGroup& g : candidates)
      if (fits(g)) fitting.push_back(g);
    if (fitting.empty())
      return Error{ref_.text() + ": none of " + files_text(candidates.size()) + " fits into " + room + ": the smallest, " + smallest->name +
                   ", needs about " + size_text(memory_needed(smallest->bytes)) + "; name one to pull it all the same: " + listed(groups)};
    auto largest = std::max_element(fitting.begin(), fitting.end(), smaller);
    const GgufGroup* best = &*largest;
    size_t best_rank = rank(*best);
    for (const GgufGroup& g : fitting)
      if (static_cast<double>(g.bytes) >= kSameSize * static_cast<double>(largest->bytes) && rank(g) < best_rank)
        best = &g, best_rank = rank(g);
    std::string why =
        "of " + files_text(groups.size()) + ", taking " + best->name + " (" + size_text(best->bytes) + "): needs about " +
        size_text(memory_needed(best->bytes)) + " to run, " +
        (best == &*largest ? "the largest that fits into " : "about as large as the largest that fits, and of the better kind; room: ") +
        room;
    c.why.push_back(why + (plain_left_out ? "; those that are not quantised were left out" : ""));
    LUMEN_CHECK(take(c, *best));
    std::erase_if(groups, [&](const GgufGroup& g) { return g.name == best->name; });
    c.why.push_back("the others: " + listed(groups) + "; hf:" + ref_.name() + ":NAME takes one of them");
    return c;
  }

  static size_t rank(const GgufGroup& g) {
    const auto& prefer = file_preferences().prefer;
    size_t i = 0;
    while (i < prefer.size() && !matches(prefer[i], g.name)) ++i;
    return i;
  }

  // config.json, weights, tokenizer and what belongs to them, at the top of the repository.
  Result<Choice> directory() const {
    static const std::vector<std::string> small = {"config.json",
                                                   "generation_config.json",
                                                   "tokenizer*",
                                                   "special_tokens_map.json",
                                                   "added_tokens.json",
                                                   "vocab.json",
                                                   "merges.txt",
                                                   "chat_template*",
                                                   "*.safetensors.index.json"};
    auto has = [&](const std::string& name) {
      return std::any_of(files_.begin(), files_.end(), [&](const RemoteFile& f) { return f.path == name; });
    };
    bool indexed = has("model.safetensors.index.json"), single = has("model.safetensors");
    Choice c;
    uint64_t weights = 0;
    for (const RemoteFile& f : files_) {
      if (f.path.find('/') != f.path.npos) continue;
      bool weight = ends_with(f.path, ".safetensors");
      // Beside an index or the one file, further ones are the same weights in another layout.
      if (weight && (indexed ? !matches("model*-of-*.safetensors", f.path) : single && f.path != "model.safetensors")) continue;
      if (!weight && !any_matches(small, f.path)) continue;
      if (weight) weights += f.bytes;
      c.files.push_back(f);
    }
    if (!weights || !has("config.json")) {
      std::string found;
      for (const RemoteFile& f : files_)
        if (found.size() < 300) found += (found.empty() ? "" : ", ") + f.path;
      return Error{ref_.text() + ": expected GGUF files, or config.json and *.safetensors, found " + (found.empty() ? "no files" : found)};
    }
    c.why.push_back("a directory of " + files_text(c.files.size()) + ", " + size_text(weights) + " of weights");
    if (memory_needed(weights) > budget())
      c.why.push_back("it needs about " + size_text(memory_needed(weights)) + " of memory to run, more than 70% of the " +
                      size_text(memory_) + " that are free; --quantize FORMAT makes it smaller while loading");
    return c;
  }

  const ModelRef& ref_;
  const std::vector<RemoteFile>& files_;
  uint64_t memory_;
  bool all_;
};

}  // namespace

std::string first_part(const std::string& path) {
  auto p = part_name(path);
  return p ? path.substr(0, p->at) + "-00001" + path.substr(p->at + 6) : path;
}

std::vector<GgufGroup> gguf_groups(const std::vector<RemoteFile>& files) {
  std::map<std::string, GgufGroup> groups;
  for (const RemoteFile& f : files) {
    if (!ends_with(f.path, ".gguf")) continue;
    GgufGroup& g = groups[first_part(f.path)];
    g.files.push_back(f);
    g.bytes += f.bytes;
  }
  std::vector<GgufGroup> out;
  for (auto& [name, g] : groups) {
    g.name = name;
    std::sort(g.files.begin(), g.files.end(), [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
    if (auto part = part_name(name)) g.parts = static_cast<size_t>(part->count);
    out.push_back(std::move(g));
  }
  return out;
}

uint64_t memory_needed(uint64_t bytes) { return bytes + bytes / 8 + (uint64_t{64} << 20); }

Result<Choice> choose_files(const ModelRef& ref, const std::vector<RemoteFile>& files, uint64_t memory, bool all) {
  return Chooser(ref, files, memory, all).run();
}

}  // namespace lumen::hub
