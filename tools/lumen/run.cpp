// lumen run: one answer for a prompt (an argument, or what comes through a pipe), or a chat where there is neither.
#include <unistd.h>

#include "chat_session.h"
#include "command.h"
#include "common.h"
#include "speaker.h"

namespace lumen::tool {
namespace {

struct Options {
  ModelChoice model;
  SpeakerOptions speaker;
  std::string prompt, system;
  double temp = 0.7, top_p = 0.95, min_p = 0, repeat = 1, presence = 0, frequency = 0;
  int64_t top_k = 40, seed = 0;
  bool raw = false;
};

// What was asked for; the rest as in `s`, the model's own wishes.
engine::SamplerOptions sampling_of(const Arguments& a, const Options& o, engine::SamplerOptions s = {}) {
  auto take = [&](const char* flag, auto& into, auto value) {
    if (a.given(flag)) into = static_cast<std::decay_t<decltype(into)>>(value);
  };
  take("--temp", s.temperature, o.temp);
  take("--top-k", s.top_k, o.top_k);
  take("--top-p", s.top_p, o.top_p);
  take("--min-p", s.min_p, o.min_p);
  take("--repeat-penalty", s.repeat_penalty, o.repeat);
  s.presence_penalty = static_cast<float>(o.presence);
  s.frequency_penalty = static_cast<float>(o.frequency);
  s.seed = static_cast<uint64_t>(o.seed);
  return s;
}

Result<std::string> read_stdin() {
  std::string all;
  char part[4096];
  for (ssize_t n; (n = read(0, part, sizeof part)) != 0;) {
    if (n < 0) return Error{"reading the prompt from standard input failed"};
    all.append(part, static_cast<size_t>(n));
    if (all.size() > (size_t{64} << 20)) return Error{"the prompt from standard input is longer than 64 MB", true};
  }
  if (!all.empty() && all.back() == '\n') all.pop_back();
  return all;
}

Status run(const Arguments& a, const Options& o) {
  bool chat = !a.given("PROMPT") && isatty(0);
  std::string prompt = o.prompt;
  if (!a.given("PROMPT") && !chat) {
    LUMEN_TRY(piped, read_stdin());
    prompt = std::move(piped);
  }
  SpeakerOptions speaking = o.speaker;
  LUMEN_CHECK(engine::validate(sampling_of(a, o)));
  LUMEN_TRY(m, open_chosen(a, o.model));
  speaking.sampling = sampling_of(a, o, m.sampling);
  if (!m.tokenizer) return Error{m.tokenizer_problem};
  if (!o.raw && !m.chat_template)
    return Error{m.path + ": this model brings no chat template (metadata key tokenizer.chat_template); --raw continues a plain text",
                 true};
  auto speaker = make_speaker(m, speaking);
  if (chat) return chat_session(m, *speaker, {o.raw, o.system});
  std::vector<int32_t> ids;
  if (o.raw) {
    LUMEN_TRY(encoded, m.encode(prompt));
    ids = std::move(encoded);
  } else {
    LUMEN_TRY(encoded, m.encode_chat(conversation_of(o.system, {{"user", prompt}})));
    ids = std::move(encoded);
  }
  LUMEN_TRY(answer, speaker->speak(ids));
  if (answer.finish == engine::Finish::Cancelled) _exit(130);
  return ok_status();
}

}  // namespace

Action declare_run(Arguments& a) {
  auto o = std::make_shared<Options>();
  declare_model(a, o->model, false);
  a.flag("--exact", o->model.exact, "dequantised weights, f32 throughout: slower, without the noise of 8-bit activations");
  a.positional("PROMPT", o->prompt, "what to ask; without it a chat, or the prompt from standard input where that is no terminal", false);
  a.integer("-n", o->speaker.max_tokens, 0, 1 << 24, "most tokens to generate (default: until the model stops or the context is full)");
  a.number("--temp", o->temp, 0, 100, "temperature; 0 always takes the most likely token (default 0.7)");
  a.integer("--top-k", o->top_k, 0, 1 << 24, "sample from the K most likely tokens; 0: from all (default 40)");
  a.number("--top-p", o->top_p, 0, 1, "sample from the most likely tokens that make up this probability (default 0.95)");
  a.number("--min-p", o->min_p, 0, 1, "leave out tokens less likely than this times the most likely one (default 0)");
  a.number("--repeat-penalty", o->repeat, 0.01, 100, "above 1: recent tokens become less likely (default 1)");
  a.number("--presence-penalty", o->presence, -100, 100, "subtracted once from the logit of every token of the answer (default 0)");
  a.number("--frequency-penalty", o->frequency, -100, 100, "subtracted for every time a token stands in the answer (default 0)");
  a.integer("--seed", o->seed, 0, INT64_MAX, "of the sampler; the same seed gives the same answer (default 0)");
  a.text("--system", o->system, "a system message before the conversation");
  a.flag("--raw", o->raw, "no chat template: the model continues the text");
  a.flag("--timings", o->speaker.timings, "prefill and decode speed on standard error");
  return [&a, o] { return run(a, *o); };
}

}  // namespace lumen::tool
