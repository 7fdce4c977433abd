// First continuations (they also fill page cache and caches), then rounds of trials, then logits, which take memory of ours.
#include "measure/compare.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

namespace lumen::measure {
namespace {

constexpr int64_t kChunk = 64;  // tokens of text whose logits are compared: the second half of them

// Plain prose of our own, more than twice the chunk in any vocabulary.
constexpr const char* kText =
    "The old lighthouse stood at the end of the harbour wall, where the river meets the sea. Every evening, shortly before sunset, the "
    "keeper "
    "climbed the narrow stairs with a can of oil in one hand and a book in the other. He lit the lamp, wound the clockwork that turned the "
    "lens, and sat down beside the window to read. Fishing boats came home one after another, and he wrote their names into a list, "
    "together "
    "with the time and the direction of the wind. In winter the storms were so strong that the whole tower trembled, and salt water ran "
    "down "
    "the glass. People in the village said that nobody could live in such a place for long, but the keeper had been there for thirty "
    "years. "
    "When the light was made electric, they asked him whether he would like to move into a house in the town. He thought about it for a "
    "week. "
    "Then he answered that a lamp may burn without a keeper, but that somebody still has to count the boats. So he stayed, and the list of "
    "names grew longer, until one spring the harbour was closed and the last boat was sold to a museum on the other side of the bay.\n";

std::string amount(const Test& test, double value) {
  char text[48];
  if (test.in_seconds())
    std::snprintf(text, sizeof text, "%.1f ms", 1e3 * value);
  else
    std::snprintf(text, sizeof text, "%.2f tokens/s", value);
  return text;
}

class Run {
 public:
  Run(LumenProcess& lumen, std::vector<std::unique_ptr<PeerProcess>>& peers, Prober& prober, const EngineSettings& settings,
      const CompareOptions& options, Comparison& c)
      : lumen_(lumen), peers_(peers), prober_(prober), settings_(settings), options_(options), c_(c) {
    engines_.push_back(&lumen);
    for (auto& p : peers) engines_.push_back(p.get());
    broken_.resize(c.models.size() * engines_.size());
  }

  // Also where none is wanted, of one token: files come into the page cache, Lumen's caches are filled.
  void continuations() {
    for (ModelResult& m : c_.models) {
      for (size_t e = 0; e < engines_.size(); ++e) {
        const bool wanted = options_.continued_tokens > 0;
        say(m, e, wanted ? "continuation" : "warming up");
        auto text = engines_[e]->continuation(m.subject, std::max<int64_t>(options_.continued_tokens, 1));
        EngineResult& r = m.engines[e];
        if (!wanted) continue;
        if (!text) {
          r.continuation_problem = text.error().message;
          continue;
        }
        r.continuation = text->substr(0, text->find_last_not_of(" \r\n\t") + 1);
        if (e > 0 && m.engines[0].continuation) r.agreement = agreement_of(*m.engines[0].continuation, *r.continuation);
      }
    }
  }

  Status rounds() {
    for (int64_t r = 0; r < options_.rounds; ++r)
      for (size_t m = 0; m < c_.models.size(); ++m)
        for (size_t t = 0; t < c_.tests.size(); ++t)
          for (size_t i = 0; i < engines_.size(); ++i)
            if (c_.tests[t].kind != TestKind::Load) LUMEN_CHECK(trial(m, r % 2 ? engines_.size() - 1 - i : i, t, r));
    return ok_status();
  }

  // Cold start less hot start, round by round: everything before the prompt's own work.
  void loads() {
    auto index = [&](TestKind kind) {
      return static_cast<size_t>(std::find_if(c_.tests.begin(), c_.tests.end(), [&](const Test& t) { return t.kind == kind; }) -
                                 c_.tests.begin());
    };
    size_t cold = index(TestKind::ColdStart), hot = index(TestKind::HotStart), load = index(TestKind::Load);
    if (load == c_.tests.size()) return;
    for (ModelResult& m : c_.models)
      for (EngineResult& e : m.engines) {
        const Figure &a = e.figures[cold], &b = e.figures[hot];
        e.figures[load].seconds_in_all = a.seconds_in_all;
        e.figures[load].problem = !a.problem.empty() ? a.problem : b.problem;
        for (size_t i = 0; i < std::min(a.trials.size(), b.trials.size()); ++i) {
          Trial t = a.trials[i];
          t.value = std::max(0.0, t.value - b.trials[i].value);
          e.figures[load].trials.push_back(t);
        }
      }
  }

  void logits() {
    std::string file = (std::filesystem::path(settings_.directory) / "text").string();
    std::ofstream(file, std::ios::binary) << kText;
    for (ModelResult& m : c_.models) {
      auto ids = lumen_.tokenize(m.subject.path, kText);
      for (size_t p = 0; p < peers_.size(); ++p) {
        LogitsComparison& out = m.engines[p + 1].logits;
        say(m, p + 1, "logits");
        auto theirs = peers_[p]->log_probs(m.subject, file, kChunk);
        if (!theirs) {
          out.problem = theirs.error().message;
          continue;
        }
        std::vector<int32_t> asked(theirs->tokens.begin(), theirs->tokens.end() - 1);
        auto ours = lumen_.log_probs(m.subject, asked, static_cast<int64_t>(theirs->rows.size()));
        if (ours && static_cast<int64_t>((*ours)[0].size()) != theirs->vocab)
          ours = Error{"Lumen gives logits for a vocabulary of " + std::to_string((*ours)[0].size()) + ", the peer for " +
                       std::to_string(theirs->vocab)};
        if (!ours) {
          out.problem = ours.error().message;
          continue;
        }
        out = compare_log_probs(*theirs, *ours);
        out.same_tokens =
            ids && ids->size() >= theirs->tokens.size() && std::equal(theirs->tokens.begin(), theirs->tokens.end(), ids->begin());
      }
    }
  }

  void finish() {
    c_.read_bytes = spread_of(readings_[0]);
    c_.int8_ops = spread_of(readings_[1]);
    c_.f32_ops = spread_of(readings_[2]);
    c_.engines.clear();
    for (EngineProcess* e : engines_) c_.engines.push_back(e->info());  // builds are known now
  }

 private:
  // Programs that have never worked on a model are not tried again and again: one might take its whole time limit each time.
  struct Broken {
    std::string starting, benching;
  };

  void say(const ModelResult& m, size_t engine, const std::string& what) {
    if (options_.progress) options_.progress(m.subject.name + ", " + c_.engines[engine].name + ": " + what);
  }

  Status trial(size_t m, size_t e, size_t t, int64_t round) {
    ModelResult& model = c_.models[m];
    Test test = c_.tests[t];
    if (test.kind == TestKind::HotStart) test.tokens = model.subject.prompt_tokens;
    Figure& f = model.engines[e].figures[t];
    bool starting = test.kind == TestKind::ColdStart || test.kind == TestKind::FirstStart;
    Broken& broken = broken_[m * engines_.size() + e];
    std::string& family = starting ? broken.starting : broken.benching;
    if (f.problem.empty()) f.problem = interrupted() ? "interrupted" : family;
    if (!f.problem.empty() || (e > 0 && test.kind == TestKind::FirstStart)) return ok_status();  // peers keep nothing between starts
    const int64_t bytes = static_cast<int64_t>(std::min<double>(model.subject.bytes_per_token, 1e12));
    LUMEN_TRY(before, prober_.measure(bytes));
    double wall = 0;
    std::optional<BusyCore> neighbour;
    if (test.busy) neighbour.emplace();
    auto got = engines_[e]->run(model.subject, test, wall);
    neighbour.reset();
    LUMEN_TRY(after, prober_.measure(bytes));
    for (const MachineReading& reading : {before, after}) {
      readings_[0].push_back(reading.read_bytes);
      readings_[1].push_back(reading.peak.int8_ops);
      readings_[2].push_back(reading.peak.f32_ops);
      c_.huge_pages = reading.huge_pages;
    }
    if (!got) {
      f.problem = got.error().message;
      // A depth that a program cannot do says nothing about the rest.
      if (!worked_before(model.engines[e], starting) && test.depth == 0) family = f.problem;
      say(model, e, test.name() + ": " + f.problem);
      return ok_status();
    }
    Trial x = *got;
    x.read_bytes = (before.read_bytes + after.read_bytes) / 2;
    x.int8_ops = std::max(before.peak.int8_ops, after.peak.int8_ops);
    x.f32_ops = std::max(before.peak.f32_ops, after.peak.f32_ops);
    f.trials.push_back(x);
    f.seconds_in_all += wall;
    if (e == 0 && !starting) model.subject.cache_bytes_per_token = lumen_.cache_bytes_per_token();
    say(model, e, "round " + std::to_string(round + 1) + ", " + test.name() + ": " + amount(test, x.value));
    return ok_status();
  }

  bool worked_before(const EngineResult& r, bool starting) const {
    for (size_t t = 0; t < c_.tests.size(); ++t) {
      bool start = c_.tests[t].kind == TestKind::ColdStart || c_.tests[t].kind == TestKind::FirstStart;
      if (start == starting && !r.figures[t].trials.empty()) return true;
    }
    return false;
  }

  LumenProcess& lumen_;
  std::vector<std::unique_ptr<PeerProcess>>& peers_;
  Prober& prober_;
  const EngineSettings& settings_;
  const CompareOptions& options_;
  Comparison& c_;
  std::vector<EngineProcess*> engines_;
  std::vector<Broken> broken_;
  std::vector<double> readings_[3];
};

}  // namespace

Status compare(LumenProcess& lumen, std::vector<std::unique_ptr<PeerProcess>>& peers, Prober& prober, const EngineSettings& settings,
               const CompareOptions& options, Comparison& c) {
  c.tests = options.tests;
  c.rounds = options.rounds;
  c.continued_tokens = options.continued_tokens;
  c.engines = {lumen.info()};
  for (auto& p : peers) c.engines.push_back(p->info());
  for (ModelResult& m : c.models) {
    m.engines.assign(c.engines.size(), {});
    for (EngineResult& r : m.engines) r.figures.resize(c.tests.size());
  }
  Run run(lumen, peers, prober, settings, options, c);
  run.continuations();
  LUMEN_CHECK(run.rounds());
  run.loads();
  if (options.logits && !peers.empty()) run.logits();
  run.finish();
  return ok_status();
}

}  // namespace lumen::measure
