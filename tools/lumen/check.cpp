// lumen check: does a model file hold what its architecture declares, does its tokenizer give texts back, does its template render, and
// does it still say what its card says it said.
#include "convert/check.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/json.h"
#include "base/atomic_file.h"
#include "command.h"
#include "common.h"
#include "json_writer.h"

namespace lumen::tool {
namespace {

using convert::Finding;

struct Options {
  ModelChoice model;
  bool json = false, record = false;
};

// What a tokenizer must give back as it was.
const char* const kTexts[] = {
    "Hello, world!",
    "The quick brown fox jumps over 13 lazy dogs; isn't it 3.14159?",
    "def f(x):\n    return x ** 2  # two spaces\n\n\tif True:\n\t\tpass\n",
    "대한민국의 수도는 서울이며, 가장 긴 강은 낙동강입니다. 안녕하세요! ㅋㅋㅋ",
    "日本語の文章と中文字符，混ぜて書く。",
    "Ünïcödé naïve café — “quotes” … €42 ½",
    "👩‍👩‍👧‍👦 🇰🇷 👍🏽",
    "مرحبا بالعالم, שלום עולם, Здравствуй, мир",
    "   leading, trailing   ",
    "a  b   c    d\n\n\n\ne",
};

class Checks {
 public:
  Checks(Opened& m, std::vector<Finding>& out) : m_(m), out_(out) {}

  void tokenizer() {
    if (!m_.tokenizer) return say(Finding::Warning, "tokenizer", m_.tokenizer_problem);
    const Tokenizer& t = *m_.tokenizer;
    std::vector<std::string> changed;
    size_t tokens = 0;
    for (const char* text : kTexts) {
      std::vector<int32_t> ids = t.encode(text, {false, false});
      tokens += ids.size();
      if (t.decode(ids) != text) changed.push_back(text);
    }
    if (!changed.empty())
      say(Finding::Warning, "tokenizer",
          std::to_string(changed.size()) + " of " + std::to_string(std::size(kTexts)) +
              " texts come back changed, the first: " + lumen::quoted(changed[0], 60));
    else
      say(Finding::Fine, "tokenizer",
          std::to_string(t.size()) + " tokens; " + std::to_string(std::size(kTexts)) + " texts of " + std::to_string(tokens) +
              " tokens come back as they were");
    const TokenizerSpec& s = t.spec();
    for (auto [name, id] : {std::pair<const char*, int32_t>{"bos", s.bos}, {"eos", s.eos}, {"eot", s.eot}, {"unk", s.unk}, {"pad", s.pad}})
      if (id >= t.size())
        say(Finding::Wrong, "tokenizer",
            std::string(name) + " is token " + std::to_string(id) + ", beyond its " + std::to_string(t.size()));
    if (t.eog().empty()) say(Finding::Warning, "tokenizer", "no token ends an answer (eos, eot): answers stop at the context's end only");
    if (s.add_bos && s.bos < 0) say(Finding::Wrong, "tokenizer", "texts shall begin with a bos token, and there is none");
  }

  static void add(chat::Conversation& c, const std::string& role, const std::string& text) {
    c.messages.emplace_back();
    c.messages.back().role = role;
    c.messages.back().content = chat::Value(text);
  }

  void chat_template() {
    if (!m_.chat_template) return say(Finding::Fine, "template", "none: a base model, or one whose file lost it");
    chat::Conversation c;
    const std::string asked = "Which one?", answered = "That one.", again = "And now?";
    add(c, "user", asked);
    auto one = m_.encode_chat(c);
    if (!one) return say(Finding::Wrong, "template", one.error().message);
    add(c, "assistant", answered);
    add(c, "user", again);
    auto two = m_.encode_chat(c);
    if (!two) return say(Finding::Wrong, "template", two.error().message);
    add(c, "system", "Be brief.");
    std::rotate(c.messages.begin(), c.messages.end() - 1, c.messages.end());
    auto with_system = m_.encode_chat(c);
    std::string text = m_.tokenizer->decode(*two, false);
    for (const std::string& part : {asked, answered, again})
      if (text.find(part) == std::string::npos)
        return say(Finding::Wrong, "template", "what was said is not in the rendered text: " + lumen::quoted(part));
    int32_t bos = m_.tokenizer->spec().bos;
    if (bos >= 0 && two->size() > 1 && (*two)[0] == bos && (*two)[1] == bos)
      return say(Finding::Warning, "template", "the text begins with two bos tokens");
    say(Finding::Fine, "template",
        "renders questions, answers" + std::string(with_system ? " and system messages" : "; it refuses system messages"));
  }

  void say(Finding::Level level, const std::string& what, const std::string& says) { out_.push_back({level, what, says}); }

 private:
  Opened& m_;
  std::vector<Finding>& out_;
};

// --- the card ---------------------------------------------------------------------------------------------------------------------
// MODEL.card.json: {"lumen_card": 1, "prompts": [{"tokens": [1, 2], "best": [[id, logprob], …]}]}: the most likely next tokens after
// some prompts, made where the model was known to be right.

constexpr size_t kBest = 32;
constexpr double kCardBound = 0.1;  // nats: divergence over the card's tokens and the rest together; 4-bit weights move a model by less

std::string card_path(const std::string& model) {
  std::filesystem::path p(model);
  std::error_code ec;
  if (std::filesystem::is_directory(p, ec)) return (p / "model.card.json").string();
  return p.replace_extension(".card.json").string();
}

Result<std::vector<double>> log_probabilities(Opened& m, const std::vector<int32_t>& ids) {
  engine::Batch b = engine::batch_of(ids, 0, static_cast<int64_t>(ids.size()));
  b.rows = {static_cast<int32_t>(ids.size()) - 1};
  LUMEN_TRY(row, m.step(b));
  std::vector<double> p(row, row + m.vocab());
  double top = *std::max_element(p.begin(), p.end()), sum = 0;
  for (double x : p) {
    if (!std::isfinite(x)) return Error{"logits are not finite"};
    sum += std::exp(x - top);
  }
  for (double& x : p) x -= top + std::log(sum);
  return p;
}

// Token ids of the card's prompts: texts where there is a tokenizer, else numbers spread over the vocabulary.
std::vector<std::vector<int32_t>> card_prompts(const Opened& m) {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i : {0, 1, 2, 3}) {
    std::vector<int32_t> ids;
    if (m.tokenizer)
      ids = m.tokenizer->encode(kTexts[i]);
    else
      for (int64_t k = 1; k < 12; ++k) ids.push_back(static_cast<int32_t>(k * k * (static_cast<int64_t>(i) + 7919) % m.vocab()));
    if (ids.size() > 24) ids.resize(24);
    prompts.push_back(ids);
  }
  return prompts;
}

Status record_card(Opened& m, const std::string& path) {
  JsonWriter w;
  w.begin_object().field("lumen_card", int64_t{1}).key("prompts").begin_array();
  for (const std::vector<int32_t>& ids : card_prompts(m)) {
    LUMEN_TRY(p, log_probabilities(m, ids));
    std::vector<int32_t> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    size_t n = std::min(kBest, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
                      [&](int32_t a, int32_t b) { return p[a] > p[b]; });
    w.begin_object().key("tokens").begin_array();
    for (int32_t id : ids) w.value(id);
    w.end_array().key("best").begin_array();
    for (size_t i = 0; i < n; ++i) w.begin_array().value(order[i]).value(std::round(p[order[i]] * 1e5) / 1e5).end_array();
    w.end_array().end_object();
  }
  w.end_array().end_object();
  std::string text = w.take() + "\n";
  LUMEN_TRY(file, AtomicFile::create(path));
  LUMEN_CHECK(file.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  return file.commit();
}

// Divergence of what the model says now from what the card says, for one of its prompts.
Result<double> card_distance(Opened& m, const Json& prompt, const std::string& path) {
  Error wrong{path + ": expected prompts of {\"tokens\": [ids], \"best\": [[id, logprob]]}"};
  const Json *tokens = prompt.find("tokens"), *best = prompt.find("best");
  if (!tokens || !best || tokens->items().empty() || best->items().empty()) return wrong;
  std::vector<int32_t> ids;
  for (const Json& t : tokens->items()) {
    if (!t.is(Json::Kind::Int) || t.as_int() < 0 || t.as_int() >= m.vocab()) return wrong;
    ids.push_back(static_cast<int32_t>(t.as_int()));
  }
  if (static_cast<int64_t>(ids.size()) > std::min(m.context(), m.max_batch())) return wrong;
  LUMEN_TRY(now, log_probabilities(m, ids));
  double kl = 0, then_sum = 0, now_sum = 0;
  for (const Json& pair : best->items()) {
    auto two = pair.items();
    if (two.size() != 2 || !two[0].is(Json::Kind::Int) || !two[1].is_number() || two[0].as_int() < 0 || two[0].as_int() >= m.vocab())
      return wrong;
    double p = two[1].as_double(), q = now[static_cast<size_t>(two[0].as_int())];
    if (!(p <= 1e-3)) return wrong;
    kl += std::exp(p) * (p - q);
    then_sum += std::exp(p);
    now_sum += std::exp(q);
  }
  double rest = std::max(1 - then_sum, 1e-9), rest_now = std::max(1 - now_sum, 1e-9);
  return kl + rest * std::log(rest / rest_now);
}

Status check_logits(Opened& m, const std::string& path, std::vector<Finding>& out) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) {
    for (const std::vector<int32_t>& ids : card_prompts(m))
      if (auto p = log_probabilities(m, ids); !p) {
        out.push_back({Finding::Wrong, "logits", p.error().message});
        return ok_status();
      }
    out.push_back({Finding::Fine, "logits", "finite; no card " + path + " to compare them with (--record makes one)"});
    return ok_status();
  }
  LUMEN_TRY(text, read_text(path));
  auto card = JsonDocument::parse(text);
  if (!card) return Error{path + ": " + card.error().message};
  const Json *version = card->root().find("lumen_card"), *prompts = card->root().find("prompts");
  if (!version || !version->is(Json::Kind::Int) || version->as_int() != 1 || !prompts || prompts->items().empty())
    return Error{path + ": expected \"lumen_card\": 1 and \"prompts\""};
  double worst = 0, sum = 0;
  for (const Json& p : prompts->items()) {
    LUMEN_TRY(d, card_distance(m, p, path));
    worst = std::max(worst, d);
    sum += d;
  }
  double mean = sum / static_cast<double>(prompts->items().size());
  bool fine = mean <= kCardBound;
  out.push_back({fine ? Finding::Fine : Finding::Wrong, "logits",
                 (fine ? "as on the card " : "not those of the card ") + path + ": divergence " + fixed(mean, 4) + " nats, at most " +
                     fixed(worst, 4) + (fine ? "" : ", expected at most " + fixed(kCardBound, 1))});
  return ok_status();
}

void print(const std::vector<Finding>& findings, bool json, bool bad) {
  static const char* const level[] = {"ok", "warning", "wrong"};
  if (!json) {
    for (const Finding& f : findings) {
      std::string says = lumen::quoted(f.says, 2000, '"');
      std::printf("%-8s %-13s %s\n", level[f.level], f.what.c_str(), says.substr(1, says.size() - 2).c_str());
    }
    return;
  }
  JsonWriter w;
  w.begin_object().field("ok", !bad).key("findings").begin_array();
  for (const Finding& f : findings)
    w.begin_object().field("level", level[f.level]).field("what", f.what).field("says", f.says).end_object();
  w.end_array().end_object();
  std::printf("%s\n", w.take().c_str());
}

Status check(const Arguments& a, Options& o) {
  LUMEN_TRY(library, library_for(a, o.model.model));
  LUMEN_TRY(file, runtime::open_file(o.model.model, library));
  std::vector<Finding> findings;
  bool runs = convert::check_structure(*library, *file.checkpoint, findings);
  if (runs) {
    o.model.context = std::max<int64_t>(o.model.context, 64);
    LUMEN_TRY(m, open_chosen(a, o.model));
    Checks checks(m, findings);
    checks.tokenizer();
    checks.chat_template();
    std::string card = card_path(m.path);
    if (o.record) LUMEN_CHECK(record_card(m, card));
    LUMEN_CHECK(check_logits(m, card, findings));
  }
  size_t wrong =
      static_cast<size_t>(std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.level == Finding::Wrong; }));
  print(findings, o.json, wrong > 0);
  if (wrong > 0) return Error{file.path + ": " + std::to_string(wrong) + (wrong == 1 ? " thing is wrong" : " things are wrong")};
  return ok_status();
}

}  // namespace

Action declare_check(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, true, false);
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout");
  a.flag("--record", o->record, "write the model's card beside it (MODEL.card.json): what it says now is right");
  a.flag("--json", o->json, "findings as JSON");
  return [&a, o] { return check(a, *o); };
}

}  // namespace lumen::tool
