// See special_tokens.h. The texts are those that published models use; llama.cpp keeps similar lists.
#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace lumen::tok {

namespace {

using Texts = std::initializer_list<std::string_view>;

const Texts kEndOfTurn = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",         "<|endoftext|>",     "<|end_of_text|>",
                          "<EOT>",      "_<EOT>",     "[EOT]",   "<｜end▁of▁sentence｜>", "<end_of_utterance>"};
const Texts kEndOfMessage = {"<|eom_id|>"};
const Texts kFimPrefix = {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",    "<｜fim▁begin｜>",
                          "<PRE>",          "▁<PRE>",       "<|code_prefix|>", "<|prefix|>"};
const Texts kFimSuffix = {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",    "<｜fim▁hole｜>",
                          "<SUF>",          "▁<SUF>",       "<|code_suffix|>", "<|suffix|>"};
const Texts kFimMiddle = {"<|fim_middle|>", "<fim-middle>", "<fim_middle>",    "<｜fim▁end｜>",
                          "<MID>",          "▁<MID>",       "<|code_middle|>", "<|middle|>"};
const Texts kFimPad = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"};
const Texts kFimRepo = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"};
const Texts kFimFile = {"<|file_sep|>"};
// End a generation whatever else the file says.
const Texts kEndOfGeneration = {"<|eot_id|>",
                                "<|im_end|>",
                                "<|end|>",
                                "<|return|>",
                                "<|call|>",
                                "<|flush|>",
                                "<|calls|>",
                                "<end_of_turn>",
                                "<|endoftext|>",
                                "<|eom_id|>",
                                "<EOT>",
                                "_<EOT>",
                                "[EOT]",
                                "[EOS]",
                                "<|end_of_text|>",
                                "<end_of_utterance>",
                                "<eos>",
                                "<turn|>",
                                "<|tool_response>",
                                "<｜end▁of▁sentence｜>",
                                "[e~["};
// Ends one only where it is a control token: some vocabularies have it as a piece of HTML.
constexpr std::string_view kCloseSequence = "</s>";
// Harmony's message frame: a reader of the text needs to see these.
const Texts kVisible = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

}  // namespace

std::vector<int32_t> resolve_special_tokens(TokenizerSpec& spec, const TextTable& table) {
  const auto type = [&](int32_t id) -> TokenType& { return spec.types[static_cast<size_t>(id)]; };
  const auto make_control = [&](int32_t id) {
    // A pipeline says itself which of its tokens are special.
    if (type(id) != TokenType::Unknown && !spec.pipeline) type(id) = TokenType::Control;
  };
  const auto fill = [&](int32_t& id, const Texts& texts) {
    for (const std::string_view text : texts) {
      if (id >= 0) return;
      id = table.find(text);
      if (id >= 0) make_control(id);
    }
  };
  fill(spec.eot, kEndOfTurn);
  fill(spec.eom, kEndOfMessage);
  fill(spec.fim_prefix, kFimPrefix);
  fill(spec.fim_suffix, kFimSuffix);
  fill(spec.fim_middle, kFimMiddle);
  fill(spec.fim_pad, kFimPad);
  fill(spec.fim_repo, kFimRepo);
  fill(spec.fim_file, kFimFile);

  std::vector<int32_t> eog = spec.extra_eog;
  for (const int32_t id : {spec.eos, spec.eot, spec.eom, spec.fim_pad, spec.fim_repo, spec.fim_file}) {
    if (id >= 0) eog.push_back(id);
  }
  for (const std::string_view text : kEndOfGeneration) {
    if (const int32_t id = table.find(text); id >= 0) {
      make_control(id);
      eog.push_back(id);
    }
  }
  if (const int32_t id = table.find(kCloseSequence); id >= 0 && type(id) == TokenType::Control) eog.push_back(id);
  for (const std::string_view text : kVisible) {
    if (const int32_t id = table.find(text); id >= 0 && !spec.pipeline) type(id) = TokenType::UserDefined;
  }
  // In Harmony and its relatives <|end|> ends a message, not the turn.
  const auto has = [&](std::string_view text) { return table.find(text) >= 0; };
  const int32_t end = table.find("<|end|>");
  const bool harmony = has("<|return|>") && has("<|call|>"), solar = (has("<|call|>") || has("<|calls|>")) && has("<|flush|>");
  if (end >= 0 && (harmony || solar)) {
    std::erase(eog, end);
    if (!spec.pipeline) type(end) = TokenType::UserDefined;
  }
  std::sort(eog.begin(), eog.end());
  eog.erase(std::unique(eog.begin(), eog.end()), eog.end());
  return eog;
}

}  // namespace lumen::tok
