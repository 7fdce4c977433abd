// Reads of mapped memory, and of what /proc and /sys say.
#include "measure/machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

#include "measure/clock.h"

namespace lumen::measure {
namespace {

// Sums words in eight independent chains, so that loads and not additions are the limit.
uint64_t sum(const uint8_t* p, int64_t bytes) {
  typedef uint64_t Four __attribute__((vector_size(32)));
  Four a[8] = {};
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) a[j] += *reinterpret_cast<const Four*>(p + i + 32 * j);
  }
  uint64_t total = 0;
  for (const Four& v : a) total += v[0] + v[1] + v[2] + v[3];
  return total;
}

// Bytes of the mapping at `data` that lie in 2 MB pages.
int64_t huge_bytes(const void* data) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool ours = false;
  while (std::getline(maps, line)) {
    unsigned long lo = 0, hi = 0, at = reinterpret_cast<unsigned long>(data);
    if (std::sscanf(line.c_str(), "%lx-%lx ", &lo, &hi) == 2) ours = lo <= at && at < hi;
    long kb = 0;
    if (ours && std::sscanf(line.c_str(), "AnonHugePages: %ld kB", &kb) == 1) return int64_t{kb} << 10;
  }
  return 0;
}

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// Bytes that the control groups (version 2) around this process leave it: the least of limit - use, pages of files that can go not counted.
uint64_t group_room() {
  std::string path = first_line("/proc/self/cgroup");
  uint64_t room = UINT64_MAX;
  if (path.rfind("0::/", 0) != 0) return room;
  path = path == "0::/" ? "" : path.substr(3);
  for (;; path.resize(path.rfind('/'))) {
    std::string dir = "/sys/fs/cgroup" + path + "/", limit = first_line(dir + "memory.max");
    if (!limit.empty() && limit != "max") {
      uint64_t used = std::strtoull(first_line(dir + "memory.current").c_str(), nullptr, 10), n = 0;
      std::ifstream stat(dir + "memory.stat");
      for (std::string key; stat >> key >> n;)
        if (key == "inactive_file") used -= std::min(used, n);
      uint64_t most = std::strtoull(limit.c_str(), nullptr, 10);
      room = std::min(room, most - std::min(most, used));
    }
    if (path.empty()) break;
  }
  return room;
}

}  // namespace

constexpr int64_t kHuge = int64_t{2} << 20;

ReadProbe::ReadProbe(int threads, void* memory, size_t mapped, int64_t pieces)
    : team_(threads), memory_(memory), mapped_(mapped),
      data_(reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + kHuge - 1) / kHuge * kHuge)), pieces_(pieces),
      sums_(static_cast<size_t>(threads) * 8) {}

ReadProbe::~ReadProbe() { munmap(memory_, mapped_); }

Result<std::unique_ptr<ReadProbe>> ReadProbe::create(int threads, bool huge, int64_t bytes) {
  size_t mapped = static_cast<size_t>(bytes + kHuge);
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error{"no memory for " + std::to_string(bytes >> 20) + " MiB to measure the bandwidth with"};
  madvise(memory, mapped, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::unique_ptr<ReadProbe> p(new ReadProbe(threads, memory, mapped, bytes / kHuge));
  p->team_.run(p->pieces_, 1, [&](int, int64_t begin, int64_t end) {
    std::memset(p->data_ + begin * kHuge, 1, static_cast<size_t>((end - begin) * kHuge));
  });
  p->got_huge_ = huge && huge_bytes(p->data_) >= bytes / 2;
  return p;
}

double ReadProbe::read(int64_t bytes) {
  int64_t pieces = std::clamp<int64_t>(bytes / kHuge, 1, pieces_);
  double start = seconds(CLOCK_MONOTONIC);
  team_.run(pieces, 1, [&](int w, int64_t begin, int64_t end) { sums_[static_cast<size_t>(w) * 8] += sum(data_ + begin * kHuge, (end - begin) * kHuge); });
  pieces_read_ += static_cast<uint64_t>(pieces);
  return static_cast<double>(pieces * kHuge) / (seconds(CLOCK_MONOTONIC) - start);
}

Status ReadProbe::check() const {
  uint64_t total = 0;
  for (uint64_t s : sums_) total += s;
  uint64_t expected = pieces_read_ * (kHuge / 8) * 0x0101010101010101ull;
  if (total != expected) return Error{"reading memory back gave other bytes than were written: the machine's memory may be faulty"};
  return ok_status();
}

Result<Bandwidth> read_bandwidth(int threads, bool huge, int64_t bytes, int runs) {
  LUMEN_TRY(probe, ReadProbe::create(threads, huge, bytes));
  Bandwidth out{threads, huge, probe->got_huge(), 0};
  for (int r = 0; r < runs; ++r) out.bytes_per_second = std::max(out.bytes_per_second, probe->read());
  LUMEN_CHECK(probe->check());
  return out;
}

MemoryInfo memory_info() {
  MemoryInfo m;
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  for (uint64_t kb = 0; in >> key >> kb; std::getline(in, unit)) {
    if (key == "MemTotal:") m.total = kb << 10;
    if (key == "MemAvailable:") m.available = kb << 10;
  }
  m.available = std::min(m.available, group_room());
  std::string line = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  size_t open = line.find('['), close = line.find(']');
  m.huge_pages = open == std::string::npos || close == std::string::npos ? "unknown" : line.substr(open + 1, close - open - 1);
  return m;
}

std::vector<Cache> caches() {
  std::vector<Cache> out;
  for (int i = 0; i < 8; ++i) {
    std::string dir = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    std::string size = first_line(dir + "size");
    if (size.empty()) break;
    Cache c;
    c.level = std::atoi(first_line(dir + "level").c_str());
    c.type = first_line(dir + "type");
    c.bytes = std::atoll(size.c_str()) << (size.back() == 'K' ? 10 : size.back() == 'M' ? 20 : 0);
    std::stringstream list(first_line(dir + "shared_cpu_list"));  // "0-3,8-11"
    c.shared_by = 0;
    for (std::string part; std::getline(list, part, ',');) {
      int lo = 0, hi = 0;
      int n = std::sscanf(part.c_str(), "%d-%d", &lo, &hi);
      c.shared_by += n == 2 ? hi - lo + 1 : 1;
    }
    out.push_back(c);
  }
  return out;
}

}  // namespace lumen::measure
