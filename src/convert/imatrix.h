// Importance matrices: for each weight, the squares of what its columns were multiplied with, summed over the tokens of a text. The
// files are llama.cpp's: GGUF (general.type = "imatrix", tensors NAME.in_sum2 and NAME.counts) and the older .dat form.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/recoder.h"

namespace lumen::convert {

struct Imatrix {
  struct Entry {
    int64_t k = 0;              // columns
    std::vector<float> sum2;    // (counts.size(), k)
    std::vector<float> counts;  // tokens, by matrix (the experts of a mixture)
  };
  std::map<std::string, Entry> entries;  // by the weight's name
  std::vector<std::string> datasets;     // names of the texts
  int64_t chunks = 0, chunk_size = 0;    // how the text was cut, in tokens

  // Of a tensor's columns; empty where nothing is known of it. Error: it is known with another number of columns or matrices.
  Result<Importance> importance(const std::string& tensor, int64_t matrices, int64_t k) const;
};

Result<Imatrix> read_imatrix(const std::string& path);
Status write_imatrix(const Imatrix& m, const std::string& path);

}  // namespace lumen::convert
