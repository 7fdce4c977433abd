// The chat loop over libedit.
#include "chat_session.h"

#include <editline/readline.h>
#include <sys/stat.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "speaker.h"

namespace lumen::tool {
namespace {

const char* kHelp =
    "/help          this\n"
    "/system TEXT   sets the system message and begins anew (without TEXT: none)\n"
    "/clear         forgets the conversation\n"
    "/save FILE     writes the conversation as text\n"
    "/exit          leaves, as Ctrl-D does; Ctrl-C stops an answer\n"
    "A line that ends in \\ goes on in the next one.\n";

// $XDG_STATE_HOME/lumen/history, else ~/.local/state/lumen/history; empty where it cannot be.
std::string history_file() {
  auto env = [](const char* n) {
    const char* v = std::getenv(n);
    return std::string(v ? v : "");
  };
  std::string base = env("XDG_STATE_HOME");
  if (base.empty() && !env("HOME").empty()) base = env("HOME") + "/.local/state";
  if (base.empty()) return "";
  std::error_code ec;
  std::filesystem::create_directories(base + "/lumen", ec);
  return ec ? "" : base + "/lumen/history";
}

class Lines {
 public:
  Lines() : file_(history_file()) {
    std::setlocale(LC_CTYPE, "");
    rl_readline_name = const_cast<char*>("lumen");
    using_history();
    stifle_history(1000);
    if (!file_.empty()) read_history(file_.c_str());
  }
  ~Lines() {
    if (file_.empty()) return;
    write_history(file_.c_str());
    chmod(file_.c_str(), 0600);
  }
  // False at the end of input. Ctrl-C gives an empty line.
  bool next(std::string& line) {
    line.clear();
    const char* prompt = "> ";
    while (true) {
      char* read = readline(prompt);
      if (!read) return take_interrupt();
      std::string part = read;
      std::free(read);
      if (take_interrupt()) {
        line.clear();
        return true;
      }
      if (!part.empty()) add_history(part.c_str());
      bool more = !part.empty() && part.back() == '\\';
      if (more) part.back() = '\n';
      line += part;
      if (!more) return true;
      prompt = ". ";
    }
  }

 private:
  std::string file_;
};

struct Chat {
  std::string system, text;                                // text: of a raw chat
  std::vector<std::pair<std::string, std::string>> turns;  // role, text
};

bool save(const Chat& chat, const std::string& path) {
  std::ofstream out(path);
  if (!chat.system.empty()) out << "system: " << chat.system << "\n\n";
  for (auto& [role, text] : chat.turns) out << role << ": " << text << "\n\n";
  out << chat.text;
  out.close();
  return static_cast<bool>(out);
}

// False: leave.
bool obey(const std::string& line, Chat& chat) {
  size_t space = line.find(' ');
  std::string word = line.substr(0, space), rest = space == std::string::npos ? "" : line.substr(line.find_last_of(' ', space) + 1);
  if (word == "/exit" || word == "/quit" || word == "/bye") return false;
  if (word == "/help")
    std::fputs(kHelp, stdout);
  else if (word == "/clear")
    chat = {chat.system, "", {}};
  else if (word == "/system")
    chat = {rest, "", {}};
  else if (word == "/save" && rest.empty())
    std::fprintf(stderr, "/save: expected a file name\n");
  else if (word == "/save") {
    if (!save(chat, rest)) std::fprintf(stderr, "/save: cannot write %s\n", rest.c_str());
  } else {
    std::fprintf(stderr, "%s: no such command; /help lists them\n", word.c_str());
  }
  return true;
}

Status answer(runtime::OpenModel& model, Speaker& speaker, bool raw, const std::string& line, Chat& chat) {
  Chat next = chat;
  Result<std::vector<int32_t>> ids = Error{""};
  if (raw) {
    next.text += line;
    ids = model.encode(next.text);
  } else {
    next.turns.push_back({"user", line});
    ids = model.encode_chat(conversation_of(next.system, next.turns));
  }
  if (!ids) return ids.error();
  auto said = speaker.speak(*ids);
  if (!said) return said.error();
  if (raw)
    next.text += said->text;
  else
    next.turns.push_back({"assistant", said->text});
  chat = std::move(next);
  return ok_status();
}

}  // namespace

Status chat_session(runtime::OpenModel& model, Speaker& speaker, const ChatOptions& options) {
  std::printf("%s. /help lists commands, Ctrl-D leaves.\n", model.name.c_str());
  Lines lines;
  Chat chat{options.system, "", {}};
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t\n") == std::string::npos) continue;
    if (line[0] == '/') {
      if (!obey(line, chat)) break;
      continue;
    }
    // What goes wrong with one line (a conversation longer than the context, say) leaves the chat as it was.
    if (Status s = answer(model, speaker, options.raw, line, chat); !s)
      std::fprintf(stderr, "lumen: %s%s\n", s.error().message.c_str(),
                   chat.turns.empty() && chat.text.empty() ? "" : "; /clear forgets the conversation");
  }
  std::putchar('\n');
  return ok_status();
}

}  // namespace lumen::tool
