// HubClient: what is asked of a hub, in the Hugging Face hub's own way: a revision's commit, a commit's files, a file's bytes.
// Invariant: the token goes to the endpoint's own scheme, host and port, and to nothing that a redirect or a Link header names; over
// plain http only to this machine. Whatever passes by itself (429, 5xx, broken connections) is tried again with growing pauses.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/http.h"
#include "hub/listing.h"
#include "hub/model_ref.h"

namespace lumen::hub {

struct HubSettings {
  std::string endpoint;           // without '/' at its end
  std::string token, token_from;  // empty: none; the variable or file it is from
  std::string offline;            // the variable that says so; empty: online
};
// LUMEN_HUB_ENDPOINT or HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN or the file that Hugging Face's own client keeps it in;
// LUMEN_OFFLINE or HF_HUB_OFFLINE.
Result<HubSettings> settings_from_environment();

using Say = std::function<void(const std::string& line)>;  // a line for people

// What the hub itself, not where it redirects to, says of a file.
struct HubHead {
  std::string commit, etag;
  std::optional<uint64_t> bytes;
  bool elsewhere = false;  // the answer came from another host
};

class HubClient {
 public:
  static Result<std::unique_ptr<HubClient>> create(HubSettings settings, Say say);

  struct Listing {
    std::string commit;
    std::vector<RemoteFile> files;
  };
  Result<Listing> list(const ModelRef& ref);
  std::string file_url(const ModelRef& ref, const std::string& commit, const std::string& path) const;

  // One try, redirects followed; `head` is filled in before request.on_head is called.
  HttpOutcome fetch(HttpRequest request, HubHead& head);
  // After a failed try: waits and returns true where another makes sense. `tries` counts those in a row that brought nothing.
  bool wait(const HttpOutcome& outcome, const HubHead& head, int& tries);
  // Why there is nothing to be had, and what to do. `what`: "config.json", or empty for the repository itself.
  Error explain(const ModelRef& ref, const HttpOutcome& outcome, const HubHead& head, const std::string& what) const;

  const HubSettings& settings() const { return settings_; }

 private:
  HubClient(HubSettings s, Say say) : settings_(std::move(s)), say_(std::move(say)) {}
  Result<HttpAnswer> ask(const ModelRef& ref, const std::string& url);
  Error explain_status(const ModelRef& ref, const HttpAnswer& a, const HubHead& head, const std::string& what) const;
  std::optional<double> retry_after(const HttpAnswer& a) const;

  HubSettings settings_;
  Say say_;
  std::unique_ptr<Http> http_;
  Url origin_;
  bool may_send_token_ = false;
};

}  // namespace lumen::hub
