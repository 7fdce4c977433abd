// libFuzzer target: any bytes are either refused by the GGUF reader or can be used in every way without a fault.
#include <cstdlib>

#include "checkpoint/gguf_test_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto checkpoint = lumen::parse_gguf({data, size}, "fuzz", lumen::test::test_geometry);
  if (!checkpoint.ok()) {
    const std::string& message = checkpoint.error().message;
    if (message.rfind("fuzz: ", 0) != 0 || message.find('\n') != std::string::npos) std::abort();  // one line that names the file
    return 0;
  }
  for (const lumen::CheckpointTensor& t : checkpoint->tensors()) {
    if (t.offset >= size || t.data != data + t.offset || t.room > size - t.offset || t.bytes.value_or(1) > t.room) std::abort();
  }
  volatile uint64_t sum = lumen::test::use_everything(*checkpoint);
  (void)sum;
  return 0;
}
