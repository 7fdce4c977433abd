// See hf_stages.h. Every stage has a "type"; one that is not known is an Error, for a stage left out gives other ids silently.
#include "tokenizer/hf_stages.h"

#include <cctype>

#include "tokenizer/unicode.h"

namespace lumen::tok {
namespace {

Error unknown(const char* where, const std::string& type) {
  return Error{std::string("tokenizer.json: ") + where + ": unknown type '" + type + "'"};
}
Error expected(const std::string& where, const std::string& what) { return Error{"tokenizer.json: " + where + ": expected " + what}; }

// Oniguruma's syntax as PCRE2's: \uHHHH is \x{HHHH}; \w has marks in it.
std::string as_pcre(std::string_view text) {
  std::string out;
  auto hex = [&](size_t at) {
    for (size_t i = at; i < at + 4; ++i)
      if (i >= text.size() || !std::isxdigit(static_cast<unsigned char>(text[i]))) return false;
    return true;
  };
  bool in_class = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      if (text[i] == '[') in_class = true;
      if (text[i] == ']') in_class = false;
      out += text[i];
    } else if (text[i + 1] == 'w' || (text[i + 1] == 'W' && !in_class)) {
      constexpr const char* kWordClasses = R"(\p{L}\p{M}\p{N}\p{Pc})";
      out += in_class ? kWordClasses : std::string(text[i + 1] == 'w' ? "[" : "[^") + kWordClasses + "]";
      ++i;
    } else if (text[i + 1] == 'u' && hex(i + 2)) {
      out.append("\\x{").append(text, i + 2, 4).append("}");
      i += 5;
    } else {
      out.append(text, i++, 2);
    }
  }
  return out;
}

// {"String": "x"}, {"Regex": "x"}, or a plain string.
Result<TextPattern> pattern_of(const Json& object, const std::string& where) {
  const Json* p = object.find("pattern");
  if (p && p->is_string()) return TextPattern{std::string(p->as_string()), false};
  for (const char* kind : {"String", "Regex"}) {
    const Json* text = p ? p->find(kind) : nullptr;
    if (text && text->is_string() && kind[0] == 'R') return TextPattern{as_pcre(text->as_string()), true};
    if (text && text->is_string()) return TextPattern{std::string(text->as_string()), false};
  }
  return expected(where + ": pattern", "{\"String\": …} or {\"Regex\": …}");
}

Result<std::string> from_base64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=') break;
    int v = c >= 'A' && c <= 'Z'   ? c - 'A'
            : c >= 'a' && c <= 'z' ? c - 'a' + 26
            : c >= '0' && c <= '9' ? c - '0' + 52
            : c == '+'             ? 62
            : c == '/'             ? 63
                                   : -1;
    if (v < 0) return expected("normalizer: precompiled_charsmap", "base64");
    bits = bits << 6 | static_cast<uint32_t>(v);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  return out;
}

// Calls read(stage) for the stage, or for each of a Sequence of them.
template <class Read>
Status each_stage(const Json* json, const char* where, const char* list, Read read) {
  if (!json || json->is_null()) return ok_status();
  std::string type = string_of(*json, "type");
  if (type.empty()) return expected(where, "an object with a \"type\"");
  if (type != "Sequence") return read(*json, type);
  const Json* items = json->find(list);
  if (!items || !items->is_array()) return expected(std::string(where) + ": Sequence: " + list, "a list");
  for (const Json& item : items->items()) LUMEN_CHECK(each_stage(&item, where, list, read));
  return ok_status();
}

Status add_bert_normalizer(const Json& j, Pipeline& out) {
  bool lowercase = bool_of(j, "lowercase", true);
  auto add = [&](NormalizeStep::Kind kind, Normalization form = Normalization::None) {
    NormalizeStep s;
    s.kind = kind, s.form = form;
    out.normalize.push_back(std::move(s));
  };
  if (bool_of(j, "clean_text", true)) add(NormalizeStep::Clean);
  if (bool_of(j, "handle_chinese_chars", true)) add(NormalizeStep::SpaceChinese);
  if (bool_of(j, "strip_accents", lowercase)) add(NormalizeStep::Form, Normalization::Nfd), add(NormalizeStep::StripNonspacing);
  if (lowercase) add(NormalizeStep::Lowercase);
  return ok_status();
}

Result<CutStep::Behavior> behavior_of(const Json& j, const std::string& where) {
  std::string b = string_of(j, "behavior", "Isolated");
  static constexpr struct {
    const char* name;
    CutStep::Behavior behavior;
  } table[] = {{"Removed", CutStep::Removed},
               {"Isolated", CutStep::Isolated},
               {"MergedWithPrevious", CutStep::MergedWithPrevious},
               {"MergedWithNext", CutStep::MergedWithNext},
               {"Contiguous", CutStep::Contiguous}};
  for (const auto& [name, behavior] : table)
    if (b == name) return behavior;
  return Error{"tokenizer.json: " + where + ": unknown behavior '" + b + "'"};
}

CutStep cut_at(const std::string& regex, CutStep::Behavior behavior, bool invert = false) {
  CutStep s;
  s.pattern = {regex, true};
  s.behavior = behavior;
  s.invert = invert;
  return s;
}

constexpr const char* kGpt2Words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";
constexpr const char* kWord = R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}]+|[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\s]+)";

CutStep::Prepend scheme_of(const Json& j) {
  std::string s = string_of(j, "prepend_scheme");
  if (s.empty()) return bool_of(j, "add_prefix_space", true) ? CutStep::Always : CutStep::Never;
  return s == "first" ? CutStep::First : s == "never" ? CutStep::Never : CutStep::Always;
}

Status read_cut(const Json& j, const std::string& type, Pipeline& out, bool& byte_level) {
  constexpr const char* kWhere = "pre_tokenizer";
  auto add = [&](CutStep s) {
    out.cut.push_back(std::move(s));
    return ok_status();
  };
  if (byte_level) return Error{"tokenizer.json: pre_tokenizer: a " + type + " stage after ByteLevel is not supported"};
  CutStep s;
  if (type == "Split") {
    LUMEN_TRY(pattern, pattern_of(j, "pre_tokenizer: Split"));
    LUMEN_TRY(behavior, behavior_of(j, "pre_tokenizer: Split"));
    s.pattern = pattern, s.behavior = behavior, s.invert = bool_of(j, "invert", false);
    return add(s);
  }
  if (type == "ByteLevel") {
    byte_level = true;
    s.kind = CutStep::PrefixSpace;
    if (bool_of(j, "add_prefix_space", true)) LUMEN_CHECK(add(s));
    return bool_of(j, "use_regex", true) ? add(cut_at(kGpt2Words, CutStep::Isolated)) : ok_status();
  }
  if (type == "Metaspace") {
    s.kind = CutStep::Metaspace;
    s.replacement = string_of(j, "replacement", kEscapedSpace);
    s.prepend = scheme_of(j);
    s.split = bool_of(j, "split", true);
    if (s.replacement.empty()) return expected("pre_tokenizer: Metaspace: replacement", "a character");
    return add(s);
  }
  if (type == "Digits") return add(cut_at(bool_of(j, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", CutStep::Isolated));
  if (type == "Punctuation") {
    LUMEN_TRY(behavior, behavior_of(j, "pre_tokenizer: Punctuation"));
    return add(cut_at(kPunctuation, behavior));
  }
  if (type == "Whitespace") return add(cut_at(kWord, CutStep::Removed, true));
  if (type == "WhitespaceSplit") return add(cut_at("\\s", CutStep::Removed));
  if (type == "BertPreTokenizer") {
    LUMEN_CHECK(add(cut_at("\\s", CutStep::Removed)));
    return add(cut_at(kPunctuation, CutStep::Isolated));
  }
  if (type == "CharDelimiterSplit") {
    s.pattern = {string_of(j, "delimiter"), false};
    s.behavior = CutStep::Removed;
    return add(s);
  }
  if (type == "FixedLength") {
    s.kind = CutStep::FixedLength;
    int64_t n = int_of(j, "length", 0);
    if (n < 1 || n > 1 << 20) return expected("pre_tokenizer: FixedLength: length", "a positive number");
    s.length = static_cast<int>(n);
    return add(s);
  }
  return unknown(kWhere, type);
}

// The ids of a special token by its name in a TemplateProcessing.
Status add_special(const Json& processor, const std::string& name, std::vector<int32_t>& ids) {
  const Json* all = processor.find("special_tokens");
  const Json* token = all ? all->find(name) : nullptr;
  const Json* list = token ? token->find("ids") : nullptr;
  if (!list || list->items().empty()) return expected("post_processor: TemplateProcessing: special_tokens: " + name, "its ids");
  for (const Json& id : list->items()) {
    if (!id.is(Json::Kind::Int) || id.as_int() < 0 || id.as_int() > INT32_MAX) return expected("post_processor: ids of " + name, "token ids");
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return ok_status();
}

Status read_template(const Json& j, Pipeline& out) {
  const Json* single = j.find("single");
  if (!single || !single->is_array()) return expected("post_processor: TemplateProcessing: single", "a list");
  bool behind = false;
  std::vector<int32_t> before, after;
  for (const Json& item : single->items()) {
    if (item.find("Sequence")) {
      if (behind) return expected("post_processor: TemplateProcessing: single", "the text once");
      behind = true;
      continue;
    }
    const Json* special = item.find("SpecialToken");
    if (!special) return expected("post_processor: TemplateProcessing: single", "SpecialToken or Sequence");
    LUMEN_CHECK(add_special(j, string_of(*special, "id"), behind ? after : before));
  }
  if (!behind) return expected("post_processor: TemplateProcessing: single", "a Sequence");
  // A later processor wraps what an earlier one made.
  out.before.insert(out.before.begin(), before.begin(), before.end());
  out.after.insert(out.after.end(), after.begin(), after.end());
  return ok_status();
}

}  // namespace

bool bool_of(const Json& object, std::string_view key, bool fallback) {
  const Json* v = object.find(key);
  return v && v->is(Json::Kind::Bool) ? v->as_bool() : fallback;
}
std::string string_of(const Json& object, std::string_view key, std::string_view fallback) {
  const Json* v = object.find(key);
  return std::string(v && v->is_string() ? v->as_string() : fallback);
}
int64_t int_of(const Json& object, std::string_view key, int64_t fallback) {
  const Json* v = object.find(key);
  return v && v->is(Json::Kind::Int) ? v->as_int() : fallback;
}

Status read_normalizer(const Json* json, Pipeline& out) {
  return each_stage(json, "normalizer", "normalizers", [&](const Json& j, const std::string& type) -> Status {
    NormalizeStep s;
    if (type == "BertNormalizer") return add_bert_normalizer(j, out);
    static constexpr struct {
      const char* name;
      NormalizeStep::Kind kind;
      Normalization form;
    } plain[] = {{"NFC", NormalizeStep::Form, Normalization::Nfc},
                 {"NFD", NormalizeStep::Form, Normalization::Nfd},
                 {"NFKC", NormalizeStep::Form, Normalization::Nfkc},
                 {"NFKD", NormalizeStep::Form, Normalization::Nfkd},
                 {"Lowercase", NormalizeStep::Lowercase, Normalization::None},
                 {"StripAccents", NormalizeStep::StripAccents, Normalization::None},
                 {"Nmt", NormalizeStep::Nmt, Normalization::None},
                 {"Strip", NormalizeStep::Strip, Normalization::None},
                 {"Prepend", NormalizeStep::Prepend, Normalization::None},
                 {"Replace", NormalizeStep::Replace, Normalization::None},
                 {"Precompiled", NormalizeStep::Charsmap, Normalization::None}};
    bool known = false;
    for (const auto& [name, kind, form] : plain)
      if (type == name) s.kind = kind, s.form = form, known = true;
    if (!known) return unknown("normalizer", type);
    s.left = bool_of(j, "strip_left", true);
    s.right = bool_of(j, "strip_right", true);
    if (s.kind == NormalizeStep::Prepend) s.content = string_of(j, "prepend");
    if (s.kind == NormalizeStep::Replace) {
      LUMEN_TRY(pattern, pattern_of(j, "normalizer: Replace"));
      s.pattern = pattern, s.content = string_of(j, "content");
    }
    if (s.kind == NormalizeStep::Charsmap) {
      LUMEN_TRY(map, from_base64(string_of(j, "precompiled_charsmap")));
      s.content = map;
      if (map.empty()) return ok_status();
    }
    out.normalize.push_back(std::move(s));
    return ok_status();
  });
}

Status read_pretokenizer(const Json* json, Pipeline& out, bool& byte_level) {
  return each_stage(json, "pre_tokenizer", "pretokenizers",
                    [&](const Json& j, const std::string& type) { return read_cut(j, type, out, byte_level); });
}

Status read_post_processor(const Json* json, Pipeline& out) {
  return each_stage(json, "post_processor", "processors", [&](const Json& j, const std::string& type) -> Status {
    if (type == "ByteLevel") return ok_status();  // offsets only
    if (type == "TemplateProcessing") return read_template(j, out);
    if (type != "BertProcessing" && type != "RobertaProcessing") return unknown("post_processor", type);
    for (auto [key, list] : {std::pair<const char*, std::vector<int32_t>*>{"cls", &out.before}, {"sep", &out.after}}) {
      const Json* pair = j.find(key);
      if (!pair || pair->items().size() != 2 || !pair->items()[1].is(Json::Kind::Int))
        return expected("post_processor: " + type + ": " + key, "[text, id]");
      list->push_back(static_cast<int32_t>(pair->items()[1].as_int()));
    }
    return ok_status();
  });
}

Status read_decoder(const Json* json, TokenizerSpec& spec, bool& byte_level) {
  return each_stage(json, "decoder", "decoders", [&](const Json& j, const std::string& type) -> Status {
    if (type == "ByteLevel") return byte_level = true, ok_status();
    if (type == "ByteFallback" || type == "Fuse" || type == "WordPiece" || type == "BPEDecoder") return ok_status();  // by the model's kind
    if (type == "Metaspace") {
      if (string_of(j, "replacement", kEscapedSpace) != kEscapedSpace) return unknown("decoder: Metaspace with replacement", string_of(j, "replacement"));
      spec.escape_spaces = true;
      spec.add_space_prefix = spec.strip_first_spaces = scheme_of(j) != CutStep::Never;
      return ok_status();
    }
    if (type == "Replace") {
      LUMEN_TRY(pattern, pattern_of(j, "decoder: Replace"));
      if (pattern.regex || pattern.text != kEscapedSpace || string_of(j, "content") != " ")
        return Error{"tokenizer.json: decoder: Replace: expected U+2581 by a space, found '" + pattern.text + "' by '" + string_of(j, "content") + "'"};
      return spec.escape_spaces = true, ok_status();
    }
    if (type == "Strip") {
      int64_t start = int_of(j, "start", 0), stop = int_of(j, "stop", 0);
      if (string_of(j, "content") != " " || start > 1 || stop != 0)
        return Error{"tokenizer.json: decoder: Strip: expected at most one space, at the start"};
      return spec.add_space_prefix = start == 1, ok_status();
    }
    return unknown("decoder", type);
  });
}

}  // namespace lumen::tok
