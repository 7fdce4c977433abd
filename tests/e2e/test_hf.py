#!/usr/bin/env python3
"""Hugging Face and MLX directories: logits of tiny models written here, in every storage layout, against numpy; a rebuilt SmolLM2
against transformers; what is refused, and how. [LUMEN_TEST_MODELS=DIR] tests/e2e/test_hf.py

The binary is build/lumen, or $LUMEN_BINARY. Needs numpy, and for SmolLM2 the package gguf and DIR/smollm2.gguf; skipped without.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("test_hf.py: numpy is not here: skipped")
    sys.exit(0)

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODELS = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent"))
sys.path.insert(0, str(ROOT / "tests/golden"))

D, LAYERS, H, G, C, M, V = 128, 2, 4, 2, 32, 256, 320
TOKENS = [1, 17, 300, 5, 5, 44, 199]
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


def lumen(*args, timeout=600):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, timeout=timeout)


def tiny(rng):
    """Name -> float32 weights of a small Llama."""
    w = {"model.embed_tokens.weight": rng.standard_normal((V, D)), "model.norm.weight": 1 + 0.1 * rng.standard_normal(D),
         "lm_head.weight": rng.standard_normal((V, D)) / 8}
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        w[p + "input_layernorm.weight"] = 1 + 0.1 * rng.standard_normal(D)
        w[p + "post_attention_layernorm.weight"] = 1 + 0.1 * rng.standard_normal(D)
        for name, n, k in [("self_attn.q_proj", H * C, D), ("self_attn.k_proj", G * C, D), ("self_attn.v_proj", G * C, D), ("self_attn.o_proj", D, H * C),
                           ("mlp.gate_proj", M, D), ("mlp.up_proj", M, D), ("mlp.down_proj", D, M)]:
            w[f"{p}{name}.weight"] = rng.standard_normal((n, k)) / np.sqrt(k)
    return {k: v.astype(np.float32) for k, v in w.items()}


def config(**more):
    return {"architectures": ["LlamaForCausalLM"], "hidden_size": D, "intermediate_size": M, "num_hidden_layers": LAYERS, "num_attention_heads": H,
            "num_key_value_heads": G, "head_dim": None, "vocab_size": V, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
            "max_position_embeddings": 128, "hidden_act": "silu", **more}


def reference(w, frequencies=None, tokens=TOKENS):
    """The last token's logits, in float64."""
    w = {k: v.astype(np.float64) for k, v in w.items()}
    norm = lambda x, g: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * g
    f = 10000.0 ** (-np.arange(C // 2) * 2 / C) if frequencies is None else frequencies
    angle = np.arange(len(tokens))[:, None] * f
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def rope(x):
        a, b = x[..., : C // 2], x[..., C // 2 :]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    x = w["model.embed_tokens.weight"][tokens]
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        h = norm(x, w[p + "input_layernorm.weight"])
        bias = lambda n: w.get(f"{p}self_attn.{n}_proj.bias", 0)
        q = rope((h @ w[p + "self_attn.q_proj.weight"].T + bias("q")).reshape(-1, H, C))
        k = np.repeat(rope((h @ w[p + "self_attn.k_proj.weight"].T).reshape(-1, G, C)), H // G, 1)
        v = np.repeat((h @ w[p + "self_attn.v_proj.weight"].T).reshape(-1, G, C), H // G, 1)
        s = np.einsum("qhc,khc->hqk", q, k) / np.sqrt(C)
        s = np.where(np.tril(np.ones(s.shape[1:], bool)), s, -np.inf)
        s = np.exp(s - s.max(-1, keepdims=True))
        a = np.einsum("hqk,khc->qhc", s / s.sum(-1, keepdims=True), v).reshape(len(tokens), -1)
        x = x + a @ w[p + "self_attn.o_proj.weight"].T
        h = norm(x, w[p + "post_attention_layernorm.weight"])
        gate = h @ w[p + "mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[p + "mlp.up_proj.weight"].T)) @ w[p + "mlp.down_proj.weight"].T
    return norm(x[-1], w["model.norm.weight"]) @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def bf16(w):
    """Rounded to bf16: the bits, and what they say."""
    bits = np.ascontiguousarray(w, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return bits.astype(np.uint16), (bits << 16).view(np.float32)


def pack_bits(codes, bits):
    """(rows, k) codes as one little-endian stream of bits a row, in 32-bit words."""
    spread = (codes[..., None] >> np.arange(bits) & 1).astype(np.uint8).reshape(codes.shape[0], -1)
    return np.packbits(spread, axis=1, bitorder="little").view(np.uint32)


def e4m3(codes):
    e, m = codes >> 3 & 15, (codes & 7).astype(np.float32)
    return (np.where(e == 0, m / 512, (1 + m / 8) * 2.0 ** (e.astype(np.float32) - 7)) * np.where(codes > 127, -1, 1)).astype(np.float32)


def mlx(rng, shape, mode, bits, group, dtype):
    """Random tensors of an MLX layout under the suffixes they have beside .weight, and the values they mean."""
    n, k = shape
    if mode == "affine":
        codes = rng.integers(0, 1 << bits, shape)
        s, b = (rng.standard_normal((n, k // group)) * x / np.sqrt(k) for x in (2.0**-bits * 3, 0.5))
        if dtype == "BF16":
            (raw_s, s), (raw_b, b) = bf16(s), bf16(b)
        else:
            raw_s, raw_b = (x.astype(np.float16 if dtype == "F16" else np.float32) for x in (s, b))
            s, b = raw_s.astype(np.float32), raw_b.astype(np.float32)
        values = np.repeat(s, group, 1) * codes.astype(np.float32) + np.repeat(b, group, 1)
        return {"weight": ("U32", pack_bits(codes, bits)), "scales": (dtype, raw_s), "biases": (dtype, raw_b)}, values
    codes = rng.integers(0, 1 << bits, shape)
    codes = np.where(codes & 127 == 127, 0, codes) if bits == 8 else codes
    values = e4m3(codes) if bits == 8 else E2M1[codes & 7] * np.where(codes > 7, -1, 1)
    size = 1 / np.sqrt(k) / (100 if bits == 8 else 3)
    if mode == "nvfp4":
        scale = rng.integers(0, 56, (n, k // group))
        spread = e4m3(scale)
    else:
        scale = (127 + np.rint(np.log2(size)) + rng.integers(-1, 2, (n, k // group))).astype(np.int64)
        spread = 2.0 ** (scale - 127.0)
    return {"weight": ("U32", pack_bits(codes, bits)), "scales": ("U8", scale.astype(np.uint8))}, values * np.repeat(spread, group, 1)


class Directory(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name)
        self.rng = np.random.default_rng(3)

    def tearDown(self):
        self.temporary.cleanup()

    def write(self, tensors, cfg, name="model.safetensors"):
        """tensors: name -> (dtype, array)."""
        header, at = {}, 0
        for n, (dtype, data) in tensors.items():
            header[n] = {"dtype": dtype, "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
            at += data.nbytes
        text = json.dumps(header).encode()
        blob = struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(d).tobytes() for _, d in tensors.values())
        (self.path / name).write_bytes(blob)
        (self.path / "config.json").write_text(json.dumps(cfg))

    def logits(self, *options):
        r = lumen("logits", self.path, "--tokens", ",".join(map(str, TOKENS)), "--json", *options)
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        return np.array(json.loads(r.stdout)["logits"][0])

    def expect(self, values, tolerance=1e-3, frequencies=None, options=("--exact",)):
        self.assertLess(np.abs(self.logits(*options) - reference(values, frequencies)).max(), tolerance)

    def refused(self, *parts, args=()):
        r = lumen("logits", self.path, "--tokens", "1,2", *args)
        message = r.stderr.decode()
        self.assertNotEqual(r.returncode, 0, message)
        self.assertEqual(message.count("\n"), 1, message)
        for part in parts:
            self.assertIn(part, message)

    def plain(self, w, dtype="F32"):
        return {n: (dtype, v.astype(np.float16) if dtype == "F16" else bf16(v)[0] if dtype == "BF16" else v) for n, v in w.items()}


class Plain(Directory):
    def test_float_types(self):
        w = tiny(self.rng)
        for dtype, back in [("F32", lambda v: v), ("F16", lambda v: v.astype(np.float16)), ("BF16", lambda v: bf16(v)[1])]:
            with self.subTest(dtype):
                self.write(self.plain(w, dtype), config())
                self.expect({n: back(v) for n, v in w.items()})

    def test_tied_embeddings_and_biases(self):
        w = tiny(self.rng)
        del w["lm_head.weight"]
        w["model.embed_tokens.weight"] /= 8
        for l in range(LAYERS):
            w[f"model.layers.{l}.self_attn.q_proj.bias"] = self.rng.standard_normal(H * C).astype(np.float32)
        self.write(self.plain(w), config(tie_word_embeddings=True, attention_bias=True))
        self.expect(w)

    def test_rope_of_every_spelling(self):
        w = tiny(self.rng)
        base = 500000.0 ** (-np.arange(C // 2) * 2 / C)
        wave = 2 * np.pi / base
        smooth = (64 / wave - 1) / (4 - 1)
        llama3 = np.where(wave > 64, base / 8, np.where(wave < 16, base, (1 - smooth) * base / 8 + smooth * base))
        scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
        for cfg, f in [({"rope_theta": 500000.0}, base), ({"rope_theta": None, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}, base),
                       ({"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}, base / 4),
                       ({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", **scaling}}, llama3),
                       ({"rope_theta": None, "rope_parameters": {"rope_theta": 500000, "rope_type": "llama3", **scaling}}, llama3)]:
            with self.subTest(cfg):
                self.write(self.plain(w), config(**cfg))
                self.expect(w, frequencies=f)
        self.write(self.plain(w), config(rope_scaling={"rope_type": "yarn", "factor": 4.0}))
        r = lumen("logits", self.path, "--tokens", "1")
        self.assertIn("scales rope by a rule that this model does not know", r.stderr.decode())

    def test_settings_in_gguf(self):
        """What config.json says stands in a GGUF file as well, or there is none."""
        out, w = self.path / "out.gguf", tiny(self.rng)

        def convert(**cfg):
            self.write(self.plain(w), config(**cfg))
            return lumen("quantize", self.path, out, "--format", "f16")

        def answers(path):
            return json.loads(lumen("logits", path, "--tokens", ",".join(map(str, TOKENS)), "--json", "--exact").stdout)["logits"][0]

        self.assertEqual(convert(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=3).returncode, 0)
        with_window, of_directory = np.array(answers(out)), np.array(answers(self.path))
        self.assertLess(np.abs(with_window - of_directory).max(), 0.05)
        self.assertEqual(convert().returncode, 0)
        self.assertGreater(np.abs(with_window - answers(out)).max(), 0.1)
        llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
        self.assertEqual(convert(rope_scaling=llama3).returncode, 0)
        r = convert(rope_scaling={**llama3, "low_freq_factor": 2.0}, model_type="llama")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("no gguf key to say this: rope_low (2 here, 1 there)", r.stderr.decode().replace(".0", ""))

    def test_layers_with_windows_in_gguf(self):
        w = {"model.embed_tokens.weight": (V, D), "model.norm.weight": (D,)}
        for l in range(LAYERS):
            p = f"model.layers.{l}."
            w |= {p + n + "_layernorm.weight": (D,) for n in ("input", "post_attention", "pre_feedforward", "post_feedforward")}
            w |= {p + f"self_attn.{n}_norm.weight": (C,) for n in "qk"}
            w |= {p + "self_attn.q_proj.weight": (H * C, D), p + "self_attn.k_proj.weight": (G * C, D), p + "self_attn.v_proj.weight": (G * C, D),
                  p + "self_attn.o_proj.weight": (D, H * C), p + "mlp.gate_proj.weight": (M, D), p + "mlp.up_proj.weight": (M, D), p + "mlp.down_proj.weight": (D, M)}
        w = {n: (self.rng.standard_normal(shape) / 10).astype(np.float32) for n, shape in w.items()}
        for layers, kept in [(["sliding_attention", "full_attention"], True), (["full_attention", "sliding_attention"], False)]:
            self.write(self.plain(w), config(architectures=["Gemma3ForCausalLM"], head_dim=C, sliding_window=3, sliding_window_pattern=2, layer_types=layers,
                                             query_pre_attn_scalar=C, hidden_activation="gelu_pytorch_tanh"))
            r = lumen("quantize", self.path, self.path / "out.gguf", "--format", "f16")
            self.assertEqual(r.returncode == 0, kept, r.stderr.decode())
        self.assertIn("no gguf key to say this: windowed", r.stderr.decode())

    def test_other_dimensions_in_gguf(self):
        """A declaration that takes a list out of a table, and a matrix out of a stack: the elements stay."""
        text = (ROOT / "lum/models/llama.lum").read_text().replace("model llama {", "model folded {").replace('"llama"', '"folded"')
        text = text.replace('hf "LlamaForCausalLM" | hf "MistralForCausalLM"', 'hf "FoldedForCausalLM"')
        for name, dims in [("input_layernorm", "[D]"), ("self_attn.v_proj", "[G * C, D]"), ("self_attn.q_proj", "[H * C, D]")]:
            text = text.replace(f'hf "model.layers.{{l}}.{name}.weight"', f'hf reshape("model.layers.{{l}}.{name}.weight", {dims})')
        (self.path / "lum").mkdir()
        (self.path / "lum/folded.lum").write_text(text)
        w = tiny(self.rng)
        shapes = {"input_layernorm": (4, D // 4), "v_proj": (G * C * 2, D // 2), "q_proj": (H, C, D)}
        folded = {n: v.reshape(next((s for part, s in shapes.items() if part in n), v.shape)) for n, v in w.items()}
        self.write(self.plain(folded), config(architectures=["FoldedForCausalLM"]))
        self.expect(w, options=("--exact", "--lum", self.path / "lum"))
        out = self.path / "out.gguf"
        r = lumen("quantize", self.path, out, "--format", "f16", "--tensor", "blk.*=f32", "--lum", self.path / "lum")
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        r = lumen("logits", out, "--tokens", ",".join(map(str, TOKENS)), "--json", "--exact", "--lum", self.path / "lum")
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertLess(np.abs(np.array(json.loads(r.stdout)["logits"][0]) - reference(w)).max(), 0.02)

    def test_sentencepiece_in_gguf(self):
        """A tokenizer with byte fallback: the GGUF file numbers a text as the directory does."""
        pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\u2581", "a", "b", "\u00e9", "ab", "\u2581ab", "ab\u00e9"]
        added = [{"id": i, "content": pieces[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i in range(3)]
        text = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "post_processor": None, "pre_tokenizer": None,
                "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
                "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                          "byte_fallback": True, "vocab": {p: i for i, p in enumerate(pieces)},
                          "merges": [["a", "b"], ["\u2581", "ab"], ["ab", "\u00e9"]]}}
        w = tiny(self.rng)
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            w[name] = np.resize(w[name], (len(pieces), D)).astype(np.float32)
        self.write(self.plain(w), config(vocab_size=len(pieces)))
        (self.path / "tokenizer.json").write_text(json.dumps(text))
        out = self.path / "out.gguf"
        r = lumen("quantize", self.path, out, "--format", "f16")
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        for line, ids in [("ab a b", [264, 259, 260, 259, 261]), ("ab\u00e9\U0001F600", [264, 262, 243, 162, 155, 131])]:
            for path in (self.path, out):
                r = lumen("tokenize", path, line, "--no-special")
                self.assertEqual(r.stdout.decode().strip(), ",".join(map(str, ids)), r.stderr.decode())

    def test_shards(self):
        w = tiny(self.rng)
        names = list(w)
        parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
        for file, part in parts.items():
            self.write(self.plain({n: w[n] for n in part}), config(), file)
        index = {"weight_map": {n: f for f, part in parts.items() for n in part}}
        (self.path / "model.safetensors.index.json").write_text(json.dumps(index))
        self.expect(w)
        index["weight_map"][names[0]] = "../model-1.safetensors"
        (self.path / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refused("model.safetensors.index.json", names[0], "expected the name of a file in this directory")

    def test_quantised_at_load(self):
        w = tiny(self.rng)
        self.write(self.plain(w, "BF16"), config())
        want = reference(w)
        for name, tolerance in [("q8_0", 0.15), ("q4_0", 1.5), ("mlx_affine<8, 64, f16>", 0.15)]:
            for target in ("native", "interp"):
                with self.subTest((name, target)):
                    error = np.abs(self.logits("--quantize", name, "--exact", "--target", target) - want).max()
                    self.assertGreater(error, 1e-4)  # it did quantise
                    self.assertLess(error, tolerance)
        self.refused("--quantize", "unknown format", args=("--quantize", "q9_z"))

    def test_other_commands(self):
        w = tiny(self.rng)
        self.write(self.plain(w, "BF16"), config())
        hidden = lumen("hidden", self.path, "--layer", 0, "--tokens", "3,4", "--json")
        self.assertEqual(hidden.returncode, 0, hidden.stderr.decode())
        inspect = json.loads(lumen("inspect", self.path, "--json").stdout)
        self.assertEqual(inspect["container"], "hf")
        self.assertIsNone(inspect["model_problem"])
        self.assertEqual(next(t for t in inspect["tensors"] if t["name"] == "lm_head.weight")["used_as"], "output")
        bench = lumen("bench", self.path, "-p", 8, "-n", 4, "-r", 1)
        self.assertEqual(bench.returncode, 0, bench.stderr.decode())
        self.assertIn("tokenizer.json", lumen("run", self.path, "x").stderr.decode())

    def test_what_is_missing_or_wrong(self):
        w = self.plain(tiny(self.rng))
        self.write(w, config(architectures=["OddForCausalLM"]))
        self.refused("architectures is 'OddForCausalLM'", "hf \"OddForCausalLM\"")
        self.write(w, {k: v for k, v in config().items() if k != "hidden_size"})
        self.refused("'hidden_size'")
        self.write(w, config(hidden_size="x"))
        self.refused("expected int")
        self.write({n: t for n, t in w.items() if n != "model.layers.1.mlp.up_proj.weight"}, config())
        self.refused("'model.layers.1.mlp.up_proj.weight'")
        self.write({**w, "model.norm.weight": ("F32", np.ones(D + 1, np.float32))}, config())
        self.refused("out_norm", "128", "129")
        self.write({**w, "model.layers.0.mlp.up_proj.weight": ("F6_E2M3", np.zeros(M * D * 6 // 8, np.uint8).reshape(M, -1))}, config())
        self.refused("model.layers.0.mlp.up_proj.weight")
        self.write(w, config(hidden_act="relu"))
        self.assertIn("another activation", lumen("logits", self.path, "--tokens", "1").stderr.decode())
        (self.path / "config.json").write_text("{")
        self.refused("config.json", "JSON line 1")
        (self.path / "config.json").unlink()
        self.refused("config.json")


class Quantised(Directory):
    def quantised(self, recipe, dtype="F16", keep=()):
        """Writes every matrix in the MLX layout recipe(name) gives: (mode, bits, group), or None: plain. Returns the values."""
        tensors, values = {}, {}
        for n, v in tiny(self.rng).items():
            how = recipe(n) if v.ndim == 2 else None
            if not how:
                tensors[n], values[n] = ("BF16", bf16(v)[0]), bf16(v)[1]
                continue
            parts, values[n] = mlx(self.rng, v.shape, *how, dtype)
            tensors.update({n.removesuffix("weight") + suffix: t for suffix, t in parts.items()})
        return tensors, values

    def test_affine(self):
        for bits in (2, 3, 4, 5, 6, 8):
            for group, dtype in [(32, "F32"), (64, "F16"), (128, "BF16")]:
                with self.subTest((bits, group, dtype)):
                    tensors, values = self.quantised(lambda n: ("affine", bits, group), dtype)
                    self.write(tensors, config(quantization={"bits": bits, "group_size": group}))
                    self.expect(values)

    def test_without_exact(self):
        for bits in (8, 6, 4, 3):
            tensors, values = self.quantised(lambda n: ("affine", bits, 64))
            self.write(tensors, config(quantization={"bits": bits, "group_size": 64}))
            self.expect(values, 1e-3, options=("--exact", "--target", "interp"))
            for target in ("native", "avx2"):
                with self.subTest((bits, target)):
                    self.expect(values, 0.15, options=("--target", target))  # 8-bit activations

    def test_microscaled(self):
        for mode, bits, group in [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]:
            with self.subTest(mode):
                tensors, values = self.quantised(lambda n: (mode, bits, group))
                self.write(tensors, config(quantization={"bits": bits, "group_size": group, "mode": mode}))
                self.expect(values)

    def test_to_gguf(self):
        """Of every layout: the values in a GGUF file are those of the directory."""
        out = self.path / "out.gguf"
        for mode, bits, group in [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16), ("affine", 4, 64), ("affine", 3, 32)]:
            with self.subTest((mode, bits)):
                tensors, values = self.quantised(lambda n: (mode, bits, group))
                self.write(tensors, config(quantization={"bits": bits, "group_size": group, "mode": mode}))
                self.converted(out, values, "--format", "f32")
                if (mode, bits) != ("mxfp4", 4):
                    continue
                self.converted(out, values, "--format", "mxfp4")  # the same codes and scales in another order
                self.assertNotIn(b"lumen.format.", out.read_bytes())
                r = lumen("quantize", self.path, out, "--format", "f32", "--keep-embeddings")
                self.assertIn("token_embd.weight", r.stderr.decode())
                self.assertIn("mlx_mxfp4, which is not written as GGUF", r.stderr.decode())

    def converted(self, out, values, *options):
        r = lumen("quantize", self.path, out, *options)
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        r = lumen("logits", out, "--tokens", ",".join(map(str, TOKENS)), "--json", "--exact")
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertLess(np.abs(np.array(json.loads(r.stdout)["logits"][0]) - reference(values)).max(), 1e-3)

    def test_mixed_recipe(self):
        def recipe(n):
            return None if "lm_head" in n else ("affine", 8, 32) if "embed" in n or "layers.0.mlp.down" in n else ("mxfp4", 4, 32) if "v_proj" in n else ("affine", 3, 64)

        tensors, values = self.quantised(recipe)
        over = {n.removesuffix(".weight"): {"mode": h[0], "bits": h[1], "group_size": h[2]} for n in values if values[n].ndim == 2 and (h := recipe(n))}
        over = {n: o for n, o in over.items() if (o["mode"], o["bits"]) != ("affine", 3)}
        self.write(tensors, config(quantization={"bits": 3, "group_size": 64, **over, "lm_head": False}))
        self.expect(values)

    def test_float8(self):
        for kind in ("tensor", "channel", "block", "bare"):
            with self.subTest(kind):
                tensors, values = {}, {}
                for n, v in tiny(self.rng).items():
                    if v.ndim != 2 or "layers" not in n:
                        tensors[n], values[n] = ("F32", v), v
                        continue
                    codes = self.rng.integers(0, 256, v.shape).astype(np.uint8)
                    codes[codes & 127 == 127] = 0
                    shape = {"tensor": (), "channel": (v.shape[0], 1), "block": (-(-v.shape[0] // 128), -(-v.shape[1] // 128))}.get(kind)
                    tensors[n] = ("F8_E4M3", codes)
                    values[n] = e4m3(codes)
                    if kind == "bare":
                        codes[:] = np.where(codes & 127 > 30, codes & 128, codes)  # small numbers only
                        values[n] = e4m3(codes)
                        continue
                    scale = (self.rng.uniform(0.5, 1.5, shape) / 100 / np.sqrt(v.shape[1])).astype(np.float32)
                    tensors[n + ("_scale_inv" if kind == "block" else "_scale")] = ("F32", np.asarray(scale))
                    spread = scale if kind != "block" else np.repeat(np.repeat(scale, 128, 0), 128, 1)[: v.shape[0], : v.shape[1]]
                    values[n] = values[n] * spread
                self.write(tensors, config(quantization_config={"quant_method": "fp8"}))
                self.expect(values)
                self.converted(self.path / "out.gguf", values, "--format", "f32")

    def test_what_is_wrong(self):
        tensors, _ = self.quantised(lambda n: ("affine", 4, 64))
        good = {"bits": 4, "group_size": 64}
        q = "model.layers.0.self_attn.q_proj."
        self.write({n: t for n, t in tensors.items() if n != q + "scales"}, config(quantization=good))
        self.refused(q + "weight", "mlx \"affine\"")
        self.write({**tensors, q + "scales": ("F16", np.zeros((H * C, 3), np.float16))}, config(quantization=good))
        self.refused(q + "scales", "[128, 2]", "[128, 3]")
        self.write(tensors, config(quantization={"bits": 4, "group_size": 0}))
        self.refused("group_size")
        self.write(tensors, config(quantization={"bits": 4, "group_size": 64, "mode": "odd"}))
        self.refused("mlx \"odd\"")
        self.write(tensors, config(quantization={"bits": 7, "group_size": 64}))
        self.refused("lm_head.weight", "mlx_affine<7, 64, f16>")


class SmolLM2(Directory):
    """The real model, rebuilt in bf16, against transformers' logits (tests/golden/make_hf_logits.py)."""

    def test_logits(self):
        try:
            import gguf  # noqa: F401
        except ImportError:
            self.skipTest("the package gguf is not here")
        if not (MODELS / "smollm2.gguf").exists():
            self.skipTest("smollm2.gguf is not here")
        subprocess.run([sys.executable, ROOT / "tests/golden/make_hf_directory.py", MODELS / "smollm2.gguf", self.path, "--shards", "3"], check=True)
        for case in json.loads((ROOT / "tests/golden/hf_logits.json").read_text())["smollm2"]:
            r = lumen("logits", self.path, "--exact", "--json", "--last", 3, "--tokens", ",".join(map(str, case["tokens"])))
            self.assertEqual(r.returncode, 0, r.stderr.decode())
            for row, want in zip(json.loads(r.stdout)["logits"], case["rows"]):
                self.assertLess(max(abs(row[int(i)] - v) for i, v in want.items()), 2e-3)
        r = lumen("run", self.path, "What is the capital of France?", "--temp", 0, "-n", 24)
        self.assertIn("Paris", r.stdout.decode(), r.stderr.decode())
        with_gguf = lumen("tokenize", MODELS / "smollm2.gguf", "Hello wörld 123\n").stdout
        self.assertEqual(lumen("tokenize", self.path, "Hello wörld 123\n").stdout, with_gguf)


if __name__ == "__main__":
    unittest.main()
