#!/usr/bin/env python3
"""Formats and architectures that nobody prepared for, in a user's .lum files. [LUMEN_TEST_MODELS=DIR] tests/e2e/test_user_lum.py

tests/e2e/lum is the user's directory. Its formats are decoded here once more, by hand, and its forward passes are written once more
in numpy, on top of tests/oracle/reference.py: nothing of Lumen takes part in what Lumen's numbers are held to. The model of
docs/language.md is run the same way. Needs the packages numpy and gguf, DIR/smollm2.gguf and 1.5 GB in the temporary directory.
The binary is build/lumen, or $LUMEN_BINARY.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

try:
    import numpy as np

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oracle"))
    import reference
except ImportError as e:
    print(f"test_user_lum.py: skipped: no Python package '{e.name}' (tests/requirements.txt)")
    sys.exit(0)

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODEL = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent")) / "smollm2.gguf"
LUM = ROOT / "tests/e2e/lum"
BOUND = 2e-3  # logits, --exact against what is right
FIRST_PRIVATE = 1000  # the type number that quantize gives to a format without one


def half(b, *shape):
    return np.ascontiguousarray(b).view("<f2").astype(np.float32).reshape(len(b), *shape)


def u3(b):
    code = np.unpackbits(b[:, 10:], axis=1, bitorder="little").reshape(-1, 64, 3) @ np.array([1, 2, 4], np.uint8)
    return np.repeat(half(b[:, 2:10], 4), 16, axis=1) * code.astype(np.float32) + half(b[:, :2], 1)


def u4_levels(b):
    levels = np.array([-128, -101, -80, -62, -47, -34, -22, -11, 0, 9, 21, 33, 48, 66, 90, 125], np.float32)
    return half(b[:, 16:], 1) * levels[np.stack([b[:, :16] & 15, b[:, :16] >> 4], axis=2).reshape(-1, 32)]


def u6(b):
    code = np.packbits(np.pad(np.unpackbits(b[:, 4:], axis=1).reshape(-1, 64, 6), ((0, 0), (0, 0), (2, 0))), axis=2).reshape(-1, 64)
    return np.repeat(half(b[:, :4], 2), 32, axis=1) * (code.astype(np.float32) - 32)


# name: (elements of a block, its bytes, decode, elements under one scale, how far the weights move at most: root mean square, relative)
FORMATS = {"u3": (64, 34, u3, 16, 0.16), "u4_levels": (32, 18, u4_levels, 32, 0.09), "u6": (64, 52, u6, 32, 0.03)}


def silu(x):
    return x / (1 + np.exp(-x))


class Parallel(reference.Reference):
    """lum/models/parallel.lum: both halves of a layer read its input."""

    norms = ("attn_norm", "ffn_norm")

    def layer(self, x, l, spans):
        p = f"blk.{l}."
        a, f = (self.norm(x, f"{p}{n}.weight") for n in self.norms)
        q, k, v = (self.heads_of(a, f"{p}attn_{n}.weight") for n in "qkv")
        a = np.concatenate([self.attention(q[b:e], k[b:e], v[b:e], l) for b, e in spans]).reshape(len(x), -1)
        gate, up = f @ self.weight(p + "ffn_gate.weight").T, f @ self.weight(p + "ffn_up.weight").T
        return x + a @ self.weight(p + "attn_output.weight").T + (silu(gate) * up) @ self.weight(p + "ffn_down.weight").T

    def heads_of(self, a, name):
        return (a @ self.weight(name).T).reshape(len(a), -1, self.head_dim)


class GuidesModel(Parallel):
    """The model of docs/language.md: one norm for both."""

    norms = ("attn_norm", "attn_norm")


class Bent(Parallel):
    """lum/models/bent.lum."""

    def norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.eps) * self.weight(name)

    def layer(self, x, l, spans):
        p = f"blk.{l}."
        a = self.norm(x, p + "attn_norm.weight")
        q, k, v = (self.heads_of(a, f"{p}attn_{n}.weight") for n in "qkv")
        a = np.concatenate([self.bent(q[b:e], k[b:e], v[b:e]) for b, e in spans]).reshape(len(x), -1)
        x = x + a @ self.weight(p + "attn_output.weight").T
        f = self.norm(x, p + "ffn_norm.weight")
        gate, up = f @ self.weight(p + "ffn_gate.weight").T, f @ self.weight(p + "ffn_up.weight").T
        return x + (np.maximum(up, 0) ** 2 / (1 + np.exp(-gate))) @ self.weight(p + "ffn_down.weight").T

    def bent(self, q, k, v):
        i, j = np.arange(len(q))[:, None], np.arange(len(q))[None, :]
        out = np.empty_like(q)
        for h in range(self.heads):
            g = h // (self.heads // self.kv_heads)
            s = 20 * np.tanh(q[:, h] @ k[:, g].T / np.sqrt(self.head_dim) / 20) - 2.0 ** (-8 * (h + 1) / self.heads) * (i - j)
            s = np.where(j > i, 0, np.exp(s - np.where(j > i, -np.inf, s).max(axis=1, keepdims=True)))
            out[:, h] = s / s.sum(axis=1, keepdims=True) @ v[:, g]
        return out


def prompt():
    """One of the accuracy table's, of some length."""
    every = [p["tokens"]["smollm2"] for p in json.loads((ROOT / "tests/oracle/prompts.json").read_text()) if "smollm2" in p["tokens"]]
    return min(every, key=lambda t: abs(len(t) - 40))


def with_architecture(source, target, name):
    """A copy of a GGUF file that says another general.architecture. Tensors' places count from the end of the aligned header."""
    reader = reference.gguf.GGUFReader(source)
    field = reader.fields["general.architecture"]
    raw = memoryview(reader.data)
    value = field.offset + sum(p.nbytes for p in field.parts[:-2])  # its length and its bytes are the last two parts
    old = field.parts[-1].nbytes
    names_end = reader.tensors[-1].field.offset + sum(p.nbytes for p in reader.tensors[-1].field.parts)
    head = bytes(raw[:value]) + len(name).to_bytes(8, "little") + name.encode() + bytes(raw[value + 8 + old : names_end])
    with open(target, "wb") as f:
        f.write(head + b"\0" * (-len(head) % reader.alignment))
        f.write(raw[reader.data_offset :])
    return target


def hot_loops(asm):
    """Instruction names of each innermost loop with integer dot products in it, from a listing."""
    lines = [line.split(";")[0].split() for line in asm.splitlines()]
    lines = [words for words in lines if words]
    labels = {words[0][:-1]: i for i, words in enumerate(lines) if words[0].endswith(":")}
    # Each listing numbers its labels from 0: a jump means the nearest label of that name before it.
    loops = []
    for i, words in enumerate(lines):
        if not (words[-1] in labels and words[0] in ("short", "j") or words[0].startswith("j")):
            continue
        begin = next((j for j in range(i, -1, -1) if lines[j] == [words[-1] + ":"] or lines[j][:2] == [".section", ".text"]), 0)
        if lines[begin][0].endswith(":"):
            loops.append((begin, i))
    dots = []
    for b, e in loops:
        body = [words[0] for words in lines[b:e]]
        inner = any(b <= c and f <= e and (b, e) != (c, f) for c, f in loops)
        if not inner and any(w in ("vpmaddubsw", "vpdpbusd") for w in body):
            dots.append(body)
    return dots


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keeper = tempfile.TemporaryDirectory()
        cls.dir = Path(cls.keeper.name)

    @classmethod
    def tearDownClass(cls):
        cls.keeper.cleanup()

    def ok(self, *args):
        r = subprocess.run([BINARY, *map(str, args)], capture_output=True, timeout=900)
        self.assertEqual(r.returncode, 0, f"{args}: {r.stderr.decode()}")
        return r.stdout.decode()

    def refused(self, *args, says):
        r = subprocess.run([BINARY, *map(str, args)], capture_output=True, timeout=900)
        self.assertEqual(r.returncode, 1, f"{args}: {r.stderr.decode()}")
        self.assertIn(says, r.stderr.decode())

    def logits(self, model, ids, *args):
        return np.array(json.loads(self.ok("logits", model, "--tokens", ",".join(map(str, ids)), "--last", len(ids), "--json", *args))["logits"])

    def hidden(self, model, ids, layer, *args):
        return np.array(json.loads(self.ok("hidden", model, "--tokens", ",".join(map(str, ids)), "--layer", layer, "--json", *args))["hidden"])


class Kernels(Base):
    """What the emitted loops consist of. Listings need no CPU that could run them."""

    def test_codes_are_multiplied_as_integers(self):
        for name, (_, _, _, run, _) in FORMATS.items():
            for target, dot in (("avx2", "vpmaddubsw"), ("avx512", "vpmaddubsw"), ("avx512vnni", "vpdpbusd")):
                for tokens in (1, 0):
                    with self.subTest(format=name, target=target, tokens=tokens):
                        asm = self.ok("compile", "kernels/linear.lum", "--lum", LUM, "--fn", "linear", "--bind", f"K=1536,N=576,W={name}",
                                      "--emit", "asm", "--target", target, "--tokens", tokens)
                        loops = hot_loops(asm)
                        self.assertTrue(loops)
                        for body in loops:
                            dots, floats = body.count(dot), body.count("vcvtdq2ps")
                            self.assertGreater(dots, 0)
                            # One of these products takes 4 codes a lane. Sums of a run become floats, and sums of the
                            # activations for the offset, which a single token's loop has no second group of rows to share with.
                            least = 0.6 if tokens == 1 else 0.75
                            self.assertGreaterEqual(4 * dots, least * run * floats, "codes that share one conversion to float")
                            self.assertFalse({w for w in body if w.startswith(("vpmovzx", "vpmovsx", "vcvtps2", "vcvttps", "vgather", "call"))})

    def test_the_check_sees_a_float_loop(self):
        """The same question asked of --exact code, which does decode to floats."""
        asm = self.ok("compile", "kernels/linear.lum", "--lum", LUM, "--fn", "linear", "--bind", "K=1536,N=576,W=u6", "--emit", "asm", "--target", "avx2", "--exact")
        self.assertEqual(hot_loops(asm), [])


class Guide(Base):
    def test_your_own(self):
        """docs/your_own.md shows what the compiler says of the format it shows."""
        text = (ROOT / "docs/your_own.md").read_text()
        (declaration,) = re.findall(r"^```lum\n(.*?)^```", text, re.M | re.S)
        path = self.dir / "u3.lum"
        path.write_text(declaration)
        self.assertIn("$ lumen compile my/u3.lum --emit types\n" + self.ok("compile", path, "--emit", "types"), text)


@unittest.skipUnless(MODEL.exists(), "no smollm2.gguf in $LUMEN_TEST_MODELS")
class Formats(Base):
    """SmolLM2 with every matrix, the embedding too, in a user's format."""

    def check(self, name):
        elements, size, decode, _, far = FORMATS[name]
        started = time.monotonic()
        model = self.dir / f"{name}.gguf"
        said = self.ok("quantize", MODEL, model, "--format", name, "--lum", LUM)
        took = time.monotonic() - started
        self.refused("logits", model, "--tokens", "1", says="--lum")
        listed = json.loads(self.ok("inspect", model, "--json", "--lum", LUM))["tensors"]
        matrices = [t for t in listed if len(t["dims"]) == 2]
        self.assertEqual({t["format"] for t in matrices}, {name}, said)
        self.assertEqual(len(matrices), 211)
        self.assertEqual(sum(t["bytes"] for t in matrices), sum(np.prod(t["dims"]) for t in matrices) // elements * size)

        ours = reference.Reference(model, formats={FIRST_PRIVATE: (elements, size, decode)})
        plain = self.dir / "plain.gguf"
        self.ok("quantize", model, plain, "--format", "f32", "--lum", LUM)
        floats = reference.Reference(plain)
        before = reference.Reference(MODEL)
        for t in ("token_embd.weight", "blk.0.attn_k.weight", "blk.29.ffn_down.weight"):
            w = ours.weight(t)
            self.assertTrue(np.array_equal(w, floats.weight(t)), f"{t}: decoded here and by lumen, bit for bit")
            error = np.linalg.norm(w - before.weight(t)) / np.linalg.norm(before.weight(t))
            self.assertLess(error, far, t)
            self.assertGreater(error, far / 10, t)

        ids = prompt()
        want = ours.run([ids], last=len(ids))[0][0]
        exact = self.logits(model, ids, "--exact", "--lum", LUM)
        from_reference, from_floats = np.abs(exact - want).max(), np.abs(exact - self.logits(plain, ids, "--exact")).max()
        p, q = (z - z.max(axis=1, keepdims=True) for z in (want.astype(np.float64), self.logits(model, ids, "--lum", LUM)))
        p, q = (z - np.log(np.exp(z).sum(axis=1, keepdims=True)) for z in (p, q))
        kl = float((np.exp(p) * (p - q)).sum(axis=1)[1:].mean())
        plain.unlink()
        print(f"{name}: quantized in {took:.1f} s; --exact differs from numpy by {from_reference:.1e}, from the dequantized f32 file by "
              f"{from_floats:.1e}; the fast path's KL divergence is {kl:.1e}", flush=True)
        self.assertLess(from_reference, BOUND)
        self.assertLess(from_floats, BOUND)
        self.assertLess(kl, 1e-2)
        return model

    def test_three_bits(self):
        self.check("u3")

    def test_code_book(self):
        self.check("u4_levels")

    def test_six_bits(self):
        model = self.check("u6")
        for how in (["--exact"], []):
            answer = self.ok("run", model, "What is the capital of France?", "--temp", 0, "-n", 16, "--lum", LUM, *how)
            self.assertIn("Paris", answer, how)


@unittest.skipUnless(MODEL.exists(), "no smollm2.gguf in $LUMEN_TEST_MODELS")
class Models(Base):
    """SmolLM2's weights under a forward pass of the user's."""

    def check(self, name, expected, lum):
        model = with_architecture(MODEL, self.dir / f"{name}.gguf", name)
        self.refused("logits", model, "--tokens", "1", says=f'"{name}"')
        ids = prompt()
        right = expected(MODEL)
        layers = (0, right.layers // 2, right.layers)
        want, states = (r[0] for r in right.run([ids], len(ids), layers))
        worst = np.abs(self.logits(model, ids, "--exact", "--lum", lum) - want).max()
        worst_state = 0.0
        for l in layers:
            got = self.hidden(model, ids, l, "--exact", "--lum", lum)
            worst_state = max(worst_state, np.linalg.norm(got - states[l]) / np.linalg.norm(states[l]))
        # Weights never trained for this pass: requantised activations move its logits more than a trained model's.
        alike = np.corrcoef(self.logits(model, ids, "--lum", lum).ravel(), want.ravel())[0, 1]
        moved = np.abs(reference.Reference(MODEL).run([ids], 1)[0][0] - want[-1:]).max()
        print(f"{name}: --exact logits differ by {worst:.1e} (up to {np.abs(want).max():.0f}), hidden states by {worst_state:.1e}; "
              f"the fast path's correlate by {alike:.4f}; the unchanged model's are {moved:.0f} away", flush=True)
        self.assertLess(worst, BOUND)
        self.assertLess(worst_state, 1e-4)
        self.assertGreater(alike, 0.8)
        self.assertGreater(moved, 1, "a changed pass that changes nothing shows nothing")

    def test_parallel(self):
        self.check("parallel", Parallel, LUM)

    def test_own_kernels(self):
        self.check("bent", Bent, LUM)

    def test_guide(self):
        guide = (ROOT / "docs/language.md").read_text()
        examples = re.findall(r"^```lum\n(.*?)^```", guide, re.M | re.S)
        lum = self.dir / "guide"
        lum.mkdir()
        (lum / "guide.lum").write_text("\n".join(examples))
        self.check("parallel_llama", GuidesModel, lum)

    def test_replaced(self):
        """A user's declaration with a standard one's name takes its place; the file stays as it is."""
        lum = self.dir / "replaced"
        lum.mkdir()
        text = (LUM / "models/parallel.lum").read_text()
        (lum / "mine.lum").write_text(text.replace("model parallel {", "model llama {").replace('arch gguf "parallel"', 'arch gguf "llama"'))
        ids = prompt()
        want = Parallel(MODEL).run([ids], 1)[0][0]
        self.assertLess(np.abs(self.logits(MODEL, ids, "--exact", "--lum", lum)[-1:] - want).max(), BOUND)


if __name__ == "__main__":
    unittest.main()
