// The scheduler's thread, detokenisation, stop texts.
#include "runtime/generator.h"

#include <algorithm>

namespace lumen::runtime {

Generator::Generator(OpenModel& model, int64_t sequences, bool reuse_prefix) : model_(model), scheduler_(*model.model, sequences) {
  scheduler_.set_reuse(reuse_prefix);
  thread_ = std::thread([this] { loop(); });
}

Generator::~Generator() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::unique_lock<std::mutex> Generator::enter() {
  ++at_the_door_;
  std::unique_lock lock(mutex_);
  --at_the_door_;
  return lock;
}

Result<uint64_t> Generator::submit(Request r) {
  for (const std::string& s : r.stop)
    if (s.empty()) return Error{"stop: expected texts of at least one character", true};
  std::vector<int32_t> stop;
  if (!r.ignore_eog && model_.tokenizer) stop.assign(model_.tokenizer->eog().begin(), model_.tokenizer->eog().end());
  auto l = std::make_shared<Live>();
  l->prompt = static_cast<int64_t>(r.prompt.size());
  if (model_.tokenizer) l->decoder = std::make_unique<StreamDecoder>(*model_.tokenizer);
  auto lock = enter();
  LUMEN_TRY(id, scheduler_.add(r.prompt, r.max_tokens, stop, r.sampling));
  l->request = std::move(r);
  live_[id] = l;
  wake_.notify_all();
  return id;
}

void Generator::cancel(uint64_t id) {
  auto lock = enter();
  cancelled_.push_back(id);
  wake_.notify_all();
}

size_t Generator::active() {
  auto lock = enter();
  return live_.size();
}

Result<Chunk> Generator::generate(Request r) {
  std::mutex m;
  std::condition_variable done;
  bool over = false;
  Chunk all;
  auto inner = r.on_chunk;
  r.on_chunk = [&](const Chunk& c) {
    bool go_on = inner ? inner(c) : true;
    std::lock_guard lock(m);
    all.text += c.text;
    all.tokens.insert(all.tokens.end(), c.tokens.begin(), c.tokens.end());
    all.logprobs.insert(all.logprobs.end(), c.logprobs.begin(), c.logprobs.end());
    if (c.finish != engine::Finish::None) {
      all.finish = c.finish;
      all.error = c.error;
      all.prompt_tokens = c.prompt_tokens;
      all.generated_tokens = c.generated_tokens;
      over = true;
      done.notify_all();
    }
    return go_on;
  };
  LUMEN_TRY(id, submit(std::move(r)));
  (void)id;
  std::unique_lock lock(m);
  done.wait(lock, [&] { return over; });
  if (all.finish == engine::Finish::Failed) return Error{all.error};
  return all;
}

// Text up to the first stop text; what could be the beginning of one stays held until the next token decides.
bool Generator::release(Live& l, bool end) {
  size_t cut = std::string::npos;
  for (const std::string& s : l.request.stop) cut = std::min(cut, l.held.find(s));
  if (cut != std::string::npos) {
    l.pending.text += l.held.substr(0, cut);
    l.held.clear();
    return true;
  }
  size_t keep = 0;
  if (!end)
    for (const std::string& s : l.request.stop)
      for (size_t n = std::min(s.size() - 1, l.held.size()); n > keep; --n)
        if (l.held.compare(l.held.size() - n, n, s, 0, n) == 0) {
          keep = n;
          break;
        }
  l.pending.text += l.held.substr(0, l.held.size() - keep);
  l.held.erase(0, l.held.size() - keep);
  return false;
}

void Generator::handle(const engine::Event& e) {
  std::shared_ptr<Live> l;
  {
    std::lock_guard lock(mutex_);
    auto it = live_.find(e.id);
    if (it == live_.end()) return;
    l = it->second;
  }
  engine::Finish why = e.finish;
  if (e.token >= 0 && !l->stopped) {
    ++l->generated;
    bool eog = model_.tokenizer && !l->request.ignore_eog && model_.tokenizer->is_eog(e.token);
    if (!eog) {
      l->pending.tokens.push_back(e.token);
      l->pending.logprobs.push_back(e.logprob);
      if (l->decoder) l->held += l->decoder->push(e.token);
      if (release(*l, false)) {
        l->stopped = true;
        why = engine::Finish::Stop;
        std::lock_guard lock(mutex_);
        scheduler_.cancel(e.id);
      }
    }
  } else if (l->stopped) {
    return;
  }
  bool over = why != engine::Finish::None;
  if (over && !l->stopped) {
    if (l->decoder) l->held += l->decoder->finish();
    release(*l, true);
  }
  if (!over && l->pending.text.empty()) return;
  l->pending.finish = why;
  l->pending.prompt_tokens = l->prompt;
  l->pending.generated_tokens = l->generated;
  if (why == engine::Finish::Failed) l->pending.error = error_;
  Chunk chunk = std::move(l->pending);
  l->pending = Chunk{};
  bool go_on = !l->request.on_chunk || l->request.on_chunk(chunk);
  if (!go_on && !over) {  // refused: the end is told too, so that whoever waits for it is not left waiting
    Chunk end;
    end.finish = engine::Finish::Cancelled;
    end.prompt_tokens = l->prompt;
    end.generated_tokens = l->generated;
    l->request.on_chunk(end);
  }
  std::lock_guard lock(mutex_);
  if (!over && go_on) return;
  if (!over) scheduler_.cancel(e.id);
  l->stopped = true;
  live_.erase(e.id);
}

void Generator::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stop_ || !scheduler_.idle() || !cancelled_.empty(); });
    for (uint64_t id : cancelled_) scheduler_.cancel(id);
    cancelled_.clear();
    if (stop_) {
      for (auto& [id, l] : live_) {
        Chunk c;
        c.finish = engine::Finish::Cancelled;
        c.prompt_tokens = l->prompt;
        c.generated_tokens = l->generated;
        if (l->request.on_chunk) l->request.on_chunk(c);
      }
      live_.clear();
      return;
    }
    auto events = scheduler_.step();
    if (!events) {
      error_ = events.error().message;
      std::vector<uint64_t> ids;
      for (auto& [id, l] : live_) ids.push_back(id);
      lock.unlock();
      for (uint64_t id : ids) handle({id, -1, 0, engine::Finish::Failed});
      while (at_the_door_.load() > 0) std::this_thread::yield();
      lock.lock();
      continue;
    }
    lock.unlock();
    for (const engine::Event& e : *events) handle(e);
    while (at_the_door_.load() > 0) std::this_thread::yield();
    lock.lock();
  }
}

}  // namespace lumen::runtime
