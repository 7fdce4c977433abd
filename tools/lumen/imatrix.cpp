// lumen imatrix: what a model's weights are multiplied with while it reads a text, for lumen quantize --imatrix.
#include "convert/imatrix.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "command.h"
#include "common.h"
#include "convert/collect.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  std::string text, out;
  int64_t chunk = 512, chunks = 0;
  bool output = false;
};

// The model under the names of a GGUF file, which is where importances are used, whatever it lies in.
Result<runtime::OpenModel> open_named(const Arguments& a, const ModelChoice& c) {
  LUMEN_TRY(library, library_for(a, c.model));
  LUMEN_TRY(m, runtime::open_file(c.model, library));
  if (m.checkpoint->container() != "gguf") {  // (a GGUF file's tokenizer points into it)
    LUMEN_TRY(view, runtime::open_as_gguf(m.path, *library));
    m.checkpoint = std::make_shared<const Checkpoint>(std::move(view));
  }
  LUMEN_TRY(target, make_target(c.target, c.threads));
  engine::ModelOptions o;
  o.threads = target->machine().threads;
  o.exact = c.exact;
  o.context = c.context;
  o.progress = progress_bar("loading");
  LUMEN_TRY(model, engine::Model::load(library, m.checkpoint, std::move(target), o));
  m.model = std::move(model);
  return m;
}

Status imatrix(const Arguments& a, const Options& o) {
  if (o.out.empty()) return Error{"expected -o FILE", true};
  LUMEN_TRY(text, read_text(o.text));
  LUMEN_TRY(m, open_named(a, o.model));
  LUMEN_TRY(tokens, m.encode(text, true, false));
  convert::CollectOptions c;
  c.chunk = o.chunk;
  c.chunks = o.chunks;
  c.output = o.output;
  if (m.tokenizer->spec().add_bos) c.first_token = m.tokenizer->spec().bos;
  c.progress = progress_bar("reading");
  LUMEN_TRY(collected, convert::collect_imatrix(*m.model, tokens, c));
  collected.datasets = {std::filesystem::path(o.text).filename().string()};
  LUMEN_CHECK(convert::write_imatrix(collected, o.out));
  std::printf("%s: %zu weights, %lld chunks of %lld tokens\n", o.out.c_str(), collected.entries.size(),
              static_cast<long long>(collected.chunks), static_cast<long long>(collected.chunk_size));
  return ok_status();
}

}  // namespace

Action declare_imatrix(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true, false);
  a.positional("TEXT", o->text, "a text file: the more like what the model will be asked, the better; some 100 kB do", true);
  a.text("-o,--out", o->out, "the file to write, a GGUF as llama.cpp's");
  a.integer("--chunk", o->chunk, 2, 1 << 20, "tokens of a piece of the text, read on its own (default 512)");
  a.integer("--chunks", o->chunks, 0, 1 << 30, "at most so many pieces (default: all)");
  a.flag("--output", o->output, "the weight that gives the logits, too");
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  return [&a, o] { return imatrix(a, *o); };
}

}  // namespace lumen::tool
