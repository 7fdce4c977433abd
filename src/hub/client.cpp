// Requests, redirects, patience, and what failures mean.
#include "hub/client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <thread>
#include <unordered_set>

namespace lumen::hub {
namespace {

constexpr int kMostRedirects = 8, kMostTries = 5;
constexpr double kFirstPause = 0.5, kLongestPause = 300;  // seconds
constexpr size_t kMostPages = 1000, kMostFiles = 100000;

bool passing(long status) { return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504); }
bool is_redirect(long status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

std::string seconds_text(double s) {
  char text[40];
  std::snprintf(text, sizeof text, s == std::floor(s) ? "%.0f s" : "%.1f s", s);
  return text;
}

std::string unquoted(std::string etag) {
  if (etag.rfind("W/", 0) == 0) etag.erase(0, 2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return printable(etag);
}

void take_head(const HttpAnswer& a, HubHead& head) {
  if (const std::string* v = a.find("x-repo-commit")) head.commit = printable(*v);
  const std::string *linked = a.find("x-linked-etag"), *etag = a.find("etag");
  if (linked || (etag && head.etag.empty())) head.etag = unquoted(linked ? *linked : *etag);
  if (const std::string* v = a.find("x-linked-size")) {
    uint64_t n = 0;
    auto [end, ec] = std::from_chars(v->data(), v->data() + v->size(), n);
    if (ec == std::errc() && end == v->data() + v->size()) head.bytes = n;
  }
}

std::string said_by(const HttpAnswer& a) {
  const std::string* m = a.find("x-error-message");
  return m ? ": \"" + printable(*m) + "\"" : "";
}

}  // namespace

Result<std::unique_ptr<HubClient>> HubClient::create(HubSettings settings, Say say) {
  std::unique_ptr<HubClient> c(new HubClient(std::move(settings), std::move(say)));
  LUMEN_TRY(http, Http::create());
  c->http_ = std::move(http);
  auto origin = c->http_->parse(c->settings_.endpoint);
  if (!origin) return Error{"the hub's endpoint '" + printable(c->settings_.endpoint) + "': " + origin.error().message, true};
  c->origin_ = origin.take();
  c->may_send_token_ = !c->settings_.token.empty() && (c->origin_.scheme == "https" || c->origin_.loopback());
  if (!c->settings_.token.empty() && !c->may_send_token_)
    c->say_("the token from " + c->settings_.token_from + " is not sent: " + c->settings_.endpoint + " is not encrypted");
  return c;
}

HttpOutcome HubClient::fetch(HttpRequest r, HubHead& head) {
  head = {};
  auto failed = [](std::string why) {
    HttpOutcome o;
    o.refused = Error{std::move(why)};
    return o;
  };
  const std::vector<std::string> plain = r.headers;
  auto on_head = std::move(r.on_head);
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    auto url = http_->parse(r.url);
    if (!url) return failed("the hub led to '" + printable(r.url) + "': " + url.error().message);
    if (origin_.scheme == "https" && url->scheme != "https") return failed("the hub led from https to '" + printable(r.url) + "': refused");
    bool at_home = url->same_origin(origin_);
    head.elsewhere = !at_home;
    r.headers = plain;
    if (at_home && may_send_token_) r.headers.push_back("Authorization: Bearer " + settings_.token);
    r.on_head = [&](const HttpAnswer& a) -> Status {
      if (at_home) take_head(a, head);
      return on_head ? on_head(a) : ok_status();
    };
    HttpOutcome out = http_->get(r);
    const std::string* location = out.answer.find("location");
    if (out.broken || out.refused || !is_redirect(out.answer.status) || !location) return out;
    if (at_home) take_head(out.answer, head);
    auto next = http_->resolve(r.url, *location);
    if (!next) return failed("the hub led to '" + printable(*location) + "': " + next.error().message);
    r.url = next.take();
  }
  return failed("more than " + std::to_string(kMostRedirects) + " redirects from " + settings_.endpoint);
}

std::optional<double> HubClient::retry_after(const HttpAnswer& a) const {
  const std::string* v = a.find("retry-after");
  if (!v) return std::nullopt;
  uint32_t s = 0;
  auto [end, ec] = std::from_chars(v->data(), v->data() + v->size(), s);
  if (ec == std::errc() && end == v->data() + v->size()) return s;
  auto date = http_->date(*v);
  if (!date) return std::nullopt;
  return static_cast<double>(std::max<int64_t>(0, *date - static_cast<int64_t>(std::time(nullptr))));
}

bool HubClient::wait(const HttpOutcome& o, const HubHead& head, int& tries) {
  // An address that a redirect gave may have run out: the hub makes a new one.
  bool worth_it = o.broken || passing(o.answer.status) || (head.elsewhere && o.answer.status == 403);
  if (o.refused || !worth_it || ++tries >= kMostTries) return false;
  auto asked = o.broken ? std::nullopt : retry_after(o.answer);
  double pause = asked.value_or(kFirstPause * std::pow(2.0, tries - 1));
  if (pause > kLongestPause) return false;
  std::string why = o.broken ? printable(*o.broken) : "the hub answered " + std::to_string(o.answer.status);
  say_(why + ": trying again in " + seconds_text(pause) + (asked ? ", as it asks" : ""));
  std::this_thread::sleep_for(std::chrono::duration<double>(pause));
  return true;
}

Error HubClient::explain_status(const ModelRef& ref, const HttpAnswer& a, const HubHead& head, const std::string& what) const {
  const std::string page = settings_.endpoint + "/" + ref.id(), number = " (" + std::to_string(a.status) + ")";
  const std::string *code = a.find("x-error-code"), name = "hf:" + ref.name();
  std::string said = said_by(a);
  if (head.elsewhere) return Error{name + ": " + what + ": the place the hub led to answered" + number + said};
  if (code && *code == "GatedRepo")
    return Error{name + " is gated" + number + ": its makers want their terms accepted first. Open " + page +
                 " in a browser and accept them" +
                 (may_send_token_ ? "; the token from " + settings_.token_from + " must be of the same account"
                                  : ", then set HF_TOKEN to a token of that account")};
  switch (a.status) {
    case 401:
      if (may_send_token_)
        return Error{name + ": the hub does not accept the token from " + settings_.token_from + number +
                     ", or has no such model: check both"};
      return Error{name + ": the hub has no such model, or it is private" + number + ": check the name at " + page +
                   "; a private one needs HF_TOKEN"};
    case 403:
      return Error{name + ": the hub forbids it" + number + said + ": " +
                   (may_send_token_ ? "the token from " + settings_.token_from + " may not read this model" : "HF_TOKEN may be needed")};
    case 404:
      if (code && *code == "RevisionNotFound")
        return Error{name + ": the model has no revision '" + (ref.revision.empty() ? "main" : ref.revision) + "'" + number + ": see " +
                     page + "/tree/main"};
      if (!what.empty()) return Error{name + ": the hub has no file " + what + number + ", though it listed it"};
      return Error{name + ": the hub has no such model" + number + ": check the name at " + page};
    case 429: {
      auto pause = retry_after(a);
      return Error{name + ": the hub is asked too much" + number + ": try again " + (pause ? "in " + seconds_text(*pause) : "later") +
                   (may_send_token_ ? "" : "; with HF_TOKEN it allows more")};
    }
  }
  return Error{name + ": " + (what.empty() ? "" : what + ": ") + "expected an answer of status 200 from " + settings_.endpoint +
               ", found " + std::to_string(a.status) + said};
}

Error HubClient::explain(const ModelRef& ref, const HttpOutcome& o, const HubHead& head, const std::string& what) const {
  std::string of = "hf:" + ref.name() + (what.empty() ? "" : ": " + what);
  if (o.refused) return Error{of + ": " + o.refused->message};
  if (o.broken) return Error{of + ": the connection to " + settings_.endpoint + " failed: " + printable(*o.broken)};
  return explain_status(ref, o.answer, head, what);
}

Result<HttpAnswer> HubClient::ask(const ModelRef& ref, const std::string& url) {
  HubHead head;
  for (int tries = 0;;) {
    HttpRequest r;
    r.url = url;
    HttpOutcome o = fetch(r, head);
    if (!o.broken && !o.refused && o.answer.status == 200) return std::move(o.answer);
    if (!wait(o, head, tries)) return explain(ref, o, head, "");
  }
}

Result<HubClient::Listing> HubClient::list(const ModelRef& ref) {
  const std::string model = settings_.endpoint + "/api/models/" + ref.id();
  auto misread = [&](const Error& e) {
    return Error{"hf:" + ref.name() + ": " + settings_.endpoint + " gave an answer that makes no sense: " + e.message};
  };
  Listing out;
  LUMEN_TRY(revision, ask(ref, model + "/revision/" + url_encoded(ref.revision.empty() ? "main" : ref.revision, false)));
  auto commit = parse_commit(revision.body);
  if (!commit) return misread(commit.error());
  out.commit = commit.take();
  std::string url = model + "/tree/" + out.commit + "?recursive=true";
  for (size_t page = 0; !url.empty(); ++page) {
    if (page == kMostPages) return misread({"the list of files has more than " + std::to_string(kMostPages) + " pages"});
    LUMEN_TRY(tree, ask(ref, url));
    if (Status s = parse_tree(tree.body, out.files); !s) return misread(s.error());
    if (out.files.size() > kMostFiles) return misread({"expected at most " + std::to_string(kMostFiles) + " files, found more"});
    const std::string* link = tree.find("link");
    std::string next = link ? next_page(*link) : "";
    if (next.empty()) break;
    auto resolved = http_->resolve(url, next);
    if (!resolved) return misread({"the Link header: " + resolved.error().message});
    url = resolved.take();
  }
  std::unordered_set<std::string> seen;
  for (const RemoteFile& f : out.files)
    if (!seen.insert(f.path).second) return misread({"the file '" + f.path + "' is listed twice"});
  return out;
}

std::string HubClient::file_url(const ModelRef& ref, const std::string& commit, const std::string& path) const {
  return settings_.endpoint + "/" + ref.id() + "/resolve/" + commit + "/" + url_encoded(path, true);
}

}  // namespace lumen::hub
