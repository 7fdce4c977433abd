// What each pre-tokenizer name in a GGUF's `tokenizer.ggml.pre` stands for: the split patterns of the models' own tokenizer.json
// files, and the flags that file carries but GGUF does not. A table; the code is in pretokenizer.cpp.
#include <algorithm>

#include "tokenizer/pretokenizer.h"

namespace lumen::tok {

namespace {

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SYMBOLS_SPACES R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define PREFIX R"([^\r\n\p{L}\p{N}]?)"
#define SLASH_SPACES R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define ASCII_PUNCTUATION R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])"

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kDigits = R"(\p{N})";
constexpr const char* kThreeDigits = R"(\p{N}{1,3})";
constexpr const char* kNewlines = R"([^\n]+|[\n]+)";
constexpr const char* kLlama3 = CONTRACTIONS "|" PREFIX R"(\p{L}+|\p{N}{1,3})" SYMBOLS_SPACES;
constexpr const char* kLlama3AllDigits = CONTRACTIONS "|" PREFIX R"(\p{L}+|\p{N}+)" SYMBOLS_SPACES;
constexpr const char* kQwen2 = CONTRACTIONS "|" PREFIX R"(\p{L}+|\p{N})" SYMBOLS_SPACES;
constexpr const char* kQwen2NoContractions = PREFIX R"(\p{L}+|\p{N})" SYMBOLS_SPACES;
constexpr const char* kQwen35 = CONTRACTIONS "|" PREFIX R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr const char* kDeepseekCjk = "[一-龥ࠀ-一가-퟿]+";
constexpr const char* kCjk = "[一-龥぀-ゟ゠-ヿ]+";
constexpr const char* kDeepseek3 =
    ASCII_PUNCTUATION R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kSpark = ASCII_PUNCTUATION R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kTekken = PREFIX UPPER "*" LOWER "+|" PREFIX UPPER "+" LOWER R"(*|\p{N})" SLASH_SPACES;
constexpr const char* kGpt4o =
    PREFIX UPPER "*" LOWER "+" CONTRACTIONS "?|" PREFIX UPPER "+" LOWER "*" CONTRACTIONS R"(?|\p{N}{1,3})" SLASH_SPACES;
constexpr const char* kYoutuScripts =
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+";
constexpr const char* kYoutu =
    PREFIX UPPER "*" LOWER "+" CONTRACTIONS "?|" PREFIX UPPER "+" LOWER "*" CONTRACTIONS R"(?|\p{N})" SLASH_SPACES;
constexpr const char* kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr const char* kJais2 = CONTRACTIONS
    "|" PREFIX R"(\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s)";
constexpr const char* kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeedCoder = CONTRACTIONS "|" PREFIX R"(\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kExaoneMoe =
    CONTRACTIONS "|" PREFIX R"((?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";

struct Row {
  const char* names;  // separated by spaces
  std::vector<const char*> patterns;
  bool ignore_merges = false, add_bos = false, raw_utf8 = false, newline_runs = false;
  Normalization normalization = Normalization::None;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {.names = "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en jina-v2-code roberta-bpe "
                "mpt olmo jais trillion granite-docling exaone4",
       .patterns = {kGpt2}},
      {.names = "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", .patterns = {kDigits, kGpt2}},
      {.names = "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
       .patterns = {kLlama3},
       .ignore_merges = true,
       .add_bos = true},
      {.names = "dbrx smaug-bpe chatglm-bpe", .patterns = {kLlama3}},
      {.names = "glm4 glm5", .patterns = {kLlama3}, .ignore_merges = true},
      {.names = "qwen2", .patterns = {kQwen2}, .normalization = Normalization::Nfc},
      {.names = "deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2", .patterns = {kQwen2}},
      {.names = "qwen35", .patterns = {kQwen35}, .normalization = Normalization::Nfc},
      {.names = "ufakzeka", .patterns = {kQwen2NoContractions}},
      {.names = "laguna", .patterns = {kNewlines, kQwen2}},
      {.names = "minicpm5", .patterns = {kThreeDigits, kLlama3AllDigits}, .ignore_merges = true},
      {.names = "deepseek-llm",
       .patterns = {"[\r\n]", kDeepseekLetters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", kDeepseekCjk, R"(\p{N}+)"}},
      {.names = "deepseek-coder", .patterns = {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, kDigits}},
      {.names = "deepseek-v3 hunyuan-dense joyai-llm hy_v4", .patterns = {kThreeDigits, kCjk, kDeepseek3}},
      {.names = "spark2_5", .patterns = {kThreeDigits, kCjk, kSpark, kDigits}},
      {.names = "falcon", .patterns = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
      {.names = "default", .patterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {.names = "tekken", .patterns = {kTekken}, .ignore_merges = true, .add_bos = true},
      {.names = "gpt-4o llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m", .patterns = {kGpt4o}},
      {.names = "tiny_aya cohere2moe", .patterns = {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o}},
      {.names = "youtu", .patterns = {kYoutuScripts, kYoutu}, .ignore_merges = true},
      {.names = "poro-chat bloom gpt3-finnish", .patterns = {kBloom}},
      {.names = "viking", .patterns = {kBloom, kDigits}},
      {.names = "chameleon",
       .patterns = {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", R"([\t\n]|    |  )", kDigits, R"([\p{P}!-/:-@\[-`{-~])", kGpt2}},
      {.names = "jais-2", .patterns = {kJais2}},
      {.names = "superbpe", .patterns = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
      {.names = "bailingmoe bailingmoe2 llada-moe", .patterns = {kBailing}},
      {.names = "seed-coder", .patterns = {kSeedCoder}},
      {.names = "exaone-moe", .patterns = {kExaoneMoe}},
      {.names = "gemma4 granite-embed-multi-311m", .patterns = {kNewlines}, .add_bos = true, .raw_utf8 = true, .newline_runs = true},
      {.names = "sarvam-moe", .patterns = {kNewlines}, .raw_utf8 = true},
  };
  return rows;
}

bool names_contain(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    const size_t space = std::min(names.find(' '), names.size());
    if (names.substr(0, space) == name) return true;
    names.remove_prefix(std::min(space + 1, names.size()));
  }
  return false;
}

}  // namespace

std::optional<NamedPretokenizer> named_pretokenizer(std::string_view name) {
  for (const Row& row : table()) {
    if (!names_contain(row.names, name)) continue;
    NamedPretokenizer result{.patterns = {},
                             .ignore_merges = row.ignore_merges,
                             .add_bos = row.add_bos,
                             .raw_utf8 = row.raw_utf8,
                             .newline_runs = row.newline_runs,
                             .normalization = row.normalization};
    for (const char* pattern : row.patterns) result.patterns.emplace_back(pattern);
    return result;
  }
  return std::nullopt;
}

std::string pretokenizer_name(const NamedPretokenizer& like) {
  for (const Row& row : table()) {
    std::string first(row.names, std::string_view(row.names).find(' ') == std::string_view::npos ? std::string_view(row.names).size()
                                                                                                 : std::string_view(row.names).find(' '));
    bool same = row.ignore_merges == like.ignore_merges && row.normalization == like.normalization && row.raw_utf8 == like.raw_utf8 &&
                row.patterns.size() == like.patterns.size();
    for (size_t i = 0; same && i < like.patterns.size(); ++i) same = like.patterns[i] == row.patterns[i];
    if (same) return first;
  }
  return "";
}

}  // namespace lumen::tok
