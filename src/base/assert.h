// Assertions for our own bugs. They stay on in release builds: a wrong answer is worse than a stop.
#pragma once
#include <cstdio>
#include <cstdlib>

#define LUMEN_ASSERT(cond, ...)                                                        \
  do {                                                                                 \
    if (!(cond)) [[unlikely]] {                                                        \
      std::fprintf(stderr, "lumen: internal error at %s:%d: %s\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                                    \
    }                                                                                  \
  } while (0)
