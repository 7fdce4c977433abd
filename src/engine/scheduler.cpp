// Forming steps: decode tokens first, then prompt chunks while the batch has room.
#include "engine/scheduler.h"

#include <algorithm>

namespace lumen::engine {

Scheduler::Scheduler(Model& model, int64_t most_sequences) : model_(model), most_(most_sequences) {
  for (int64_t p = model.page_count(); p-- > 0;) free_.push_back(static_cast<int32_t>(p));
}

Result<uint64_t> Scheduler::add(std::vector<int32_t> prompt, int64_t max_new, std::vector<int32_t> stop, SamplerOptions sampling) {
  LUMEN_CHECK(validate(sampling));
  if (prompt.empty()) return Error{"the prompt is empty: expected at least one token", true};
  if (static_cast<int64_t>(prompt.size()) >= model_.context())
    return Error{"the prompt has " + std::to_string(prompt.size()) + " tokens; the context holds " + std::to_string(model_.context()) +
                 ", and at least one must be left for the answer (--ctx sets it)", true};
  auto s = std::make_unique<Sequence>();
  s->id = next_id_++;
  s->tokens = std::move(prompt);
  s->prompt = s->tokens.size();
  int64_t room = model_.context() - static_cast<int64_t>(s->prompt);
  s->max_new = max_new < 0 ? room : std::min(max_new, room);
  s->stop = std::move(stop);
  s->sampler = Sampler(std::move(sampling));
  for (int32_t t : s->tokens) s->sampler.accept(t, false);
  uint64_t id = s->id;
  waiting_.push_back(std::move(s));
  return id;
}

void Scheduler::cancel(uint64_t id) {
  for (auto* list : {&waiting_, &running_})
    for (auto& s : *list)
      if (s->id == id) s->finish = Finish::Cancelled;
}

bool Scheduler::give_pages(Sequence& s, size_t tokens) {
  size_t need = (tokens + sema::kPageTokens - 1) / sema::kPageTokens;
  if (need > s.pages.size() && free_.size() < need - s.pages.size() && kept_) {
    free_.insert(free_.end(), kept_->pages.begin(), kept_->pages.end());
    kept_.reset();
  }
  while (s.pages.size() < need) {
    if (free_.empty()) return false;
    s.pages.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

// A sequence starts when pages for its whole life are free: it never has to be put back.
void Scheduler::admit() {
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < most_) {
    Sequence& s = *waiting_.front();
    if (s.finish == Finish::None && kept_) {  // the kept cache, if it is a prefix of this prompt
      size_t same = 0;
      while (same < kept_->done && same + 1 < s.tokens.size() && kept_->tokens[same] == s.tokens[same]) ++same;
      if (same >= static_cast<size_t>(sema::kPageTokens) / 2) {
        s.pages = std::move(kept_->pages);
        s.done = same;
        kept_.reset();
      }
    }
    if (s.finish == Finish::None && !give_pages(s, s.prompt + static_cast<size_t>(s.max_new))) return;
    running_.push_back(std::move(waiting_.front()));
    waiting_.erase(waiting_.begin());
  }
}

void Scheduler::finish(Sequence& s, Finish why, std::vector<Event>& events) {
  s.finish = why;
  events.push_back({s.id, -1, 0, why});
}

Result<std::vector<Event>> Scheduler::step() {
  std::vector<Event> events;
  admit();
  Batch batch;
  std::vector<std::pair<Sequence*, int>> wanted;  // whose logits, in which row
  int64_t room = model_.max_batch();
  auto take = [&](Sequence& s, size_t n) {
    int32_t number = static_cast<int32_t>(batch.pages.size());
    batch.pages.push_back(s.pages);
    for (size_t i = 0; i < n; ++i) {
      batch.tokens.push_back(s.tokens[s.done + i]);
      batch.pos.push_back(static_cast<int32_t>(s.done + i));
      batch.seq.push_back(number);
    }
    s.done += n;
    room -= static_cast<int64_t>(n);
    if (s.done == s.tokens.size()) {
      wanted.push_back({&s, static_cast<int>(batch.rows.size())});
      batch.rows.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
    }
  };
  for (bool decoding : {true, false})
    for (auto& s : running_) {
      size_t left = s->tokens.size() - s->done;
      if (s->finish != Finish::None || left == 0 || room <= 0 || (left == 1) != decoding) continue;
      if (static_cast<int64_t>(batch.rows.size()) >= model_.max_rows()) break;
      take(*s, std::min<size_t>(left, static_cast<size_t>(room)));
    }
  Status failed = ok_status();
  if (!batch.tokens.empty()) {
    if (batch.rows.empty()) batch.rows.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
    auto logits = model_.step(batch);
    if (!logits) {
      failed = logits.error();
      for (auto& s : running_) finish(*s, Finish::Failed, events);
    } else {
      for (auto [s, row] : wanted) {
        if (s->max_new == 0) {
          finish(*s, Finish::Length, events);
          continue;
        }
        Sampler::Choice c = s->sampler.sample({*logits + row * model_.vocab(), static_cast<size_t>(model_.vocab())});
        s->sampler.accept(c.token, true);
        s->tokens.push_back(c.token);
        bool stop = std::find(s->stop.begin(), s->stop.end(), c.token) != s->stop.end();
        events.push_back({s->id, c.token, c.logprob, Finish::None});
        if (stop) finish(*s, Finish::Stop, events);
        else if (static_cast<int64_t>(s->tokens.size() - s->prompt) >= s->max_new) finish(*s, Finish::Length, events);
      }
    }
  }
  for (size_t i = 0; i < running_.size();) {
    Sequence& s = *running_[i];
    if (s.finish == Finish::None) {
      ++i;
      continue;
    }
    if (s.finish == Finish::Cancelled) events.push_back({s.id, -1, 0, Finish::Cancelled});
    if (reuse_ && s.finish != Finish::Failed) {
      if (kept_) free_.insert(free_.end(), kept_->pages.begin(), kept_->pages.end());
      kept_ = std::move(running_[i]);
    } else {
      free_.insert(free_.end(), s.pages.begin(), s.pages.end());
    }
    running_.erase(running_.begin() + static_cast<int64_t>(i));
  }
  if (!failed) return failed.error();
  return events;
}

}  // namespace lumen::engine
