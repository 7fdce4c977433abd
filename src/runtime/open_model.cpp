// Opening models.
#include "runtime/open_model.h"

#include <filesystem>
#include <future>

#include "base/timeline.h"
#include "engine/checkpoint_source.h"
#include "hub/store.h"
#include "runtime/directory.h"
#include "tokenizer/gguf_spec.h"

namespace lumen::runtime {

Result<std::shared_ptr<const sema::Library>> load_library(const std::vector<std::string>& directories) {
  TimedSpan span("standard library");
  sema::Library lib = sema::Library::standard_when_asked();
  for (const std::string& d : directories) LUMEN_CHECK(lib.add_directory(d));
  return std::shared_ptr<const sema::Library>(std::make_shared<sema::Library>(std::move(lib)));
}

namespace {

class GgufMetadata : public MetadataView {
 public:
  explicit GgufMetadata(const Checkpoint& c) : c_(c) {}
  bool has(std::string_view key) const override { return c_.find(key) != nullptr; }
  std::optional<std::string_view> get_string(std::string_view key) const override { return value(c_.get_string(key)); }
  std::optional<int64_t> get_int(std::string_view key) const override { return value(c_.get_int(key)); }
  std::optional<bool> get_bool(std::string_view key) const override { return value(c_.get_bool(key)); }
  std::optional<std::vector<std::string_view>> get_strings(std::string_view key) const override { return value(c_.get_strings(key)); }
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const override { return value(c_.get_ints(key)); }
  std::optional<std::vector<double>> get_floats(std::string_view key) const override { return value(c_.get_floats(key)); }
  std::optional<std::string_view> get_bytes(std::string_view key) const override {
    const MetaValue* v = c_.find(key);
    if (!v || v->type != MetaType::Array || (v->element != MetaType::I8 && v->element != MetaType::U8)) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(v->data), v->count);
  }

 private:
  template <class T>
  static std::optional<T> value(Result<T> r) {
    if (!r) return std::nullopt;
    return r.take();
  }
  const Checkpoint& c_;
};

Status read_gguf_texts(OpenModel& m) {
  if (m.checkpoint->find("tokenizer.ggml.model")) take_tokenizer(m, gguf_spec(*m.checkpoint));
  else m.tokenizer_problem = m.path + ": the file brings no tokenizer (metadata key tokenizer.ggml.model)";
  if (m.checkpoint->find("tokenizer.chat_template")) {
    LUMEN_TRY(text, m.checkpoint->get_string("tokenizer.chat_template"));
    LUMEN_TRY(parsed, chat::ChatTemplate::parse(text, m.path + ": tokenizer.chat_template"));
    m.chat_template = std::move(parsed);
  }
  return ok_status();
}

}  // namespace

Result<TokenizerSpec> gguf_spec(const Checkpoint& file) { return spec_from_gguf(GgufMetadata(file)); }

void take_tokenizer(OpenModel& m, Result<TokenizerSpec> spec) {
  if (!spec) {
    m.tokenizer_problem = m.path + ": " + spec.error().message;
    return;
  }
  auto t = Tokenizer::create(spec.take());
  if (t) m.tokenizer = std::make_unique<Tokenizer>(t.take());
  else m.tokenizer_problem = m.path + ": " + t.error().message;
}

// What is known before the file is opened.
static Result<OpenModel> named(const std::string& name, std::shared_ptr<const sema::Library> library) {
  OpenModel m;
  LUMEN_TRY(path, hub::resolve_model(name));
  m.path = path;
  namespace fs = std::filesystem;
  std::error_code ec;
  m.name = fs::is_directory(path, ec) ? fs::canonical(path, ec).filename().string() : fs::path(path).stem().string();
  m.library = std::move(library);
  return m;
}

static Status read_texts(OpenModel& m) {
  TimedSpan span("tokenizer");
  std::error_code ec;
  return std::filesystem::is_directory(m.path, ec) ? read_directory_texts(m) : read_gguf_texts(m);
}

Result<OpenModel> open_file(const std::string& name, std::shared_ptr<const sema::Library> library) {
  LUMEN_TRY(m, named(name, std::move(library)));
  LUMEN_TRY(file, engine::open_checkpoint(m.path, *m.library));
  m.checkpoint = std::make_shared<const Checkpoint>(std::move(file));
  LUMEN_CHECK(read_texts(m));
  return m;
}

Result<OpenModel> open_model(const std::string& name, std::shared_ptr<const sema::Library> library, std::shared_ptr<Target> target,
                             const engine::ModelOptions& options) {
  LUMEN_TRY(m, named(name, library));
  std::optional<TimedSpan> span(std::in_place, "checkpoint");
  auto start = std::make_unique<engine::StartCache>(m.path, *library, target->machine(), options);
  LUMEN_TRY(file, start->open(*library));
  m.checkpoint = std::make_shared<const Checkpoint>(std::move(file));
  span.reset();
  std::future<Status> texts = std::async(std::launch::async, [&m] { return read_texts(m); });  // takes as long as elaborating the model
  auto loaded = engine::Model::load(library, m.checkpoint, std::move(target), options, std::move(start));
  LUMEN_CHECK(texts.get());
  LUMEN_TRY(model, std::move(loaded));
  m.model = std::move(model);
  if (m.tokenizer && m.tokenizer->size() > m.model->vocab())
    return Error{m.path + ": the tokenizer has " + std::to_string(m.tokenizer->size()) + " tokens, the model's vocabulary only " + std::to_string(m.model->vocab())};
  return m;
}

Result<std::vector<int32_t>> OpenModel::encode(std::string_view text, bool add_special, bool parse_special) const {
  if (!tokenizer) return Error{tokenizer_problem};
  return tokenizer->encode(text, {add_special, parse_special});
}

Result<std::vector<int32_t>> OpenModel::encode_chat(const chat::Conversation& conversation) const {
  if (!tokenizer) return Error{tokenizer_problem};
  chat::Conversation c = conversation;
  auto text_of = [&](int32_t id) { return id >= 0 ? std::string(tokenizer->text(id)) : std::string(); };
  c.bos_token = text_of(tokenizer->spec().bos);
  c.eos_token = text_of(tokenizer->spec().eos);
  LUMEN_TRY(text, chat::render_chat(chat_template ? &*chat_template : nullptr, c));
  // The template writes the beginning-of-sequence token itself where it wants one; otherwise the tokenizer's habit holds.
  bool has_bos = !c.bos_token.empty() && text.rfind(c.bos_token, 0) == 0;
  return tokenizer->encode(text, {!has_bos, true});
}

}  // namespace lumen::runtime
