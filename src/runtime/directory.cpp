// See directory.h.
#include "runtime/directory.h"

#include <filesystem>

#include "base/json.h"
#include "base/mmap.h"
#include "engine/checkpoint_source.h"
#include "engine/declared_view.h"
#include "tokenizer/hf_spec.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/pretokenizer.h"

namespace lumen::runtime {
namespace {

// The small files of a Hugging Face directory; `text` is empty where one is missing.
struct DirectoryFiles {
  std::vector<MappedFile> files;
  Result<std::string_view> read(const std::string& path) {
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) return std::string_view();
    LUMEN_TRY(file, MappedFile::open(path));
    files.push_back(std::move(file));
    auto bytes = files.back().bytes();
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
};

// chat_template.jinja, else what tokenizer_config.json says; `where` becomes the place it stands in.
Result<std::optional<std::string>> template_text(const std::string& path, DirectoryFiles& files, std::string_view tokenizer_config,
                                                 std::string& where) {
  where = path + "/chat_template.jinja";
  LUMEN_TRY(jinja, files.read(where));
  if (!jinja.empty()) return std::optional<std::string>(jinja);
  where = path + "/tokenizer_config.json: chat_template";
  if (tokenizer_config.empty()) return std::optional<std::string>();
  auto config = JsonDocument::parse(tokenizer_config);
  if (!config) return Error{path + "/tokenizer_config.json: " + config.error().message};
  return chat_template_of(config->root());
}

// What generation_config.json wishes for; values that make no sense are left out.
void read_sampling(OpenModel& m, std::string_view text) {
  auto parsed = JsonDocument::parse(text);
  if (!parsed) return;
  const Json& j = parsed->root();
  auto number = [&](const char* key, double lo, double hi, auto& into) {
    const Json* v = j.find(key);
    if (v && v->is_number() && v->as_double() >= lo && v->as_double() <= hi) into = static_cast<std::decay_t<decltype(into)>>(v->as_double());
  };
  number("temperature", 0, 100, m.sampling.temperature);
  number("top_k", 0, 1 << 24, m.sampling.top_k);
  number("top_p", 0, 1, m.sampling.top_p);
  number("min_p", 0, 1, m.sampling.min_p);
  number("repetition_penalty", 0.01, 100, m.sampling.repeat_penalty);
  if (const Json* v = j.find("do_sample"); v && v->is(Json::Kind::Bool) && !v->as_bool()) m.sampling.temperature = 0;
}

// The texts that define the tokenizer; all empty where there is none.
Result<HfTokenizerTexts> tokenizer_texts(const std::string& path, std::shared_ptr<DirectoryFiles> files) {
  HfTokenizerTexts t;
  t.keep = files;
  for (auto [name, text] : {std::pair<const char*, std::string_view*>{"tokenizer.json", &t.tokenizer},
                            {"tokenizer_config.json", &t.tokenizer_config},
                            {"generation_config.json", &t.generation_config},
                            {"config.json", &t.config}}) {
    LUMEN_TRY(found, files->read(path + "/" + name));
    *text = found;
  }
  return t;
}

// The pre-tokenizer's name in GGUF: the table knows patterns and flags by heart. Empty: none fits.
std::string gguf_pre(const TokenizerSpec& s) {
  tok::NamedPretokenizer like;
  like.ignore_merges = s.ignore_merges;
  for (const NormalizeStep& n : s.pipeline->normalize) {
    if (n.kind != NormalizeStep::Form) return "";
    like.normalization = n.form;
  }
  for (const CutStep& c : s.pipeline->cut) {
    if (c.kind != CutStep::Pattern || !c.pattern.regex || c.behavior != CutStep::Isolated || c.invert) return "";
    like.patterns.push_back(c.pattern.text);
  }
  return tok::pretokenizer_name(like);
}

// The tokenizer under GGUF's keys.
Result<std::vector<engine::GgufKey>> gguf_tokenizer(const TokenizerSpec& s) {
  std::vector<engine::GgufKey> keys;
  std::vector<int32_t> types;
  for (TokenType t : s.types) types.push_back(static_cast<int32_t>(t));
  if (s.kind == TokenizerKind::Bpe && s.byte_level) {
    std::string pre = gguf_pre(s);
    if (pre.empty()) return Error{"no GGUF file has a name for this pre-tokenizer"};
    keys.push_back({"tokenizer.ggml.model", std::string("gpt2")});
    keys.push_back({"tokenizer.ggml.pre", pre});
    keys.push_back({"tokenizer.ggml.tokens", s.tokens});
    std::vector<std::string> merges;
    for (const Merge& m : s.merges) merges.push_back(std::string(m.left) + " " + std::string(m.right));
    keys.push_back({"tokenizer.ggml.merges", std::move(merges)});
  } else if (s.kind == TokenizerKind::Bpe && s.byte_fallback && s.escape_spaces) {
    // SentencePiece's BPE: pieces were numbered as they were merged, so that their order is their score.
    std::vector<float> scores;
    for (size_t i = 0; i < s.tokens.size(); ++i) scores.push_back(-static_cast<float>(i));
    keys.push_back({"tokenizer.ggml.model", std::string("llama")});
    keys.push_back({"tokenizer.ggml.tokens", s.tokens});
    keys.push_back({"tokenizer.ggml.scores", scores});
    keys.push_back({"tokenizer.ggml.add_space_prefix", s.add_space_prefix});
    for (size_t i = 0; i < types.size(); ++i) {
      std::string_view t = s.tokens[i];
      if (t.size() == 6 && t.starts_with("<0x")) types[i] = static_cast<int32_t>(TokenType::Byte);
      if (static_cast<int32_t>(i) == s.unk) types[i] = static_cast<int32_t>(TokenType::Unknown);
    }
  } else {
    return Error{"GGUF files have no form for this tokenizer"};
  }
  keys.push_back({"tokenizer.ggml.token_type", types});
  for (auto [key, id] : {std::pair<const char*, int32_t>{"bos", s.bos}, {"eos", s.eos}, {"unknown", s.unk}, {"padding", s.pad}})
    if (id >= 0) keys.push_back({std::string("tokenizer.ggml.") + key + "_token_id", static_cast<uint32_t>(id)});
  keys.push_back({"tokenizer.ggml.add_bos_token", s.add_bos});
  keys.push_back({"tokenizer.ggml.add_eos_token", s.add_eos});
  return keys;
}

}  // namespace

Status read_directory_texts(OpenModel& m) {
  auto files = std::make_shared<DirectoryFiles>();
  LUMEN_TRY(t, tokenizer_texts(m.path, files));
  if (t.tokenizer.empty()) m.tokenizer_problem = m.path + ": the directory brings no tokenizer (tokenizer.json)";
  else take_tokenizer(m, spec_from_hf(t));
  if (!t.generation_config.empty()) read_sampling(m, t.generation_config);
  std::string where;
  LUMEN_TRY(text, template_text(m.path, *files, t.tokenizer_config, where));
  if (!text) return ok_status();
  LUMEN_TRY(parsed, chat::ChatTemplate::parse(*text, where));
  m.chat_template = std::move(parsed);
  return ok_status();
}

Result<Checkpoint> open_as_gguf(const std::string& path, const sema::Library& library) {
  LUMEN_TRY(opened, engine::open_checkpoint(path, library));
  if (opened.container() == "gguf") return opened;
  auto file = std::make_shared<const Checkpoint>(std::move(opened));
  auto files = std::make_shared<DirectoryFiles>();
  std::vector<engine::GgufKey> keys;
  TokenizerSpec spec;  // holds the tokens that keys point at
  LUMEN_TRY(t, tokenizer_texts(path, files));
  if (!t.tokenizer.empty()) {
    LUMEN_TRY(read, spec_from_hf(t));
    spec = std::move(read);
    auto made = gguf_tokenizer(spec);
    if (!made) return Error{path + "/tokenizer.json: " + made.error().message};
    keys = made.take();
  }
  std::string where;
  LUMEN_TRY(text, template_text(path, *files, t.tokenizer_config, where));
  if (text) keys.push_back({"tokenizer.chat_template", *text});
  return engine::gguf_view(library, file, keys);
}

}  // namespace lumen::runtime
