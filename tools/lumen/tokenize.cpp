// lumen tokenize and lumen detokenize.
#include "command.h"
#include "common.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string model, text, ids;
  bool json = false, no_special = false;
};

Status tokenize(const Arguments& a, const Options& o) {
  LUMEN_TRY(library, library_for(a, o.model));
  LUMEN_TRY(m, runtime::open_file(o.model, library));
  LUMEN_TRY(ids, m.encode(o.text, !o.no_special, !o.no_special));
  if (o.json) {
    JsonWriter w;
    w.begin_object().key("tokens").begin_array();
    for (int32_t id : ids) w.value(id);
    w.end_array().key("pieces").begin_array();
    for (int32_t id : ids) w.value(m.tokenizer->is_special(id) ? m.tokenizer->text(id) : m.tokenizer->piece(id));
    w.end_array().end_object();
    return print_out(w.take() + "\n");
  }
  std::string line;
  for (int32_t id : ids) line += (line.empty() ? "" : ",") + std::to_string(id);
  return print_out(line + "\n");
}

Status detokenize(const Arguments& a, const Options& o) {
  LUMEN_TRY(ids, parse_ids(o.ids));
  LUMEN_TRY(library, library_for(a, o.model));
  LUMEN_TRY(m, runtime::open_file(o.model, library));
  if (!m.tokenizer) return Error{m.tokenizer_problem};
  for (int32_t id : ids)
    if (!m.tokenizer->valid(id))
      return Error{"token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(m.tokenizer->size()), true};
  std::string text = m.tokenizer->decode(ids, o.no_special);
  if (!o.json) return print_out(text + "\n");
  JsonWriter w;
  w.begin_object().field("text", text).end_object();
  return print_out(w.take() + "\n");
}

}  // namespace

Action declare_tokenize(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("MODEL", o->model, "a path, or the name of a fetched model", true);
  a.positional("TEXT", o->text, "the text", true);
  a.flag("--json", o->json, "ids and what each stands for, as JSON");
  a.flag("--no-special", o->no_special, "add no special tokens and read none in the text");
  return [&a, o] { return tokenize(a, *o); };
}

Action declare_detokenize(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("MODEL", o->model, "a path, or the name of a fetched model", true);
  a.positional("IDS", o->ids, "token ids: 1,2,3", true);
  a.flag("--json", o->json, "the text as JSON");
  a.flag("--no-special", o->no_special, "leave special tokens out");
  return [&a, o] { return detokenize(a, *o); };
}

}  // namespace lumen::tool
