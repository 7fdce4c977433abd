#!/usr/bin/env python3
"""lumen quantize with recipes, importance matrices and MLX's formats; lumen imatrix; lumen check: on tiny models written here, and on
SmolLM2. [LUMEN_TEST_MODELS=DIR] tests/e2e/test_quantize.py

The binary is build/lumen, or $LUMEN_BINARY. Needs the packages numpy and gguf; skipped without. What a recipe does to each tensor is held
to llama.cpp's rules, written down here once more; values are decoded by the package gguf, or by numpy as MLX documents them.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import gguf
    import numpy as np
except ImportError as e:
    print(f"test_quantize.py: skipped: no Python package '{e.name}' (tests/requirements.txt)")
    sys.exit(0)

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODEL = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent")) / "smollm2.gguf"
D, LAYERS, H, G, M, V = 256, 8, 4, 2, 512, 320
TEXT = "The river ran past the mill, and the miller counted his sacks: one, two, three. 서울은 한국의 수도이다. def add(a, b): return a + b\n" * 12


def lumen(*args):
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=600)


def weights(rng, width=D):
    """GGUF name -> f32 of a small Llama whose feed-forward layers are `M` wide."""
    w = {"token_embd.weight": rng.standard_normal((V, width)), "output_norm.weight": 1 + 0.1 * rng.standard_normal(width)}
    for l in range(LAYERS):
        for name, n, k in [("attn_q", width, width), ("attn_k", width // 2, width), ("attn_v", width // 2, width), ("attn_output", width, width),
                           ("ffn_gate", M, width), ("ffn_up", M, width), ("ffn_down", width, M)]:
            w[f"blk.{l}.{name}.weight"] = rng.standard_t(5, (n, k)) / np.sqrt(k)
        for name in ("attn_norm", "ffn_norm"):
            w[f"blk.{l}.{name}.weight"] = 1 + 0.1 * rng.standard_normal(width)
    return {k: v.astype(np.float32) for k, v in w.items()}


def write_model(path, w, width=D, raw={}, more=lambda out: None, **settings):
    """raw: name -> rows of blocks of bytes, and their type, in place of the weights of those names. more: adds other keys."""
    out = gguf.GGUFWriter(path, "llama")
    said = {"block_count": LAYERS, "embedding_length": width, "feed_forward_length": M, "attention.head_count": H, "attention.head_count_kv": G,
            "context_length": 256, "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0, **settings}
    for key, v in said.items():
        if v is not None:
            (out.add_uint32 if isinstance(v, int) else out.add_float32)("llama." + key, v)
    more(out)
    for name, x in w.items():
        blocks, kind = raw.get(name, (x, None))
        out.add_tensor(name, blocks, raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def decoded(t):
    return gguf.quants.dequantize(t.data, t.tensor_type).reshape(-1)


def more_bits(i, n):
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def llama_cpp_type(recipe, name, l):
    """llama_tensor_get_type of llama.cpp's quantizer, for a dense Llama with tied embeddings."""
    base, part = recipe.upper()[:4], name.split(".")[-2]
    if part == "token_embd":
        return "Q8_0" if recipe == "q8_0" else "Q6_K"
    if part == "attn_v":
        if recipe in ("q4_k_m", "q5_k_m"):
            return "Q6_K" if more_bits(l, LAYERS) else base
        return {"q3_k_m": "Q5_K" if l < 2 else "Q4_K", "q3_k_l": "Q5_K", "q4_k_s": "Q5_K" if l < 4 else base}.get(recipe, base)
    if part == "ffn_down":
        if recipe in ("q4_k_m", "q5_k_m"):
            return "Q6_K" if more_bits(l, LAYERS) else base
        return {"q3_k_m": "Q5_K" if l < LAYERS // 16 else "Q4_K", "q3_k_l": "Q5_K", "q4_k_s": "Q5_K" if l < LAYERS // 8 else base}.get(recipe, base)
    if part == "attn_output":
        return {"q3_k_m": "Q4_K", "q3_k_l": "Q5_K"}.get(recipe, base)
    return base


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.dir = Path(cls.temporary.name)
        cls.w = weights(np.random.default_rng(7))
        cls.model = write_model(cls.dir / "tiny.gguf", cls.w)
        cls.out = cls.dir / "out.gguf"

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def ok(self, *args):
        r = lumen(*args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def refused(self, status, *args, says):
        r = lumen(*args)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1, r.stderr)

    def error(self, path, names, weight=None):
        """Root mean square of what moved, over the weights'."""
        e = s = 0.0
        there = tensors(path)
        for n in names:
            x = self.w[n].reshape(-1)
            g = np.ones_like(x) if weight is None else np.tile(weight[n], len(x) // len(weight[n]))
            e += float((g * (decoded(there[n]) - x) ** 2).sum())
            s += float((g * x**2).sum())
        return (e / s) ** 0.5


class Recipes(Base):
    def test_as_llama_cpp_mixes(self):
        for recipe in ("q4_k_m", "Q4_K_S", "q5_k_m", "q5_k_s", "q6_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_0", "q8_0"):
            never = self.dir / "never.gguf"
            said = self.ok("quantize", self.model, never, "--recipe", recipe, "--dry-run")
            self.assertFalse(never.exists())
            took = dict(re.findall(r"^(\S+) +f32 -> (\S+), ", said, re.M))
            want = {n: llama_cpp_type(recipe.lower(), n, int(n.split(".")[1]) if n[:4] == "blk." else 0) for n in self.w if "norm" not in n}
            self.assertEqual({n: t.upper() for n, t in took.items()}, want, recipe)
        self.ok("quantize", self.model, self.out, "--recipe", "q4_k_m")
        for name, t in tensors(self.out).items():
            want = "F32" if "norm" in name else llama_cpp_type("q4_k_m", name, int(name.split(".")[1]) if name[:4] == "blk." else 0)
            self.assertEqual((name, t.tensor_type.name), (name, want))

    def test_rows_that_do_not_fit(self):
        odd = write_model(self.dir / "odd.gguf", weights(np.random.default_rng(8), 96), 96)
        said = self.ok("quantize", odd, self.out, "--recipe", "q4_k_m")
        there = {n: t.tensor_type.name for n, t in tensors(self.out).items()}
        self.assertEqual({there[f"blk.3.{n}.weight"] for n in ("attn_q", "ffn_up", "attn_output")}, {"Q5_0"})  # 96 = 3 * 32
        self.assertEqual((there["token_embd.weight"], there["blk.2.ffn_down.weight"]), ("Q8_0", "Q4_K"))
        self.assertRegex(said, r"blk.3.attn_q.weight +takes q5_0: its rows of 96 are no multiple of the block of 256 of q4_k")

    def test_overrides(self):
        self.ok("quantize", self.model, self.out, "--recipe", "q4_k_m", "--tensor", "blk.1.ffn_*=q8_0", "--tensor", "*ffn_up*=q5_0", "--tensor", "token_embd.weight=f16")
        there = {n: t.tensor_type.name for n, t in tensors(self.out).items()}
        self.assertEqual([there[f"blk.{l}.ffn_up.weight"] for l in (1, 2)], ["Q8_0", "Q5_0"])
        self.assertEqual(there["token_embd.weight"], "F16")
        self.assertEqual(gguf.GGUFReader(self.out).fields["general.file_type"].contents(), 15)

    def test_recipe_of_ones_own(self):
        mine = self.dir / "mine.json"
        mine.write_text(json.dumps({"format": "q8_0", "keep": ["token_embd.weight"], "rules": [
            {"tensors": ["*ffn_*"], "where": "not (layer < 2 or layer == layers - 1) and gqa == 2 and tied", "format": "q4_0"},
            {"tensors": ["*attn_?.weight"], "where": "i == n - 1", "format": "f16"}]}))
        self.ok("quantize", self.model, self.out, "--recipe", mine)
        there = {n: t.tensor_type.name for n, t in tensors(self.out).items()}
        self.assertEqual([there[f"blk.{l}.ffn_down.weight"] for l in (0, 1, 2, LAYERS - 2, LAYERS - 1)], ["Q8_0", "Q8_0", "Q4_0", "Q4_0", "Q8_0"])
        self.assertEqual(there["token_embd.weight"], "F32")
        self.assertEqual([there[f"blk.{LAYERS - 1}.attn_{n}.weight"] for n in "qkv"].count("F16"), 1)

    def test_refused(self):
        bad = self.dir / "bad.json"
        for text, says in [("{", "bad.json"), ('{"formt": "q8_0"}', "formt"), ('{"format": "q8_0", "rules": [{"format": "q4_0"}]}', "tensors"),
                           ('{"format": "q9_9"}', "q9_9"), ('{"format": "q8_0", "rules": [{"tensors": ["*"], "where": "i <", "format": "q4_0"}]}', "where"),
                           ('{"format": "q8_0", "rules": [{"tensors": ["*"], "where": "depth < 2", "format": "q4_0"}]}', "depth"),
                           ('{"format": "q8_0", "rules": [{"tensors": ["*"], "where": "1 / tied == n / (i - i)", "format": "q4_0"}]}', "division by zero")]:
            bad.write_text(text)
            self.refused(2, "quantize", self.model, self.dir / "never.gguf", "--recipe", bad, says=says)
        self.refused(2, "quantize", self.model, self.dir / "never.gguf", "--recipe", "nosuch", says=["q4_k_m", "nosuch"])
        self.refused(2, "quantize", self.model, self.dir / "never.gguf", "--recipe", "q4_0", "--format", "q4_0", says="one of")
        self.refused(2, "quantize", self.model, self.dir / "never.gguf", "--format", "q4_0", "--tensor", "x", says="PATTERN=FORMAT")
        self.assertFalse((self.dir / "never.gguf").exists())


class Importance(Base):
    def make(self):
        rng = np.random.default_rng(3)
        names = [n for n in self.w if ".ffn_up" in n or ".attn_q" in n]
        return {n: (np.exp(3 * rng.standard_normal(self.w[n].shape[1]))).astype(np.float32) for n in names}

    def write_gguf(self, path, imatrix, count=512):
        out = gguf.GGUFWriter(path, "none")
        out.add_type("imatrix")
        out.add_array("imatrix.datasets", ["a text"])
        out.add_uint32("imatrix.chunk_count", 1)
        out.add_uint32("imatrix.chunk_size", count)
        for n, v in imatrix.items():
            out.add_tensor(n + ".in_sum2", (v * count).reshape(1, -1))
            out.add_tensor(n + ".counts", np.array([[count]], np.float32))
        out.write_header_to_file()
        out.write_kv_data_to_file()
        out.write_tensors_to_file()
        out.close()
        return path

    def write_dat(self, path, imatrix):
        data = struct.pack("<i", len(imatrix))
        for n, v in imatrix.items():
            data += struct.pack("<i", len(n)) + n.encode() + struct.pack("<ii", 5, len(v)) + (v * 5).astype("<f4").tobytes()
        path.write_bytes(data + struct.pack("<ii", 5, 6) + b"a text")
        return path

    def test_both_forms_and_what_they_do(self):
        imatrix = self.make()
        for fmt in ("q4_0", "q4_k"):
            plain, new, old = (self.dir / f"{n}.gguf" for n in ("plain", "new", "old"))
            self.ok("quantize", self.model, plain, "--format", fmt)
            said = self.ok("quantize", self.model, new, "--format", fmt, "--imatrix", self.write_gguf(self.dir / "m.gguf", imatrix))
            self.ok("quantize", self.model, old, "--format", fmt, "--imatrix", self.write_dat(self.dir / "m.dat", imatrix))
            self.assertEqual(said.count("by importance"), len(imatrix))
            self.assertLess(self.error(new, imatrix, imatrix), 0.85 * self.error(plain, imatrix, imatrix), fmt)
            a, b, c = tensors(plain), tensors(new), tensors(old)
            same = lambda x, y: [n for n in x if np.array_equal(x[n].data, y[n].data)]
            self.assertEqual(set(a) - set(same(a, b)), set(imatrix))  # nothing else moved
            for n in imatrix:  # the .dat form's division rounds once more
                self.assertLess(np.abs(decoded(b[n]) - decoded(c[n])).mean(), 0.01 * np.abs(decoded(b[n])).mean())

    def test_refused(self):
        imatrix = self.make()
        name = next(iter(imatrix))
        good = self.write_gguf(self.dir / "good.gguf", imatrix).read_bytes()
        for what, data, says in [
            ("width", self.write_gguf(self.dir / "w.gguf", {name: np.ones(255, np.float32)}).read_bytes(), [name, "255", "256"]),
            ("model", self.model.read_bytes(), ["general.type", "imatrix"]),
            ("short", good[:-2000], ["bad.imatrix"]),
            ("dat", self.write_dat(self.dir / "g.dat", imatrix).read_bytes()[:500], ["past the end"]),
            ("nan", self.write_gguf(self.dir / "n.gguf", {name: np.full(256, np.nan, np.float32)}).read_bytes(), [name]),
            ("empty", b"\0\0\0\0", ["number of entries"]),
        ]:
            bad = self.dir / "bad.imatrix"
            bad.write_bytes(data)
            r = lumen("quantize", self.model, self.dir / "never.gguf", "--format", "q4_0", "--imatrix", bad)
            self.assertIn(r.returncode, (1, 2), what + r.stdout)
            for part in says:
                self.assertIn(part, r.stderr)
        self.assertFalse((self.dir / "never.gguf").exists())


class Check(Base):
    def findings(self, status, *args):
        r = lumen("check", *args, "--json")
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        said = json.loads(r.stdout)
        self.assertEqual(said["ok"], status == 0)
        return [(f["level"], f["what"], f["says"]) for f in said["findings"]]

    def has(self, found, level, what, says):
        self.assertTrue(any(l == level and w == what and says in s for l, w, s in found), found)

    def test_fine(self):
        found = self.findings(0, self.model)
        self.has(found, "ok", "tensors", "all 74 are there")
        self.has(found, "ok", "settings", "")
        self.has(found, "warning", "tokenizer", "brings no tokenizer")
        self.has(found, "ok", "logits", "--record makes one")

    def test_tensors(self):
        w = dict(self.w)
        del w["blk.3.ffn_up.weight"], w["blk.5.attn_q.weight"]
        w["blk.6.ffn_down.weight"] = w["blk.6.ffn_down.weight"][:, :256].copy()
        w["blk.0.extra.weight"] = np.ones((4, 4), np.float32)
        found = self.findings(1, write_model(self.dir / "holes.gguf", w))
        for name in ("blk.3.ffn_up.weight", "blk.5.attn_q.weight", "blk.6.ffn_down.weight"):
            self.has(found, "wrong", "tensors", name)
        self.has(found, "warning", "tensors", "blk.0.extra.weight")

    def test_settings(self):
        found = self.findings(0, write_model(self.dir / "base.gguf", self.w, **{"rope.freq_base": None, "context_length": 131072}))
        self.has(found, "warning", "settings", "'theta'")
        self.has(found, "warning", "rope", "longest period")
        found = self.findings(1, write_model(self.dir / "base.gguf", self.w, **{"rope.freq_base": 0.5}))
        self.has(found, "wrong", "rope", "0.5")

    def test_architecture(self):
        path = self.dir / "other.gguf"
        path.write_bytes(self.model.read_bytes().replace(b"llama", b"lxama"))
        self.has(self.findings(1, path), "wrong", "architecture", "lxama")

    def test_card(self):
        model = write_model(self.dir / "carded.gguf", self.w)
        self.findings(0, model, "--record")
        card = json.loads((self.dir / "carded.card.json").read_text())
        self.assertEqual((card["lumen_card"], len(card["prompts"])), (1, 4))
        self.has(self.findings(0, model), "ok", "logits", "as on the card")
        w = dict(self.w)
        w["blk.7.ffn_down.weight"] = -w["blk.7.ffn_down.weight"]
        w["output_norm.weight"] = 2 * w["output_norm.weight"]
        write_model(model, w)
        self.has(self.findings(1, model), "wrong", "logits", "not those of the card")
        (self.dir / "carded.card.json").write_text('{"lumen_card": 1, "prompts": [{"tokens": [-1], "best": [[1, -1.0]]}]}')
        self.refused(1, "check", model, says=["carded.card.json", "expected prompts"])


def hf_directory(path, w, dtype=np.float16):
    """The weights as a Hugging Face directory. (Q and K are random: which way their rows are permuted does not matter here.)"""
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    out = {}
    for name, x in w.items():
        p = name.split(".")
        out["model.embed_tokens.weight" if p[0] == "token_embd" else "model.norm.weight" if p[0] == "output_norm"
            else f"model.layers.{p[1]}.{names[p[2]]}.weight"] = x.astype(dtype)
    path.mkdir()
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, x in out.items():
        header[name] = {"dtype": {np.float16: "F16", np.float32: "F32"}[dtype], "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(x.tobytes() for x in out.values()))
    (path / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D, "intermediate_size": M, "num_hidden_layers": LAYERS,
        "num_attention_heads": H, "num_key_value_heads": G, "vocab_size": V, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 128,
        "hidden_act": "silu", "tie_word_embeddings": True}))
    (path / "special_tokens_map.json").write_text("{}")
    return out


def read_safetensors(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    kinds = {"F16": np.float16, "F32": np.float32, "U32": np.uint32, "U8": np.uint8}
    return {k: np.frombuffer(data[8 + n :], kinds[v["dtype"]], count=int(np.prod(v["shape"])), offset=v["data_offsets"][0]).reshape(v["shape"])
            for k, v in json.loads(data[8 : 8 + n]).items() if k != "__metadata__"}


def mlx_affine(t, name, bits, group):
    """w = scale * code + bias, codes one little-endian stream of bits a row."""
    words = t[name + ".weight"]
    stream = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").reshape(len(words), -1, bits)
    code = (stream << np.arange(bits, dtype=np.uint16)).sum(-1).reshape(len(words), -1, group)
    return (t[name + ".scales"].astype(np.float32)[..., None] * code + t[name + ".biases"].astype(np.float32)[..., None]).reshape(len(words), -1)


class ScaledNvfp4(Base):
    """Weights in GGUF's NVFP4, and the factor of a whole tensor beside each, as llama.cpp's converter writes it: x.weight, x.scale."""

    def written(self, name, scales, kind=gguf.GGMLQuantizationType.NVFP4):
        """The file with its down projections in the type. scales: what stands beside each, or nothing. Returns it and their values."""
        rng = np.random.default_rng(3)
        w = dict(self.w)
        blocks, values = {}, {}
        for l in range(LAYERS):
            d = rng.integers(36, 52, (D, M // 64, 4), np.uint8)  # about 0.1 to 0.4
            q = rng.integers(0, 256, (D, M // 64, 32), np.uint8)
            stem = f"blk.{l}.ffn_down"
            blocks[stem + ".weight"] = np.concatenate([d, q], axis=2).reshape(D, M // 64 * 36)
            values[stem + ".weight"] = gguf.quants.dequantize(blocks[stem + ".weight"], kind)
            if scales is not None:
                w[stem + ".scale"] = np.array(scales(l), np.float32)
        path = self.dir / name
        return write_model(path, w, raw={n: (b, kind) for n, b in blocks.items()}), values

    def logits(self, path, *more):
        return np.array(json.loads(self.ok("logits", path, "--tokens", "1,5,9,200", "--last", 4, "--json", *more))["logits"])

    def test_read(self):
        scale = lambda l: [0.05 * (l + 1)]
        path, values = self.written("scaled.gguf", scale)
        plain = write_model(self.dir / "plain.gguf", {**self.w, **{n: v * np.float32(scale(int(n.split(".")[1]))) for n, v in values.items()}})
        want = self.logits(plain, "--exact")
        self.assertLess(np.abs(self.logits(path, "--exact") - want).max(), 1e-4 * np.abs(want).max())
        self.assertLess(np.abs(self.logits(path) - want).max(), 0.05 * np.abs(want).max())
        out = self.dir / "scaled_mlx"  # the factor beside the weight is a part of its values, in another kind of file as well
        self.ok("quantize", path, out, "--format", "mlx_affine<8, 64>", "--keep-embeddings")
        t = read_safetensors(out / "model.safetensors")
        for n, v in values.items():
            l = int(n.split(".")[1])
            got = mlx_affine(t, f"model.layers.{l}.mlp.down_proj", 8, 64) / np.float32(scale(l))
            self.assertLess(np.abs(got - v).max(), 0.01 * np.abs(v).max())
        unscaled = self.logits(self.written("unscaled.gguf", None)[0], "--exact")
        self.assertGreater(np.abs(unscaled - want).max(), 0.1 * np.abs(want).max())
        # Quantised again, the factor is in the weights, and its tensor is gone; what stays keeps it.
        recipe = self.dir / "all_but_one.json"
        recipe.write_text('{"format": "q8_0", "keep": ["blk.1.*"]}')
        said = self.ok("quantize", path, self.out, "--recipe", recipe)
        there = tensors(self.out)
        self.assertEqual([n for n in there if n.endswith(".scale")], ["blk.1.ffn_down.scale"], said)
        for l in (0, LAYERS - 1):
            n = f"blk.{l}.ffn_down.weight"
            x = values[n].reshape(-1) * np.float32(scale(l)[0])
            self.assertLess(np.abs(decoded(there[n]) - x).max(), 0.005 * np.abs(x).max())

    def test_experts(self):
        kind, name = gguf.GGMLQuantizationType.NVFP4, "blk.0.ffn_down_exps.weight"
        rng = np.random.default_rng(5)
        # As many experts as blocks in a row, so that a list of one could be taken for one of the other.
        blocks = np.concatenate([rng.integers(36, 52, (4, 32, 4, 4), np.uint8), rng.integers(0, 256, (4, 32, 4, 32), np.uint8)], axis=3).reshape(4, 32, 144)
        scales = np.array([0.5, 3.0, 0.02, 1.0], np.float32)
        path = write_model(self.dir / "experts.gguf", {**self.w, name: blocks, "blk.0.ffn_down_exps.scale": scales}, raw={name: (blocks, kind)})
        self.ok("quantize", path, self.out, "--format", "q8_0")
        there = tensors(self.out)
        want = gguf.quants.dequantize(blocks.reshape(128, 144), kind).reshape(4, -1) * scales[:, None]
        error = np.abs(decoded(there[name]).reshape(4, -1) - want).max(1)
        self.assertTrue((error < 0.005 * np.abs(want).max(1)).all(), error)
        self.assertNotIn("blk.0.ffn_down_exps.scale", there)

    def test_refused(self):
        self.refused(1, "logits", self.written("two.gguf", lambda l: [1.0, 2.0])[0], "--tokens", "1",
                     says=["blk.0.ffn_down.scale", "nvfp4_scaled", "expected the shape"])
        w = {**self.w, "blk.2.attn_q.scale": np.array([0.5], np.float32)}
        self.refused(1, "logits", write_model(self.dir / "f32.gguf", w), "--tokens", "1",
                     says=["blk.2.attn_q.weight", "blk.2.attn_q.scale scales it", "gguf 0"])
        never = self.dir / "never.gguf"
        self.refused(2, "quantize", self.model, never, "--format", "nvfp4_scaled", says="nvfp4_scaled cannot be written")
        (self.dir / "own.lum").write_text('format beside { block [32] { q: u8[32]  s: f16 in "s" }  value(k) = s * (q[k] - 128) }')
        self.refused(2, "quantize", self.model, never, "--format", "beside", "--lum", self.dir, says="beside keeps fields in tensors of their own")
        self.assertFalse(never.exists())


class Mlx(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.dir / "hf"
        cls.hf = hf_directory(cls.source, cls.w)

    def test_affine(self):
        for bits, group, most in [(4, 64, 0.1), (8, 64, 0.0062), (3, 32, 0.19)]:
            out = self.dir / f"mlx{bits}"
            self.ok("quantize", self.source, out, "--format", f"mlx_affine<{bits}, {group}>")
            t = read_safetensors(out / "model.safetensors")
            e = s = 0.0
            for name, x in self.hf.items():
                if x.ndim < 2:
                    self.assertTrue(np.array_equal(t[name], x))
                    continue
                stem = name[: -len(".weight")]
                self.assertEqual((t[name].dtype, t[name].shape, t[stem + ".scales"].dtype), (np.uint32, (x.shape[0], x.shape[1] * bits // 32), np.float16))
                got, want = mlx_affine(t, stem, bits, group), x.astype(np.float32)
                e, s = e + ((got - want) ** 2).sum(), s + (want**2).sum()
            self.assertLess((e / s) ** 0.5, most)
            config = json.loads((out / "config.json").read_text())
            self.assertEqual(config["quantization"], {"group_size": group, "bits": bits, "mode": "affine"})
            self.assertEqual((config["model_type"], config["rms_norm_eps"]), ("llama", 1e-5))
            index = json.loads((out / "model.safetensors.index.json").read_text())
            self.assertEqual(set(index["weight_map"]), set(t))
            self.assertTrue((out / "special_tokens_map.json").exists())
            # Lumen reads it as the same weights.
            logits = lambda path: np.array(json.loads(self.ok("logits", path, "--tokens", "1,5,9,200", "--exact", "--json"))["logits"][0])
            if bits == 8:
                a, b = logits(self.source), logits(out)
                self.assertLess(np.abs(a - b).max(), 0.1 * np.abs(a).max())

    def test_out_of_gguf(self):
        out = self.dir / "out_of_gguf"
        self.ok("quantize", self.model, out, "--format", "mlx_affine<8, 64>", "--keep-embeddings")
        t = read_safetensors(out / "model.safetensors")
        for name, x in self.hf.items():  # names, shapes and the order of query and key rows are the directory's
            if x.ndim < 2 or "embed" in name:
                self.assertEqual(t[name].dtype, np.float32)
                self.assertTrue(np.array_equal(t[name].astype(x.dtype), x), name)
            else:
                got, want = mlx_affine(t, name[: -len(".weight")], 8, 64), x.astype(np.float32)
                if "q_proj" in name or "k_proj" in name:  # GGUF's neighbours are halves here
                    heads = H if "q_proj" in name else G
                    want = want.reshape(heads, -1, 2, want.shape[1]).swapaxes(1, 2).reshape(want.shape)
                self.assertLess(np.abs(got - want).max(), 0.01 * np.abs(want).max(), name)
        config, theirs = (json.loads((d / "config.json").read_text()) for d in (out, self.source))
        for key in ("architectures", "model_type", "hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads", "num_key_value_heads",
                    "vocab_size", "rope_theta", "tie_word_embeddings"):
            self.assertEqual(config[key], theirs[key], key)
        self.assertEqual((config["max_position_embeddings"], config["head_dim"]), (256, D // H))
        self.assertAlmostEqual(config["rms_norm_eps"], 1e-5, 9)
        self.assertNotIn("rope_scaling", config)
        logits = lambda path: np.array(json.loads(self.ok("logits", path, "--tokens", "1,5,9,200", "--exact", "--json"))["logits"][0])
        a, b = logits(self.model), logits(out)
        self.assertLess(np.abs(a - b).max(), 0.1 * np.abs(a).max())
        partial = write_model(self.dir / "partial.gguf", self.w, **{"attention.key_length": D // H, "rope.dimension_count": D // H // 2})
        self.refused(1, "quantize", partial, self.dir / "never", "--format", "mlx_affine<4, 64>", says=["no hf key to say this: F (16 here, 32 there)"])
        factors = self.dir / "factors.gguf"
        write_model(factors, {**self.w, "rope_freqs.weight": np.ones(D // H // 2, np.float32)})
        self.refused(1, "quantize", factors, self.dir / "never", "--format", "mlx_affine<4, 64>", says="no hf name for the weight rope_factors")

    def test_texts_out_of_gguf(self):
        """What stands in JSON is UTF-8, and a template that is no text is an error here as it is elsewhere."""
        letters = [c for c in range(256) if chr(c).isprintable() and c not in (32, 0xA0, 0xAD)]
        letters = [chr(c) if c in letters else chr(256 + i) for i, c in enumerate(sorted(range(256), key=lambda c: c in letters))]

        def model(name, chat_template, kind):
            def more(out):
                out.add_tokenizer_model("gpt2")
                out.add_tokenizer_pre("gpt-2")
                out.add_token_list(letters + [f"<{i}>" for i in range(V - 256)])
                out.add_token_types([1] * 256 + [3] * (V - 256))
                out.add_token_merges(["a b"])
                out.add_bos_token_id(256)
                out.add_eos_token_id(257)
                out.add_key_value("tokenizer.chat_template", chat_template, kind)
            return write_model(self.dir / name, self.w, more=more)

        out = self.dir / "texts"
        self.ok("quantize", model("odd.gguf", b"{{ 'a\xff\xe2\x82b' }}\n\x7f", gguf.GGUFValueType.STRING), out, "--format", "mlx_affine<4, 64>")
        for file in out.glob("*.json"):
            json.loads(file.read_bytes().decode())
        self.assertEqual(json.loads((out / "tokenizer_config.json").read_text())["chat_template"], "{{ 'a\ufffd\ufffdb' }}\n\x7f")
        self.refused(1, "quantize", model("number.gguf", 7, gguf.GGUFValueType.UINT32), self.dir / "never", "--format", "mlx_affine<4, 64>",
                     says=["number.gguf", "tokenizer.chat_template", "string"])

    def test_block_floats(self):
        out = self.dir / "mx"
        self.ok("quantize", self.source, out, "--format", "mlx_mxfp4", "--keep-embeddings")
        t = read_safetensors(out / "model.safetensors")
        self.assertEqual(t["model.embed_tokens.weight"].dtype, np.float16)
        self.assertEqual(t["model.layers.0.mlp.up_proj.scales"].shape, (M, D // 32))
        self.assertEqual(json.loads((out / "config.json").read_text())["quantization"], {"group_size": 32, "bits": 4, "mode": "mxfp4"})

    def test_refused(self):
        self.refused(2, "quantize", self.source, self.source, "--format", "mlx_affine<4, 64>", says="there already")
        self.refused(2, "quantize", self.source, self.dir / "never", "--format", "mlx_affine<4, 1024>", says="no tensor takes")
        self.refused(2, "quantize", self.source, self.dir / "never", "--format", "mlx_mxfp8", says="cannot be written")
        self.assertEqual([p for p in self.dir.iterdir() if p.name.startswith("never")], [])

    def test_mix(self):
        """Modules in another format than most are named in config.json, as mlx-lm reads it."""
        out = self.dir / "mix"
        mine = self.dir / "mine.json"
        mine.write_text(json.dumps({"format": "mlx_affine<4, 64>", "keep": ["model.embed_tokens.weight"], "misfit": {"mlx_affine<2, 512>": "mlx_affine<2, 64>"}, "rules": [
            {"tensors": ["*.v_proj.weight"], "where": "tied and gqa == 2 and layer == layers - 1", "format": "mlx_mxfp4"},
            {"tensors": ["*.k_proj.weight"], "where": "i == n - 1", "format": "mlx_affine<2, 512>"}]}))
        said = self.ok("quantize", self.source, out, "--recipe", mine, "--tensor", "model.layers.0.*down_proj*=mlx_affine<8, 32>")
        last = f"model.layers.{LAYERS - 1}.self_attn."
        want = {"group_size": 64, "bits": 4, "mode": "affine", "model.layers.0.mlp.down_proj": {"group_size": 32, "bits": 8, "mode": "affine"},
                last + "v_proj": {"group_size": 32, "bits": 4, "mode": "mxfp4"}, last + "k_proj": {"group_size": 64, "bits": 2, "mode": "affine"}}
        self.assertEqual(json.loads((out / "config.json").read_text())["quantization"], want)
        self.assertIn(last + "k_proj.weight takes mlx_affine<2, 64, f16>: its rows of 256 are no multiple of the block of 512", said)
        t = read_safetensors(out / "model.safetensors")
        self.assertEqual(t["model.embed_tokens.weight"].dtype, np.float16)
        self.assertEqual(t["model.layers.0.mlp.down_proj.scales"].shape, (D, M // 32))
        x = self.hf["model.layers.0.mlp.down_proj.weight"].astype(np.float32)
        self.assertLess(np.abs(mlx_affine(t, "model.layers.0.mlp.down_proj", 8, 32) - x).max(), 0.01 * np.abs(x).max())
        self.assertEqual(json.loads(self.ok("inspect", out, "--json"))["container"], "mlx")
        self.ok("logits", out, "--tokens", "1,5")
        self.refused(2, "quantize", self.source, self.dir / "never", "--format", "mlx_affine<4, 64>", "--tensor", "*v_proj*=q8_0", says=["q8_0", "what MLX calls it"])

    def test_tensors_that_only_pass(self):
        """Of types that no format can be made for, and of names that no layer has."""
        source, out = self.dir / "buffers", self.dir / "buffers_mlx"
        hf_directory(source, self.w)
        data = (source / "model.safetensors").read_bytes()
        n = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + n])
        at = len(data) - 8 - n
        extra = {"model.position_ids": np.arange(64, dtype=np.int64).reshape(1, 64), "model.inv_freq": np.ones(16), "model.table": np.ones((4, 64))}
        for name, x in extra.items():
            header[name] = {"dtype": "I64" if x.dtype == np.int64 else "F64", "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
            at += x.nbytes
        text = json.dumps(header).encode()
        (source / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :] + b"".join(x.tobytes() for x in extra.values()))
        self.ok("quantize", source, out, "--format", "mlx_affine<4, 64>")
        data = (out / "model.safetensors").read_bytes()
        n = struct.unpack("<Q", data[:8])[0]
        for name, x in extra.items():
            a, b = json.loads(data[8 : 8 + n])[name]["data_offsets"]
            self.assertEqual(data[8 + n + a : 8 + n + b], x.tobytes(), name)

    def test_directory_that_cannot_be_listed(self):
        """Its files open by name; but the tokenizer would be missing in the output."""
        with tempfile.TemporaryDirectory() as d:
            source = Path(d) / "hf"
            hf_directory(source, self.w)
            Path(d).chmod(0o777)
            source.chmod(0o311)
            other = {"user": 65534} if os.geteuid() == 0 else {}  # root may list anything
            try:
                r = subprocess.run([BINARY, "quantize", source, Path(d) / "out", "--format", "mlx_affine<4, 64>"], capture_output=True, text=True,
                                   env={**os.environ, "HOME": d}, **other)
            except PermissionError as e:
                self.skipTest(f"another user cannot start the binary: {e}")
            finally:
                source.chmod(0o755)
            self.assertEqual(r.returncode, 1, r.stdout + r.stderr)
            self.assertIn(f"{source}: its files cannot be listed", r.stderr)
            self.assertEqual([p.name for p in Path(d).iterdir() if p.name.startswith("out")], [])

    def test_name_of_the_output(self):
        self.ok("quantize", self.source, f"{self.dir}/deep/with_slash//", "--format", "mlx_affine<4, 64>")
        self.assertEqual([p.name for p in (self.dir / "deep").iterdir()], ["with_slash"])
        self.assertTrue((self.dir / "deep/with_slash/config.json").exists())
        mine = self.dir / "mine.part"
        mine.mkdir()
        (mine / "kept.txt").write_text("x")
        self.refused(2, "quantize", self.source, self.dir / "mine", "--format", "mlx_affine<4, 64>", says=["mine.part", "it is there already"])
        self.assertEqual([p.name for p in mine.iterdir()], ["kept.txt"])


@unittest.skipUnless(MODEL.exists(), f"{MODEL} is not there")
class Smollm2(Base):
    def test_mlx_out_of_gguf(self):
        out = self.dir / "mlx"
        self.ok("quantize", MODEL, out, "--format", "mlx_affine<8, 64>", "--quiet")
        texts = [TEXT[:300], "  two  spaces, 12345 numbers\n\n\ttabs", "<|im_start|>user\nHi<|im_end|>\n", "naïve café — 😀 ½"]
        ids = lambda path, text: json.loads(self.ok("tokenize", path, text, "--json"))["tokens"]
        try:
            from tokenizers import Tokenizer
            theirs = Tokenizer.from_file(str(out / "tokenizer.json"))
        except ImportError:
            theirs = None
        for text in texts:
            want = ids(MODEL, text)
            self.assertEqual(ids(out, text), want)
            if theirs:
                self.assertEqual(theirs.encode(text).ids, want)
                self.assertEqual(theirs.decode(want, skip_special_tokens=False), text)
        answer = lambda path: self.ok("run", path, "The capital city of France is", "--temp", "0", "-n", "8")  # by the chat template
        self.assertEqual(answer(out), answer(MODEL))

    def test_imatrix_report_check(self):
        text, imatrix = self.dir / "text.txt", self.dir / "m.gguf"
        text.write_text(TEXT)
        said = self.ok("imatrix", MODEL, text, "-o", imatrix, "--chunk", 128, "--chunks", 2)
        self.assertIn("210 weights, 2 chunks of 128 tokens", said)
        there = tensors(imatrix)
        self.assertEqual(len(there), 420)
        sums = there["blk.4.ffn_down.weight.in_sum2"]
        self.assertEqual((list(sums.shape), float(there["blk.4.ffn_down.weight.counts"].data[0][0])), ([1536, 1], 256.0))
        self.assertTrue(np.array_equal(there["blk.4.attn_q.weight.in_sum2"].data, there["blk.4.attn_v.weight.in_sum2"].data))
        said = self.ok("quantize", MODEL, self.out, "--recipe", "q4_0", "--imatrix", imatrix, "--report", text)
        kl = float(said.split("from the input: divergence ")[1].split()[0])
        self.assertTrue(0 < kl < 0.5, said)
        same = json.loads(self.ok("compare", MODEL, self.out, text, "--json"))
        self.assertAlmostEqual(same["kl"], kl, 5)
        self.assertEqual(json.loads(self.ok("compare", MODEL, MODEL, text, "--json", "--chunks", 1, "--chunk", 64))["kl"], 0)
        self.refused(2, "imatrix", MODEL, text, "-o", imatrix, "--chunk", 100000, says="context")
        self.refused(1, "imatrix", MODEL, self.dir / "none.txt", "-o", imatrix, says="none.txt")
        found = json.loads(self.ok("check", MODEL, "--json"))["findings"]
        self.assertEqual([f for f in found if f["level"] != "ok"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
