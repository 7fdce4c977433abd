// lumen quantize: a model in other formats, with a line for every tensor that changes or stays, and, where a text is given, how far
// its answers moved.
#include "convert/quantize.h"

#include <map>
#include <thread>

#include "command.h"
#include "compare.h"
#include "convert/mlx_directory.h"
#include "engine/checkpoint_source.h"
#include "hub/store.h"
#include "runtime/as_directory.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string in, out, format, recipe, imatrix, report;
  std::vector<std::string> tensors;
  int64_t threads = 0;
  bool keep_embeddings = false, quiet = false, dry_run = false;
};

Result<convert::Recipe> recipe_of(const Options& o) {
  if (o.format.empty() == o.recipe.empty()) return Error{"expected one of --format NAME and --recipe NAME", true};
  convert::Recipe r;
  if (o.recipe.empty()) {
    r.name = r.format = o.format;
  } else {
    LUMEN_TRY(loaded, convert::load_recipe(o.recipe));
    r = std::move(loaded);
  }
  std::vector<convert::RecipeRule> first;
  for (const std::string& text : o.tensors) {
    LUMEN_TRY(rule, convert::parse_override(text));
    first.push_back(std::move(rule));
  }
  if (o.keep_embeddings)
    first.push_back(
        {{"token_embd.weight", "output.weight", "model.embed_tokens.weight", "lm_head.weight"}, nullptr, "", "--keep-embeddings"});
  r.rules.insert(r.rules.begin(), first.begin(), first.end());
  return r;
}

void print_tensors(const convert::QuantizeReport& report, bool quiet, bool dry_run) {
  std::map<std::string, size_t> kept;  // one-axis tensors are many and alike: counted, not listed
  for (const convert::QuantizedTensor& t : report.tensors) {
    if (!t.to.empty()) {
      if (!t.why.empty()) std::printf("%-32s takes %s: %s\n", visible(t.name).c_str(), t.to.c_str(), t.why.c_str());
      if (!quiet)
        std::printf("%-32s %s -> %s, %s -> %s%s%s\n", visible(t.name).c_str(), t.from.c_str(), t.to.c_str(),
                    size_text(t.bytes_before).c_str(), size_text(t.bytes_after).c_str(),
                    dry_run ? "" : (", error " + fixed(t.rms_error, 4) + " of the weights").c_str(), t.weighted ? ", by importance" : "");
    } else if (t.why.rfind("one axis", 0) == 0) {
      ++kept[t.why];
    } else {
      std::printf("%-32s stays %s: %s\n", visible(t.name).c_str(), t.from.c_str(), t.why.c_str());
    }
  }
  for (auto& [why, n] : kept) std::printf("%zu tensors stay: %s\n", n, why.c_str());
}

void print_summary(const convert::QuantizeReport& report, const std::string& out, bool dry_run) {
  uint64_t before = 0, after = 0;
  double worst = 0;
  std::map<std::string, size_t> by_format;
  for (const convert::QuantizedTensor& t : report.tensors) {
    before += t.bytes_before;
    after += t.bytes_after;
    worst = std::max(worst, t.rms_error);
    if (!t.to.empty()) ++by_format[t.to];
  }
  std::string list;
  for (auto& [format, n] : by_format) list += (list.empty() ? "" : ", ") + std::to_string(n) + " in " + format;
  std::printf("%s: tensors %s; %s -> %s, %s\n", out.c_str(), list.c_str(), size_text(before).c_str(), size_text(after).c_str(),
              dry_run ? "nothing was written" : ("largest error " + fixed(worst, 4) + " of the weights").c_str());
}

// A GGUF file of whatever came in, or, where the format is one of MLX's, a directory.
Result<convert::QuantizeReport> write(const Options& o, const std::string& path, const sema::Library& library, convert::QuantizeOptions q) {
  if (!convert::mlx_declaration(library, q.recipe.format)) {
    LUMEN_TRY(in, runtime::open_as_gguf(path, library));
    q.type_of = [&](const CheckpointTensor& t) { return engine::tensor_type(library, in, t); };
    if (!o.dry_run) return convert::quantize(library, in, o.out, q);
    convert::QuantizeReport report;
    LUMEN_TRY(plans, convert::plan_tensors(library, in, q, report));
    return report;
  }
  if (o.dry_run) return Error{"--dry-run: for GGUF files only", true};
  if (q.imatrix) return Error{"--imatrix: its names are a GGUF file's; MLX directories are written without one", true};
  LUMEN_TRY(in, runtime::open_as_directory(path, library));
  q.type_of = [&](const CheckpointTensor& t) { return engine::tensor_type(library, in.tensors, t); };
  return convert::quantize_directory(library, in.tensors, in.texts, o.out, q);
}

// What became of the answers, over a text.
Status print_quality(const Arguments& a, const Options& o) {
  Comparison c;
  c.before.model = o.in;
  c.after.model = o.out;
  c.before.threads = c.after.threads = o.threads;
  c.text = o.report;
  LUMEN_TRY(q, compare(a, c));
  return print_out("over " + o.report + ", from the input: " + quality_text(q) + "\n");
}

Status quantize(const Arguments& a, const Options& o) {
  LUMEN_TRY(recipe, recipe_of(o));
  LUMEN_TRY(library, library_for(a, o.in));
  LUMEN_TRY(path, hub::resolve_model(o.in));
  convert::QuantizeOptions q;
  convert::Imatrix imatrix;
  if (!o.imatrix.empty()) {
    LUMEN_TRY(read, convert::read_imatrix(o.imatrix));
    imatrix = std::move(read);
    q.imatrix = &imatrix;
  }
  q.recipe = std::move(recipe);
  q.threads = o.threads > 0 ? static_cast<int>(o.threads) : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  q.progress = progress_bar("encoding");
  LUMEN_TRY(report, write(o, path, *library, std::move(q)));
  print_tensors(report, o.quiet, o.dry_run);
  print_summary(report, o.out, o.dry_run);
  return o.report.empty() || o.dry_run ? ok_status() : print_quality(a, o);
}

}  // namespace

Action declare_quantize(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("IN", o->in, "a model file or directory, or the name of a fetched model", true);
  a.positional("OUT", o->out, "the GGUF file to write (for a format of MLX's: the directory); it appears when it is complete", true);
  a.text("--format", o->format,
         "one format for all: one of lum/formats, one of your own (--lum DIR), f32, f16, bf16, or one of MLX's: mlx_affine<4, 64>");
  std::string names;
  for (const std::string& n : convert::recipe_names()) names += (names.empty() ? "" : ", ") + n;
  a.text("--recipe", o->recipe, "a mix of formats: " + names + ", or a JSON file of your own (lum/recipes shows how)");
  a.texts("--tensor", o->tensors,
          "PATTERN=FORMAT: tensors of these names take this format (may be repeated; the first that names a tensor counts)");
  a.text("--imatrix", o->imatrix, "an importance matrix, as lumen imatrix or llama.cpp writes it: what counts more is kept better");
  a.text("--report", o->report, "a text file: over its tokens, how far the answers moved from the input's, and both perplexities");
  a.flag("--keep-embeddings", o->keep_embeddings, "token_embd and output stay as they are");
  a.integer("-t,--threads", o->threads, 1, 1024, "threads (default: all)");
  a.flag("--dry-run", o->dry_run, "say what each tensor would take, and write nothing");
  a.flag("--quiet", o->quiet, "no lines for the tensors that were encoded");
  return [&a, o] { return quantize(a, *o); };
}

}  // namespace lumen::tool
