// libFuzzer target: any bytes are either refused by the safetensors reader or name ranges inside the file.
#include <cstdlib>

#include "checkpoint/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = lumen::parse_safetensors({data, size}, "fuzz");
  if (!file) {
    const std::string& message = file.error().message;
    if (message.rfind("fuzz: ", 0) != 0 || message.find('\n') != std::string::npos) std::abort();  // one line that names the file
    return 0;
  }
  uint64_t at = 0;
  volatile uint8_t sum = 0;
  for (const auto& t : file->tensors) {
    if (t.begin > t.end || t.end > size || t.begin < at || t.name.empty()) std::abort();
    at = t.end;
    if (t.end > t.begin) sum = static_cast<uint8_t>(sum + data[t.begin] + data[t.end - 1]);
  }
  return 0;
}
