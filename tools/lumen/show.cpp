// lumen show: one model of the store: where it came from, its files, what is in them.
#include <fcntl.h>
#include <unistd.h>

#include "command.h"
#include "common.h"
#include "hub/store.h"
#include "inspect.h"

namespace lumen::tool {
namespace {

struct Options {
  std::string name;
  bool json = false, verify = false;
};

// Reads every file again. Error: one is not what was pulled.
Status verify(const hub::StoredModel& m) {
  for (const hub::StoredFile& f : m.files) {
    std::string path = hub::store_directory() + "/" + m.directory + "/" + f.path;
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Error{path + ": cannot open: it was pulled, and should be there"};
    LUMEN_TRY(hasher, hub::Hasher::create(f.digest.kind, f.bytes));
    Status read = hub::hash_file(fd, path, f.bytes, hasher, progress_bar("verifying " + f.path));
    ::close(fd);
    LUMEN_CHECK(read);
    if (hub::Digest got = hasher.finish(); got != f.digest)
      return Error{path + ": expected the " + got.name() + " " + f.digest.hex + ", found " + got.hex +
                   ": the file was changed since it was pulled"};
  }
  return ok_status();
}

void print_json(const hub::StoredModel& m, const Result<Inspection>& content) {
  JsonWriter w;
  w.begin_object()
      .field("name", m.name)
      .field("path", m.path)
      .field("bytes", m.bytes)
      .field("source", m.source)
      .field("endpoint", m.endpoint);
  w.field("complete", m.complete).key("files").begin_array();
  for (const hub::StoredFile& f : m.files)
    w.begin_object()
        .field("path", f.path)
        .field("bytes", f.bytes)
        .field(f.digest.name(), f.digest.hex)
        .field("commit", f.commit)
        .field("pulled", f.pulled)
        .end_object();
  w.end_array();
  if (content) {
    w.key("content");
    write_json(w, *content);
  } else {
    w.field("content_problem", content.error().message);
  }
  w.end_object();
  print_out(w.take() + "\n").ok();
}

void print_text(const hub::StoredModel& m, const Result<Inspection>& content) {
  std::printf("%s\n  path       %s\n  size       %s\n", m.name.c_str(), m.path.c_str(), size_text(m.bytes).c_str());
  std::printf("  source     %s\n", m.source.empty() ? "put into the store by hand" : (m.source + " at " + m.endpoint).c_str());
  if (!m.complete) std::printf("  not whole: lumen pull %s continues\n", m.source.c_str());
  std::string last;  // files mostly come together
  for (const hub::StoredFile& f : m.files) {
    if (std::string from = f.commit + ", pulled " + f.pulled; from != last) std::printf("  commit     %s\n", visible(last = from).c_str());
    std::printf("  file       %s  %s  %s %s\n", f.path.c_str(), size_text(f.bytes).c_str(), f.digest.name(), f.digest.hex.c_str());
  }
  if (!content) {
    std::printf("  content    cannot be read: %s\n", content.error().message.c_str());
    return;
  }
  auto architecture = content->file.get_string("general.architecture");
  std::printf("  content    %s version %u, %zu tensors%s\n", content->file.container().c_str(), content->file.version(),
              content->tensors.size(), architecture ? (", architecture " + visible(*architecture)).c_str() : "");
  print_formats(*content);
  if (!content->model_problem.empty()) std::printf("  cannot run: %s\n", content->model_problem.c_str());
}

Status show(const Arguments& a, const Options& o) {
  LUMEN_TRY(model, hub::find_model(o.name));
  if (o.verify) {
    if (model.files.empty()) return Error{model.name + ": nothing to verify it by: it was put into the store by hand"};
    LUMEN_CHECK(verify(model));
  }
  auto content = inspect_file(a, model.path);
  if (o.json)
    print_json(model, content);
  else
    print_text(model, content);
  if (o.verify && !o.json) std::printf("  verified   every file is as it was pulled\n");
  return ok_status();
}

}  // namespace

Action declare_show(Arguments& a) {
  auto o = std::make_shared<Options>();
  a.positional("NAME", o->name, "a model of the store, as lumen list names it", true);
  a.flag("--json", o->json, "as JSON, with everything that inspect says");
  a.flag("--verify", o->verify, "read every file again and compare it with what was pulled");
  return [&a, o] { return show(a, *o); };
}

}  // namespace lumen::tool
