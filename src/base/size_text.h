// size_text: a number of bytes as people read it, "98.4 MB" (powers of 1000).
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

namespace lumen {

inline std::string size_text(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double v = static_cast<double>(bytes);
  int u = 0;
  while (v >= 1000 && u < 4) v /= 1000, ++u;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f %s", u == 0 ? 0 : 1, v, units[u]);
  return text;
}

}  // namespace lumen
