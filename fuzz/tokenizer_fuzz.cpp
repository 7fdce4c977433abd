// libFuzzer target: any tokenizer.json is either refused or makes a tokenizer that encodes and decodes without a fault. What stands
// behind a zero byte is the text to encode.
#include <algorithm>
#include <cstdlib>

#include "tokenizer/hf_spec.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto all = std::make_shared<std::string>(reinterpret_cast<const char*>(data), size);
  size_t zero = std::min(all->find('\0'), size);
  lumen::HfTokenizerTexts t;
  t.tokenizer = std::string_view(*all).substr(0, zero);
  t.keep = all;
  std::string_view text = zero < size ? std::string_view(*all).substr(zero + 1) : "Hello, w\xC3\xB6rld 12 <s>";
  auto spec = lumen::spec_from_hf(t);
  if (!spec) {
    if (spec.error().message.empty() || spec.error().message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  auto tokenizer = lumen::Tokenizer::create(spec.take());
  if (!tokenizer) return 0;
  for (bool special : {false, true})
    for (int32_t id : tokenizer->encode(text.substr(0, 256), {special, special}))
      if (!tokenizer->valid(id)) std::abort();
  std::vector<int32_t> ids;
  for (int32_t id = -1; id <= std::min(tokenizer->size(), 300); ++id) ids.push_back(id);
  (void)tokenizer->decode(ids, false);
  return 0;
}
