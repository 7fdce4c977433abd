#!/usr/bin/env python3
"""Makes tests/golden/tokenizer/*.txt: texts and the ids that a real model's tokenizer gives them.

usage: make_tokenizer.py MODELS_DIR [--check]
MODELS_DIR holds smollm2.gguf, gemma3-270m.gguf, qwen2.5-coder-0.5b.gguf. Needs: pip install gguf tokenizers xllamacpp sentencepiece protobuf

Oracles: llama.cpp (its server's /tokenize, from xllamacpp), and for the byte-level vocabularies also Hugging Face's tokenizers,
built from the GGUF's merges and the pre-tokenizer that the model's own tokenizer.json names. Where the two differ the second
wins (it is what the model was trained with) and the case is printed. --check writes nothing and fails on a difference.

File format: pairs of lines. "T <text>": neither bos/eos nor special tokens; "S <text>": both. Then "= <ids>".
It also trains two tiny SentencePiece models (unigram with a character map, BPE), keeps them as GGUF files beside their goldens
(sentencepiece_*.gguf, .txt) and takes SentencePiece's own answers.

Escapes in texts: \\\\ \\n \\r \\t \\xHH (a byte).
"""
import argparse, json, pathlib, random, sys, tempfile, unicodedata, urllib.request

MODELS = ["smollm2", "gemma3-270m", "qwen2.5-coder-0.5b"]

PLAIN = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", " \n ", "\r\n", "\r\n\r\n x", "a", " a", "  a", "a ", "a  ",
    "Hello world", " Hello world", "Hello, world!", "HELLO WORLD", "The capital of France is Paris.",
    "What is the capital of France?", "It's we're I'll they've I'd can't isn't 'S 'LL 'Re don\u2019t",
    "1 12 123 1234 12345 1234567890", "3.14159e-10, 0x1F, 1,000,000", "\u0661\u0662\u0663 \u2167 \u00bd \u00b2",
    "대한민국의 수도는 서울입니다.", "안녕하세요! 오늘 날씨가 어때요? ㅋㅋㅋ", "한국어와 English를 섞어 쓰면 123개의 토큰이 나온다.",
    "\ud55c\uae00 \uc790\ubaa8: \u3131\u3134\u3137 \u314f\u3151\u3153", "日本語のテキスト。漢字とカタカナ。", "中文：你好，世界！", "Привет, мир", "مرحبا بالعالم",
    "नमस्ते दुनिया", "สวัสดีชาวโลก", "Ünïcödé façade naïve Äpfel", "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1f0\U0001f1f7 \u2764\ufe0f\U0001f999.cpp",
    "int main(int argc, char** argv) {\n    for (int i = 0; i < 10; ++i) {\n        printf(\"%d\\n\", i);\n    }\n    return 0;\n}\n",
    "def f(x):\n\tif x > 0:\n\t\treturn x ** 2\n\n\n\treturn None  # why?\n", "<div class=\"a b\">text</div><!-- c -->\n<table></table>",
    "SELECT * FROM t WHERE a='b' AND c>=10;", "https://example.com/path?q=1&r=%20#frag", "a_b-c.d/e\\f|g~h`i^j{k}l[m]n", "!!!???...---___***",
    "x" * 70, "ab" * 60, " " * 17 + "x" + " " * 40, "\n" * 20, "=" * 100, "word " * 100,
    "\u00a0nbsp\u2003em\u3000wide\u2028line\u0085nel", "zero\u200bwidth\ufeffbom", "e\u0301 vs \u00e9; \u1112\u1161\u11ab", "tab\there  two   three    four",
    "Mixed: 한글abc123日本語!@#\U0001f680\n\n\n  - item 1\n  - item 2\r\n", "CamelCaseAndsnake_case and kebab-case", "\u017fong \u212aelvin '\u017f", "\x00\x01\x7f",
]
SPECIAL = {
    "smollm2": ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|endoftext|>b", "<|im_start|><|im_start|>", "<|im_en", "x <repo_name> y"],
    "gemma3-270m": ["<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "a<eos>b", "<bos><bos>", "<start_of_tur", "x <unused1> y"],
    "qwen2.5-coder-0.5b": ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|endoftext|>b", "<|fim_prefix|>def<|fim_suffix|>end<|fim_middle|>",
                           "<|im_en", "<tool_call>\n{\"name\": \"f\"}\n</tool_call>"],
}
BROKEN = [b"\xff", b"abc\xff", b"\xed\x95", b"\xea\xb0\x80\xea\xb0", b"a\x80\x80b", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xe2\x82 ok"]


def random_texts(count, seed):
    """Random texts from ranges where Unicode versions agree on the classes."""
    rng = random.Random(seed)
    ranges = [(32, 126)] * 6 + [(9, 13), (0xA0, 0x17F), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x915, 0x939), (0x93E, 0x94D),
              (0x2000, 0x206F), (0x2190, 0x21FF), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F5FF), (0x300, 0x32F)]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 12)):
            low, high = rng.choice(ranges)
            text += "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6)))
        texts.append(text)
    return texts


def escape(data):
    out = ""
    text = data.decode("utf-8", errors="surrogateescape")
    for c in text:
        if c == "\\": out += "\\\\"
        elif c == "\n": out += "\\n"
        elif c == "\r": out += "\\r"
        elif c == "\t": out += "\\t"
        elif 0xDC80 <= ord(c) <= 0xDCFF: out += f"\\x{ord(c) - 0xDC00:02X}"
        elif ord(c) < 32 or ord(c) == 127 or unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Zs", "Mn", "Co", "Cn") and c != " ":
            out += "".join(f"\\x{b:02X}" for b in c.encode())
        else: out += c
    return out[:-1] + "\\x20" if out.endswith(" ") else out  # nothing that an editor may strip


def field(reader, key, default=None):
    f = reader.fields.get("tokenizer.ggml." + key)
    return f.contents() if f else default


class LlamaCpp:
    def __init__(self, path):
        import xllamacpp
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 256
        params.cpuparams.n_threads = 1
        params.warmup = False
        self.server = xllamacpp.Server(params)

    def encode(self, text, special):
        body = json.dumps({"content": text, "add_special": special, "parse_special": special}).encode()
        request = urllib.request.Request(self.server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]


class HuggingFace:
    """Byte-level BPE from the GGUF's vocabulary, with the pre-tokenizer of the model's tokenizer.json. None for other kinds."""

    def __init__(self, reader):
        from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
        tokens, types = field(reader, "tokens"), field(reader, "token_type")
        pairs = [tuple(m.split(" ")) for m in field(reader, "merges")]
        vocab = {t: i for i, t in enumerate(tokens)}
        self.tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
        byte_level = pre_tokenizers.ByteLevel
        pre = field(reader, "pre")
        if pre == "smollm":
            stages = [pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False, use_regex=True)]
        elif pre == "qwen2":
            pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
            stages = [pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(add_prefix_space=False, use_regex=False)]
            self.tokenizer.normalizer = normalizers.NFC()
        else:
            raise SystemExit(f"no pre-tokenizer is known for '{pre}'")
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(stages)
        self.special = [t for t, k in zip(tokens, types) if k in (3, 4)]
        self.user = [t for t, k in zip(tokens, types) if k == 4]
        self.plain_tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        self.plain_tokenizer.add_tokens([AddedToken(t, normalized=False) for t in self.user])
        self.tokenizer.add_tokens([AddedToken(t, normalized=False) for t in self.special])
        bos = field(reader, "bos_token_id") if field(reader, "add_bos_token", False) else None
        self.prefix = [] if bos is None else [bos]

    def encode(self, text, special):
        if special:
            return self.prefix + self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.plain_tokenizer.encode(text, add_special_tokens=False).ids


def cases_of(name, reader, oracles):
    byte_level = field(reader, "model") == "gpt2"
    bytes_of = {int(t[3:5], 16): i for i, t in enumerate(field(reader, "tokens")) if len(t) == 6 and t.startswith("<0x")}
    texts = [(t, False) for t in PLAIN + random_texts(60, 7)] + [(t, True) for t in SPECIAL[name]] + [(t, False) for t in SPECIAL[name]]
    for text, special in texts:
        answers = [o.encode(text, special) for o in oracles]
        if any(a != answers[-1] for a in answers):
            print(f"{name}: oracles differ on {text!r}: {answers}")
        yield text.encode(), special, answers[-1]
    for data in BROKEN:
        if byte_level:  # every byte outside of a well-formed sequence is U+FFFD
            text = "".join("\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in data.decode("utf-8", errors="surrogateescape"))
            yield data, False, oracles[-1].encode(text, False)
        else:  # such a byte is its own token, and a border for the text around it
            ids, run = [], ""
            for c in data.decode("utf-8", errors="surrogateescape"):
                if 0xDC80 <= ord(c) <= 0xDCFF:
                    ids += (oracles[-1].encode(run, False) if run else []) + [bytes_of[ord(c) - 0xDC00]]
                    run = ""
                else:
                    run += c
            yield data, False, ids + (oracles[-1].encode(run, False) if run else [])


def make_sentencepiece(folder, kind):
    """A vocabulary of a few hundred pieces, trained on the texts above, and what SentencePiece makes of them."""
    import gguf, sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    texts = [t for t in PLAIN if t and not set(t) & set("\n\r\0")]
    with tempfile.TemporaryDirectory() as temp:
        rules = pathlib.Path(temp) / "rules.tsv"  # a few characters that become others, as hexadecimal code points
        pairs = [([0xFF21 + i], [0x41 + i]) for i in range(26)] + [([0x3000], [0x20]), ([0xA0], [0x20]), ([9], [0x20]), ([0xBD], [0x31, 0x2F, 0x32]),
                 ([0x65, 0x301], [0xE9]), ([0x200B], [])]
        rules.write_text("".join(" ".join(f"{c:X}" for c in a) + "\t" + " ".join(f"{c:X}" for c in b) + "\n" for a, b in pairs))
        options = {"normalization_rule_tsv": str(rules)} if kind == "unigram" else {"normalization_rule_name": "identity"}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 3), model_prefix=temp + "/m", model_type=kind, vocab_size=800, hard_vocab_limit=False, byte_fallback=kind == "bpe",
            character_coverage=0.98, remove_extra_whitespaces=kind == "unigram", num_threads=1, minloglevel=2, **options)
        processor = sentencepiece.SentencePieceProcessor(model_file=temp + "/m.model")
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString(pathlib.Path(temp, "m.model").read_bytes())
    path = folder / f"sentencepiece_{kind}.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("t5" if kind == "unigram" else "llama")
    writer.add_token_list([p.piece.encode() for p in model.pieces])
    writer.add_token_scores([p.score for p in model.pieces])
    writer.add_token_types([p.type for p in model.pieces])
    writer.add_bos_token_id(processor.bos_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.add_unk_token_id(processor.unk_id())
    if kind == "unigram":
        writer.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
    writer.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
    writer.add_remove_extra_whitespaces(model.normalizer_spec.remove_extra_whitespaces)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    out = f"# Made by tests/golden/make_tokenizer.py with sentencepiece from {path.name}, which it trained.\n"
    extra = ["\uff21\uff22\uff23 \u3000 \u00bdx e\u0301", "  two  spaces  ", "\U00020000 \u9f98\u9f98 unseen"]
    for text in PLAIN + random_texts(60, 7) + extra:
        if "\0" not in text:
            out += f"T {escape(text.encode())}\n= {' '.join(map(str, processor.encode(text)))}".rstrip() + "\n"
    return path.with_suffix(".txt"), out


def main():
    import gguf
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    folder = pathlib.Path(__file__).resolve().parent / "tokenizer"
    folder.mkdir(exist_ok=True)
    same = True

    def keep(target, out):
        if args.check:
            return target.read_text(encoding="utf-8") == out
        target.write_text(out, encoding="utf-8")
        return True

    for kind in ["unigram", "bpe"]:
        with tempfile.TemporaryDirectory() as temp:
            target, out = make_sentencepiece(pathlib.Path(temp) if args.check else folder, kind)
        same &= keep(folder / target.name, out)
    for name in MODELS:
        path = args.models / (name + ".gguf")
        reader = gguf.GGUFReader(path)
        oracles = [LlamaCpp(path)]
        if field(reader, "model") == "gpt2":
            oracles.append(HuggingFace(reader))
        out = f"# Made by tests/golden/make_tokenizer.py from {name}.gguf; its head says what the lines mean.\n"
        for data, special, ids in cases_of(name, reader, oracles):
            out += f"{'S' if special else 'T'} {escape(data)}\n= {' '.join(map(str, ids))}".rstrip() + "\n"
        same &= keep(folder / (name + ".txt"), out)
        print(f"{name}: {out.count(chr(10) + '= ') + out.count(chr(10) + '=' + chr(10))} cases")
    if not same:
        sys.exit("the goldens differ from what the oracles say")


if __name__ == "__main__":
    main()
