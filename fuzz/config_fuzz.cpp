// libFuzzer target: any text is either refused as JSON or becomes metadata that can be read in every way (config.json).
#include <cstdlib>

#include "checkpoint/json_metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto document = lumen::JsonDocument::parse({reinterpret_cast<const char*>(data), size}, 32);
  if (!document) {
    if (document.error().message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  auto storage = std::make_shared<lumen::MetaStorage>();
  lumen::Checkpoint::Contents c;
  c.path = "fuzz";
  c.container = "hf";
  c.storage = storage;
  if (!lumen::append_metadata(document->root(), "", *storage, c.metadata)) return 0;
  lumen::Checkpoint file(std::move(c));  // asserts that keys are unique
  for (const lumen::MetaEntry& e : file.metadata()) {
    (void)e.value.render();
    (void)file.get_int(e.key).ok();
    (void)file.get_float(e.key).ok();
    (void)file.get_bool(e.key).ok();
    (void)file.get_string(e.key).ok();
    (void)file.get_ints(e.key).ok();
    (void)file.get_floats(e.key).ok();
    (void)file.get_strings(e.key).ok();
  }
  return 0;
}
