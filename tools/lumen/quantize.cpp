// lumen quantize: a model file in another format, with a line for every tensor that stays as it is.
#include "convert/quantize.h"

#include <map>
#include <thread>

#include "checkpoint/gguf_reader.h"
#include "command.h"
#include "common.h"
#include "engine/checkpoint_source.h"
#include "hub/store.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string in, out, format;
  int64_t threads = 0;
  bool keep_embeddings = false, quiet = false;
};

Status quantize(const Arguments& a, const Options& o) {
  if (o.format.empty()) return Error{"expected --format NAME", true};
  LUMEN_TRY(library, library_for(a, o.in));
  LUMEN_TRY(path, hub::resolve_model(o.in));
  LUMEN_TRY(in, runtime::open_as_gguf(path, *library));
  convert::QuantizeOptions q;
  q.format = o.format;
  q.keep_embeddings = o.keep_embeddings;
  q.threads = o.threads > 0 ? static_cast<int>(o.threads) : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  q.type_of = [&](const CheckpointTensor& t) { return engine::tensor_type(*library, in, t); };
  q.progress = progress_bar("encoding");
  LUMEN_TRY(report, convert::quantize(*library, in, o.out, q));
  uint64_t before = 0, after = 0;
  size_t encoded = 0;
  double worst = 0;
  std::map<std::string, size_t> kept;  // one-axis tensors are many and alike: counted, not listed
  for (const convert::QuantizedTensor& t : report.tensors) {
    before += t.bytes_before;
    after += t.bytes_after;
    if (!t.to.empty()) {
      ++encoded;
      worst = std::max(worst, t.rms_error);
      if (!o.quiet)
        std::printf("%-32s %s -> %s, %s -> %s, error %.4f of the weights\n", visible(t.name).c_str(), t.from.c_str(), t.to.c_str(),
                    size_text(t.bytes_before).c_str(), size_text(t.bytes_after).c_str(), t.rms_error);
    } else if (t.why.rfind("one axis", 0) == 0) {
      ++kept[t.why];
    } else {
      std::printf("%-32s stays %s: %s\n", visible(t.name).c_str(), t.from.c_str(), t.why.c_str());
    }
  }
  for (auto& [why, n] : kept) std::printf("%zu tensors stay: %s\n", n, why.c_str());
  std::printf("%s: %zu tensors in %s (type %u), %s -> %s, largest error %.4f of the weights\n", o.out.c_str(), encoded, o.format.c_str(),
              report.type_id, size_text(before).c_str(), size_text(after).c_str(), worst);
  return ok_status();
}

}  // namespace

Action declare_quantize(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("IN.gguf", o->in, "a model file, or the name of a fetched model", true);
  a.positional("OUT.gguf", o->out, "the file to write; it appears when it is complete", true);
  a.text("--format", o->format, "the format's name: one of lum/formats, one of your own (--lum DIR), or f32, f16, bf16");
  a.flag("--keep-embeddings", o->keep_embeddings, "token_embd and output stay as they are");
  a.integer("-t,--threads", o->threads, 1, 1024, "threads (default: all)");
  a.flag("--quiet", o->quiet, "no lines for the tensors that were encoded");
  return [&a, o] { return quantize(a, *o); };
}

}  // namespace lumen::tool
