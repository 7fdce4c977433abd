// See regex.h.
#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace lumen::tok {

namespace {

// What one thread needs to match: room for the match's ends and a stack for JIT code. Kept for the thread's life.
struct Workspace {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 4 * 1024 * 1024, nullptr);
  Workspace() { pcre2_jit_stack_assign(context, nullptr, stack); }
  ~Workspace() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

}  // namespace

std::string spell_out_whitespace(std::string_view pattern) {
  constexpr std::string_view kClass = R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 's') {
        out += in_class ? std::string(kClass) : "[" + std::string(kClass) + "]";
      } else if (next == 'S' && !in_class) {
        out += "[^" + std::string(kClass) + "]";
      } else {
        out += {'\\', next};
      }
      continue;
    }
    if (!in_class && c == '[') {
      in_class = true;
      out += c;
      // A ']' right after '[' or '[^' stands for itself.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out += pattern[++i];
      continue;
    }
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

Result<Regex> Regex::compile(const std::string& pattern) {
  const std::string exact = spell_out_whitespace(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(exact.data()), exact.size(), PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
  if (!compiled) {
    unsigned char message[160];
    pcre2_get_error_message(code, message, sizeof message);
    return Error{"pre-tokenizer pattern '" + pattern + "': " + reinterpret_cast<const char*>(message)};
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without JIT pcre2_match interprets
  Regex regex;
  regex.code_ = std::shared_ptr<void>(compiled, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  return regex;
}

bool Regex::find(std::string_view text, size_t from, Match& match) const {
  thread_local Workspace workspace;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto run = [&](uint32_t options) {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, PCRE2_NO_UTF_CHECK | options, workspace.data,
                       workspace.context);
  };
  int rc = run(0);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = run(PCRE2_NO_JIT);  // the interpreter takes memory from the heap
  if (rc < 0) return false;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(workspace.data);
  match = {ends[0], ends[1]};
  return match.end >= match.begin;  // \K can end a match before it begins
}

}  // namespace lumen::tok
