#!/usr/bin/env python3
"""The command line: what each command gives, and how it refuses what is wrong. [LUMEN_TEST_MODELS=DIR] tests/e2e/test_cli.py

The binary is build/lumen, or $LUMEN_BINARY. Tests of class WithModel need DIR/smollm2.gguf and are skipped without it.
Standard library only. Errors must be one line "lumen: ..." on stderr, with exit status 2 for what was asked wrongly and 1 for the
rest; mistakes in .lum files come with their place, the line and a caret.
"""
import json
import math
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODELS = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent"))
MODEL = str(MODELS / "smollm2.gguf")
CAPITAL = "What is the capital of France?"

# 3-bit codes in blocks of 64, a scale for 16 and one minimum: no standard format.
THREE_BIT = """
# a user's own
format three {
  block [64] {
    d: f16[4]
    m: f16
    q: u8[24]
  }
  value(k) = d[k / 16] * bits(q, k * 3, 3) + m
}
"""


def lumen(*args, stdin="", env=None, timeout=600):
    return subprocess.run([BINARY, *map(str, args)], input=stdin.encode(), capture_output=True, timeout=timeout, env={**os.environ, **(env or {})})


def gguf(path, metadata, tensors, alignment=32):
    """A GGUF file. metadata: key -> str, int (u32), float (f32) or list of str; tensors: name -> (dims outermost first, type, bytes)."""

    def text(s):
        return struct.pack("<Q", len(s.encode())) + s.encode()

    def value(v):
        if isinstance(v, str):
            return struct.pack("<I", 8) + text(v)
        if isinstance(v, list):
            return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
        return struct.pack("<If", 6, v) if isinstance(v, float) else struct.pack("<II", 4, v)

    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    out += b"".join(text(k) + value(v) for k, v in metadata.items())
    data = b""
    for name, (dims, kind, raw) in tensors.items():
        data += b"\0" * (-len(data) % alignment)
        out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in reversed(dims)) + struct.pack("<IQ", kind, len(data))
        data += raw
    out += b"\0" * (-len(out) % alignment)
    Path(path).write_bytes(out + data)
    return path


def floats(n, period=17):
    return struct.pack(f"<{n}f", *[math.sin(i * 0.7) * (1 + i % period) / period for i in range(n)])


def read_tensor_floats(path, name):
    """The values of an f32 tensor, by reading the file again."""
    raw = Path(path).read_bytes()
    at = 8
    tensors, keys = struct.unpack_from("<QQ", raw, at)
    at += 16

    def text():
        nonlocal at
        (n,) = struct.unpack_from("<Q", raw, at)
        at += 8 + n
        return raw[at - n : at].decode()

    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, n = struct.unpack_from("<IQ", raw, at)
            at += 12
            for _ in range(n):
                skip(inner)
        else:
            at += sizes[kind]

    for _ in range(keys):
        text()
        (kind,) = struct.unpack_from("<I", raw, at)
        at += 4
        skip(kind)
    table = {}
    for _ in range(tensors):
        n = text()
        (rank,) = struct.unpack_from("<I", raw, at)
        dims = struct.unpack_from(f"<{rank}Q", raw, at + 4)
        kind, offset = struct.unpack_from("<IQ", raw, at + 4 + 8 * rank)
        at += 16 + 8 * rank
        table[n] = (math.prod(dims), kind, offset)
    count, kind, offset = table[name]
    assert kind == 0, f"{name} is of type {kind}"
    base = (at + 31) // 32 * 32
    return struct.unpack_from(f"<{count}f", raw, base + offset)


class Base(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory())) if hasattr(self, "enterContext") else self._temporary()

    def _temporary(self):  # Python before 3.11
        t = tempfile.TemporaryDirectory()
        self.addCleanup(t.cleanup)
        return Path(t.name)

    def ok(self, *args, **kw):
        r = lumen(*args, **kw)
        self.assertEqual(r.returncode, 0, f"{args}: {r.stderr.decode()}")
        return r.stdout.decode()

    def refused(self, status, *args, says=(), **kw):
        r = lumen(*args, **kw)
        err = r.stderr.decode()
        self.assertEqual(r.returncode, status, f"{args}: {err}")
        self.assertRegex(err, r"\Alumen: [^\n]+\n\Z", f"{args}: one line expected")
        for s in [says] if isinstance(says, str) else says:
            self.assertIn(str(s), err, args)
        return err

    def mistake(self, *args, says):
        """Refused with a rendered diagnostic."""
        r = lumen(*args)
        err = r.stderr.decode()
        self.assertEqual(r.returncode, 1, f"{args}: {err}")
        self.assertRegex(err, r"(?m)^\S+:\d+:\d+: error: ")
        self.assertIn("^", err)
        self.assertIn(says, err)


class Usage(Base):
    def test_help(self):
        out = self.ok("--help")
        for c in "run logits hidden tokenize detokenize inspect bench compile quantize doctor list serve".split():
            self.assertIn(f"  {c} ", out)
            self.assertIn("Usage: lumen " + c, self.ok(c, "--help"))

    def test_nothing_asked(self):
        self.assertEqual(lumen().returncode, 2)

    def test_unknown(self):
        self.refused(2, "frobnicate", says="frobnicate")
        self.refused(2, "run", "x", "--frobnicate", says="--frobnicate")
        self.refused(2, "tokenize", says="MODEL")

    def test_options_out_of_range(self):
        for args, option in [
            (["run", "m", "x", "--temp", "-1"], "--temp"),
            (["run", "m", "x", "--temp", "nan"], "--temp"),
            (["run", "m", "x", "--temp", "hot"], "--temp"),
            (["run", "m", "x", "--top-p", "1.5"], "--top-p"),
            (["run", "m", "x", "--min-p", "-0.1"], "--min-p"),
            (["run", "m", "x", "--top-k", "-1"], "--top-k"),
            (["run", "m", "x", "--seed", "99999999999999999999999"], "--seed"),
            (["run", "m", "x", "-n", "1.5"], "-n"),
            (["run", "m", "x", "--ctx", "0"], "--ctx"),
            (["run", "m", "x", "-t", "0"], "--threads"),
            (["run", "m", "x", "--target", "sse9"], "--target"),
            (["logits", "m", "--tokens", "1", "--last", "0"], "--last"),
            (["hidden", "m", "--tokens", "1", "--layer", "-1"], "--layer"),
            (["bench", "m", "-r", "0"], "-r"),
            (["bench", "m", "-p", "99999999999"], "-p"),
            (["compile", "kernels/norm.lum", "--emit", "cobol"], "--emit"),
        ]:
            with self.subTest(args=args):
                self.refused(2, *args, says=[option, "expected", "found"])


class BadFiles(Base):
    COMMANDS = [
        ["run", "{}", "hello"],
        ["logits", "{}", "--tokens", "1"],
        ["hidden", "{}", "--tokens", "1", "--layer", "0"],
        ["tokenize", "{}", "hello"],
        ["detokenize", "{}", "1"],
        ["inspect", "{}"],
        ["bench", "{}"],
        ["quantize", "{}", "{out}", "--format", "q8_0"],
    ]

    def each(self, path, says, commands=COMMANDS):
        for c in commands:
            with self.subTest(command=c[0], path=str(path)):
                self.refused(1, *[str(path) if a == "{}" else self.dir / "out.gguf" if a == "{out}" else a for a in c], says=says)
                self.assertFalse((self.dir / "out.gguf").exists())

    def test_missing(self):
        self.each("/nonexistent/model.gguf", ["/nonexistent/model.gguf", "no such file"])

    def test_no_such_name(self):
        self.each("nosuchmodel", "nosuchmodel")

    def test_directory(self):
        self.each(self.dir, str(self.dir))

    def test_not_a_model(self):
        path = self.dir / "text.gguf"
        path.write_text("This is not a model file at all.\n" * 10)
        self.each(path, str(path))

    def test_truncated(self):
        whole = gguf(self.dir / "whole.gguf", {"general.architecture": "llama", "names": ["a", "bc"]}, {"x": ([4, 8], 0, floats(32))})
        raw = Path(whole).read_bytes()
        self.ok("inspect", whole)
        cut = self.dir / "cut.gguf"
        for n in [*range(0, len(raw), 7), len(raw) - 1]:
            cut.write_bytes(raw[:n])
            self.refused(1, "inspect", cut, says=str(cut))
        self.each(cut, str(cut))

    def test_unknown_architecture(self):
        path = gguf(self.dir / "a.gguf", {"general.architecture": "nosuch"}, {"x": ([4, 32], 0, floats(128))})
        self.each(path, ["nosuch", str(path)], [c for c in self.COMMANDS if c[0] in ("logits", "hidden", "bench")])
        self.assertIn("nosuch", self.ok("inspect", path))

    def test_unknown_tensor_type(self):
        path = gguf(self.dir / "a.gguf", {"general.architecture": "llama"}, {"x": ([4, 32], 777, b"\0" * 128)})
        out = self.ok("inspect", path)
        self.assertRegex(out, r"x +\[4, 32\] +type 777 .*unknown type")
        d = json.loads(self.ok("inspect", path, "--json"))
        self.assertEqual((d["tensors"][0]["type_id"], d["tensors"][0]["bytes"]), (777, None))

    def test_missing_configuration(self):
        path = gguf(self.dir / "a.gguf", {"general.architecture": "llama"}, {"x": ([4, 32], 0, floats(128))})
        self.refused(1, "logits", path, "--tokens", "1", says=[str(path), "llama."])

    def test_no_tokenizer(self):
        path = gguf(self.dir / "a.gguf", {"general.architecture": "llama"}, {"x": ([4, 32], 0, floats(128))})
        self.refused(1, "tokenize", path, "hello", says=[str(path), "tokenizer"])


class Lum(Base):
    def write(self, text, name="mine.lum"):
        (self.dir / name).write_text(text)
        return self.dir / name

    def test_mistakes(self):
        path = self.write("fn f(x: f32[T]) -> f32[T] {\n  y[t] = x[t +\n}\n")
        self.mistake("compile", path, says="mine.lum:3:1")
        self.mistake("inspect", "--lum", self.dir, "x", says="mine.lum:3:1")
        path = self.write("fn f(x: f32[T]) -> f32[T] {\n  y[t] = z[t]\n}\n")
        self.mistake("compile", path, says="mine.lum:2:")

    def test_missing(self):
        self.refused(1, "compile", "/nonexistent/x.lum", says="/nonexistent/x.lum")
        self.refused(1, "compile", self.dir, says=str(self.dir))
        self.refused(1, "doctor", "--quick", "--lum", "/nonexistent", says="/nonexistent")

    def test_stages(self):
        args = ["compile", "kernels/linear.lum", "--fn", "linear", "--bind", "K=256,N=64,W=q4_k"]
        self.assertIn("fn linear", self.ok(*args, "--emit", "ast"))
        self.assertIn("q4_k[64, 256]", self.ok(*args, "--emit", "types"))
        before = self.ok(*args, "--emit", "ir")
        after = self.ok(*args, "--emit", "ir", "--after", "fuse")
        self.assertIn("sum", before)
        self.assertIn("dot", after)
        self.assertIn("launches", self.ok(*args, "--emit", "plan", "--target", "avx2"))
        self.assertTrue(self.ok(*args, "--emit", "loops", "--target", "avx2").strip())
        # Listings need no such CPU: the codes are multiplied as integers, by the instruction the level has.
        self.assertIn("vpmaddubsw", self.ok(*args, "--emit", "asm", "--target", "avx2"))
        self.assertIn("zmm", self.ok(*args, "--emit", "asm", "--target", "avx512"))
        self.assertIn("vpdpbusd", self.ok(*args, "--emit", "asm", "--target", "avx512vnni"))
        self.assertIn("@compute", self.ok(*args, "--emit", "wgsl"))
        self.refused(2, *args, "--emit", "wgsl", "--target", "avx2", says="--target")
        self.assertNotIn("vpmaddubsw", self.ok(*args, "--emit", "asm", "--target", "avx2", "--exact"))

    def test_every_standard_file(self):
        for f in sorted((ROOT / "lum").rglob("*.lum")):
            inside = f.relative_to(ROOT / "lum")
            with self.subTest(file=str(inside)):
                self.assertEqual(self.ok("compile", inside, "--emit", "ast"), self.ok("compile", f, "--emit", "ast"))
                self.assertTrue(self.ok("compile", inside, "--emit", "types").strip())

    def test_wrong_requests(self):
        f = "kernels/linear.lum"
        self.refused(2, "compile", f, "--bind", "K=256,N=64,W=q4_kk", says="q4_kk")
        self.refused(2, "compile", f, "--bind", "K", says="--bind")
        self.refused(2, "compile", f, "--bind", "K=256,N=64,W=q4_k,Z=1", says="Z")
        self.refused(2, "compile", f, "--fn", "nosuch", says="nosuch")
        self.refused(2, "compile", f, "--after", "nosuch", says=["--after", "fuse"])
        self.refused(2, "compile", "models/llama.lum", says="--from")
        self.refused(2, "compile", f, "--bind", "K=256,N=64,W=q4_k", "--emit", "asm", "--target", "interp", says="interp")

    def test_user_format(self):
        path = self.write(THREE_BIT)
        out = self.ok("compile", path, "--emit", "types")
        self.assertIn("64 elements in 34 bytes", out)
        self.assertIn("3 bits", out)
        asm = self.ok("compile", "--lum", self.dir, "kernels/linear.lum", "--fn", "linear", "--bind", "K=256,N=64,W=three", "--emit", "asm", "--target", "avx2")
        self.assertIn("vpmaddubsw", asm)


class Quantize(Base):
    def setUp(self):
        super().setUp()
        self.norm = floats(64, 5)
        self.input = gguf(
            self.dir / "in.gguf",
            {"general.architecture": "llama", "general.name": "tiny", "names": ["a", "bc"]},
            {
                "wide.weight": ([6, 128], 0, floats(6 * 128)),
                "odd.weight": ([4, 48], 0, floats(4 * 48)),
                "norm.weight": ([64], 0, self.norm),
                "token_embd.weight": ([5, 64], 0, floats(5 * 64)),
            },
        )
        self.out = self.dir / "out.gguf"

    def tensors(self, *args):
        d = json.loads(self.ok("inspect", self.out, "--json", *args))
        return {t["name"]: t for t in d["tensors"]}, d["metadata"]

    def test_standard_format(self):
        said = self.ok("quantize", self.input, self.out, "--format", "q8_0")
        self.assertRegex(said, r"odd.weight +stays f32: .*48.*32")
        t, meta = self.tensors()
        self.assertEqual([t[n]["format"] for n in ("wide.weight", "odd.weight", "norm.weight", "token_embd.weight")], ["q8_0", "f32", "f32", "q8_0"])
        self.assertEqual((meta["general.file_type"], meta["general.name"]), (7, "tiny"))
        self.assertEqual(t["wide.weight"]["bytes"], 6 * 128 // 32 * 34)
        # Back to f32: near what was there, and nothing else moved.
        back = self.dir / "back.gguf"
        self.ok("quantize", self.out, back, "--format", "f32")
        was, now = read_tensor_floats(self.input, "wide.weight"), read_tensor_floats(back, "wide.weight")
        self.assertLess(max(abs(a - b) for a, b in zip(was, now)), 1 / 127)
        self.assertGreater(max(abs(a - b) for a, b in zip(was, now)), 0)
        for n in ("norm.weight", "odd.weight"):
            self.assertEqual(read_tensor_floats(self.input, n), read_tensor_floats(back, n))

    def test_keep_embeddings(self):
        self.ok("quantize", self.input, self.out, "--format", "q8_0", "--keep-embeddings")
        self.assertEqual(self.tensors()[0]["token_embd.weight"]["format"], "f32")

    def test_private_format_with_parameters(self):
        lum = self.dir / "lum"
        lum.mkdir()
        (lum / "some.lum").write_text(THREE_BIT.replace("format three {", "format some<n> {").replace("[64]", "[n]").replace("f16[4]", "f16[n / 16]").replace("u8[24]", "u8[n * 3 / 8]"))
        self.ok("quantize", "--lum", lum, self.input, self.out, "--format", "some<32>")
        for how in (["--lum", lum], ["--trust-embedded-formats"]):
            self.assertEqual(self.tensors(*how)[0]["wide.weight"]["format"], "some<32>")

    def test_private_format(self):
        lum = self.dir / "lum"
        lum.mkdir()
        (lum / "three.lum").write_text(THREE_BIT)
        self.ok("quantize", "--lum", lum, self.input, self.out, "--format", "three")
        t, meta = self.tensors("--lum", lum)
        self.assertEqual((t["wide.weight"]["format"], t["wide.weight"]["type_id"]), ("three", 1000))
        self.assertEqual(meta["lumen.format.1000.name"], "three")
        self.refused(1, "inspect", self.out, says=["three", "--lum", "--trust-embedded-formats"])
        self.assertEqual(self.tensors("--trust-embedded-formats")[0]["wide.weight"]["format"], "three")
        back = self.dir / "back.gguf"
        self.ok("quantize", "--lum", lum, self.out, back, "--format", "f32")
        was, now = read_tensor_floats(self.input, "wide.weight"), read_tensor_floats(back, "wide.weight")
        self.assertLess(max(abs(a - b) for a, b in zip(was, now)), 0.25)
        # Comments and spaces may differ; what it says may not.
        (lum / "three.lum").write_text("# other words\n" + THREE_BIT.replace("q: u8[24]", "q:  u8[24]  # codes"))
        self.ok("inspect", "--lum", lum, self.out)
        (lum / "three.lum").write_text(THREE_BIT.replace("+ m", "- m"))
        self.refused(1, "inspect", "--lum", lum, self.out, says="another declaration")

    def test_refused(self):
        for args, status, says in [
            (["--format", "nosuch"], 2, "nosuch"),
            ([], 2, "--format"),
            (["--format", "q4_k"], 2, "no tensor takes the format"),
            (["--format", "act_q8<32>"], 2, "planes"),
        ]:
            self.refused(status, "quantize", self.input, self.out, *args, says=says)
            self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["in.gguf"])
        self.refused(2, "quantize", self.input, self.input, "--format", "q8_0", says="the output is the input")
        self.refused(1, "quantize", self.input, self.dir / "no" / "out.gguf", "--format", "q8_0", says="out.gguf")
        self.refused(1, "quantize", self.input, self.dir, "--format", "q8_0", says=str(self.dir))

    def test_failing_half_way_leaves_nothing(self):
        bad = struct.pack("<f", float("nan")) + floats(6 * 128 - 1)
        path = gguf(self.dir / "nan.gguf", {"general.architecture": "llama"}, {"good.weight": ([6, 128], 0, floats(6 * 128)), "bad.weight": ([6, 128], 0, bad)})
        self.out.write_text("what was here before")
        self.refused(1, "quantize", path, self.out, "--format", "q8_0", says=["bad.weight", "not finite"])
        self.assertEqual(self.out.read_text(), "what was here before")
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["in.gguf", "nan.gguf", "out.gguf"])


class Machine(Base):
    def test_doctor(self):
        self.assertIn("avx2", self.ok("doctor", "--quick"))
        d = json.loads(self.ok("doctor", "--json", "--quick"))
        self.assertIn("llama", d["architectures"])
        self.assertGreater(d["memory"]["total"], 0)
        self.assertEqual(d["read_bandwidth"], [])
        self.assertLessEqual({"avx2", "avx512", "avx512vnni", "interp", "wgsl"}, set(d["targets"]))

    def test_bandwidth(self):
        d = json.loads(self.ok("doctor", "--json"))
        self.assertGreaterEqual(len(d["read_bandwidth"]), 2)
        for b in d["read_bandwidth"]:
            self.assertGreater(b["bytes_per_second"], 1e8)

    def test_list(self):
        env = {"LUMEN_MODELS": str(self.dir)}
        self.assertIn("no models", self.ok("list", env=env))
        gguf(self.dir / "little.gguf", {}, {})
        self.assertIn("little", self.ok("list", env=env))
        self.assertEqual([m["name"] for m in json.loads(self.ok("list", "--json", env=env))], ["little"])
        self.ok("inspect", "little", env=env)


@unittest.skipUnless(Path(MODEL).exists(), "no smollm2.gguf in $LUMEN_TEST_MODELS")
class WithModel(Base):
    PARIS = 7042  # ' Paris'

    def logits(self, *args):
        return json.loads(self.ok("logits", MODEL, "--json", *args))

    def test_tokens(self):
        text = "Hello, wörld! 안녕 def f(x):\n    return x"
        ids = self.ok("tokenize", MODEL, text).strip()
        self.assertRegex(ids, r"\A\d+(,\d+)*\Z")
        self.assertEqual(self.ok("detokenize", MODEL, ids), text + "\n")
        d = json.loads(self.ok("tokenize", MODEL, text, "--json"))
        self.assertEqual(",".join(map(str, d["tokens"])), ids)
        marked = "<|im_start|>x"
        self.assertEqual(json.loads(self.ok("tokenize", MODEL, marked, "--json"))["tokens"][0], 1)
        plain = json.loads(self.ok("tokenize", MODEL, marked, "--json", "--no-special"))["tokens"]
        self.assertNotIn(1, plain)
        self.refused(2, "detokenize", MODEL, "1,x", says="1,x")
        self.refused(2, "detokenize", MODEL, "1,", says="1,")
        self.refused(2, "detokenize", MODEL, "99999999", says="99999999")

    def test_logits(self):
        d = self.logits("--prompt", "The capital of France is")
        self.assertEqual([len(r) for r in d["logits"]], [49152])
        self.assertEqual(max(range(49152), key=d["logits"][0].__getitem__), self.PARIS)
        ids = ",".join(map(str, d["tokens"]))
        three = self.logits("--tokens", ids, "--last", "3")
        self.assertEqual(len(three["logits"]), 3)
        self.assertEqual(three["tokens"], d["tokens"])
        self.assertLess(max(abs(a - b) for a, b in zip(three["logits"][2], d["logits"][0])), 1e-3)
        self.assertEqual(len(self.logits("--tokens", ids, "--last", "100")["logits"]), len(d["tokens"]))
        self.assertIn("' Paris'", self.ok("logits", MODEL, "--tokens", ids))

    def test_caches(self):
        """Packed weights, kernels and plans are kept; damaged, foreign or unwritable caches change nothing but the time."""
        cache = self.dir / "cache"
        logits = lambda **env: lumen("logits", MODEL, "--tokens", "1,2,3", "--json", env={"LUMEN_CACHE": str(cache), **env}).stdout  # noqa: E731
        want = logits(LUMEN_CACHE="off")
        self.assertTrue(json.loads(want)["logits"])
        self.assertFalse(cache.exists())
        self.assertEqual(logits(), want)
        packed, code, start = (sorted(cache.glob(f"*.{kind}")) for kind in ("packed", "code", "start"))
        self.assertEqual((len(packed), len(code), len(start)), (1, 1, 1))
        self.assertEqual(logits(), want, "read from the caches")
        for file in packed + code + start:
            whole = file.read_bytes()
            for damage in (whole[: len(whole) // 2], whole[:5000] + bytes(1 ^ b for b in whole[5000:9000]) + whole[9000:], b"", b"\0" * len(whole)):
                file.write_bytes(damage)
                self.assertEqual(logits(), want, f"{file.suffix} damaged")
        self.assertEqual(sorted(cache.glob("*.packed"))[0].read_bytes(), self.packed_twice(cache, logits), "rebuilt as it was")
        blocked = self.dir / "a file"
        blocked.write_text("not a directory")
        self.assertEqual(logits(LUMEN_CACHE=str(blocked)), want)
        both = [subprocess.Popen([BINARY, "logits", MODEL, "--tokens", "1,2,3", "--json"], stdout=subprocess.PIPE,
                                 env={**os.environ, "LUMEN_CACHE": str(self.dir / "shared")}) for _ in range(2)]
        self.assertEqual([p.communicate(timeout=600)[0] for p in both], [want, want], "two at once")

    def test_a_kept_plan_saves_elaborating(self):
        """Whether a start elaborates the model: not where all that it depends on is as it was; its answer is the same either way."""
        model, cache, own = self.dir / "model.gguf", self.dir / "cache", self.dir / "lum"
        model.write_bytes(Path(MODEL).read_bytes())
        own.mkdir()
        (own / "mine.lum").write_text("let twice(x) = x * 2.0\n")

        def start(*args):
            r = lumen(*args, "logits", model, "--tokens", "1,2,3,4,5,6", "--json", env={"LUMEN_CACHE": str(cache), "LUMEN_TIMELINE": "1"})
            return r.stdout, b"elaborate the model" in r.stderr, r

        want, elaborated, _ = start()
        self.assertTrue(json.loads(want)["logits"] and elaborated)
        self.assertEqual(start()[:2], (want, False))
        os.utime(model, (1, 1))
        self.assertEqual(start()[:2], (want, True), "another state of the file")
        self.assertEqual(start()[:2], (want, False))
        self.assertEqual(start("--lum", own)[:2], (want, True), "declarations of one's own")
        self.assertEqual(start("--lum", own)[:2], (want, False))
        (own / "unused.lum").write_text("format unused {\n  block [32] { d: f16 }\n  value(k) = d +\n}\n")
        out, elaborated, r = start("--lum", own)
        self.assertEqual((out, elaborated, r.returncode), (b"", False, 1), "a mistake counts where nobody needs the declaration, too")
        self.assertIn(b"unused.lum:4:", r.stderr)
        packed = next(cache.glob("*.packed"))
        packed.write_bytes(packed.read_bytes()[:-5])
        self.assertEqual(start()[:2], (want, True), "weights that are not there any more")

    def packed_twice(self, cache, logits):
        for file in cache.iterdir():
            file.unlink()
        logits()
        return sorted(cache.glob("*.packed"))[0].read_bytes()

    def test_logits_exact_is_the_interpreter(self):
        ids = "504,3575,282,4649"
        a = self.logits("--tokens", ids, "--exact", "--last", "4")["logits"]
        b = self.logits("--tokens", ids, "--exact", "--last", "4", "--target", "interp")["logits"]
        self.assertLess(max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s)), 2e-3)

    def test_long_prompts_are_cut_into_steps(self):
        """The rows do not depend on how many tokens a step takes."""
        ids = [str(1000 + 7 * i % 20000) for i in range(700)]
        d = self.logits("--exact", "--tokens", ",".join(ids), "--last", "2")["logits"]
        e = self.logits("--exact", "--tokens", ",".join(ids[:-1]), "--last", "1")["logits"]
        self.assertLess(max(abs(x - y) for x, y in zip(d[0], e[0])), 2e-3)

    def test_wrong_prompts(self):
        self.refused(2, "logits", MODEL, says="--prompt")
        self.refused(2, "logits", MODEL, "--prompt", "x", "--tokens", "1", says="--prompt")
        self.refused(2, "logits", MODEL, "--tokens", "", says="empty")
        self.refused(2, "logits", MODEL, "--tokens", "49152", says="49152")
        self.refused(2, "logits", MODEL, "--tokens", "1,2,3,4,5", "--ctx", "4", says=["5", "4", "--ctx"])

    def test_hidden(self):
        for layer in (0, 15, 30):
            d = json.loads(self.ok("hidden", MODEL, "--tokens", "504,3575", "--layer", layer, "--json"))
            self.assertEqual([len(r) for r in d["hidden"]], [576, 576])
        self.refused(2, "hidden", MODEL, "--tokens", "1", "--layer", "31", says=["--layer", "30", "31"])
        self.refused(2, "hidden", MODEL, "--tokens", "1", says="--layer")

    def test_run(self):
        greedy = ["--temp", "0", "--exact", "-n", "30"]
        self.assertIn("Paris", self.ok("run", MODEL, CAPITAL, *greedy))
        self.assertIn("Paris", self.ok("run", MODEL, *greedy, stdin=CAPITAL + "\n"))
        self.assertTrue(self.ok("run", MODEL, "The capital of France is", "--raw", *greedy).startswith(" Paris"))
        r = lumen("run", MODEL, CAPITAL, "--temp", "0", "-n", "3", "--timings")
        self.assertRegex(r.stderr.decode(), r"prefill: \d+ tokens .*\ndecode: 2 tokens")
        self.assertEqual(self.ok("run", MODEL, CAPITAL, "-n", "0"), "\n")

    def test_run_samples_by_seed(self):
        args = ["run", MODEL, "Tell a story.", "-n", "16", "--temp", "1.5", "--top-p", "1", "--top-k", "0"]
        self.assertEqual(self.ok(*args, "--seed", "5"), self.ok(*args, "--seed", "5"))
        self.assertGreater(len({self.ok(*args, "--seed", s) for s in range(4)}), 1)

    def test_run_prompt_longer_than_context(self):
        self.refused(2, "run", MODEL, "word " * 200, "--ctx", "64", says=["64", "--ctx"])

    def test_run_interpreted(self):
        self.assertEqual(self.ok("run", MODEL, "The capital of France is", "--raw", "--temp", "0", "-n", "1", "--target", "interp"), " Paris\n")

    @unittest.skipUnless((MODELS / "gemma3-270m.gguf").exists(), "no gemma3-270m.gguf")
    def test_run_without_template(self):
        self.refused(2, "run", MODELS / "gemma3-270m.gguf", "hello", says=["template", "--raw"])

    def test_run_interrupted(self):
        p = subprocess.Popen([BINARY, "run", MODEL, "Count from one to ten thousand.", "--temp", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.read(1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual((p.returncode, err), (130, b""))
        self.assertTrue(out.endswith(b"\n"))

    def test_chat(self):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(XDG_STATE_HOME=str(self.dir), TERM="dumb")
            os.execv(BINARY, [BINARY, "run", MODEL, "--temp", "0", "--exact", "-n", "30"])
        seen = b""

        def until(pattern, seconds=120):
            nonlocal seen
            end = time.time() + seconds
            while not re.search(pattern, seen):
                self.assertLess(time.time(), end, f"{pattern}: not in {seen!r}")
                if select.select([fd], [], [], 1)[0]:
                    try:
                        seen += os.read(fd, 4096)
                    except OSError:
                        self.fail(f"the chat ended: {seen!r}")
            seen = b""

        until(rb"/help")
        os.write(fd, b"/help\n")
        until(rb"/system TEXT")
        os.write(fd, b"/nosuch\n")
        until(rb"no such command")
        os.write(fd, CAPITAL.encode() + b"\n")
        until(rb"Paris")
        os.write(fd, f"/save {self.dir}/talk.txt\n".encode())
        os.write(fd, b"/exit\n")
        end = time.time() + 60
        while select.select([fd], [], [], max(0, end - time.time()))[0]:
            try:
                if not os.read(fd, 4096):
                    break
            except OSError:
                break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertIn("Paris", (self.dir / "talk.txt").read_text())
        self.assertTrue((self.dir / "lumen" / "history").exists())

    def test_inspect(self):
        out = self.ok("inspect", MODEL)
        self.assertRegex(out, r"token_embd.weight +\[49152, 576\] +q8_0 .*integer dot products")
        self.assertNotIn("cannot run", out)
        d = json.loads(self.ok("inspect", MODEL, "--json"))
        self.assertEqual(len(d["tensors"]), 272)
        self.assertEqual(d["metadata"]["general.architecture"], "llama")
        self.assertEqual(d["metadata"]["tokenizer.ggml.tokens"]["count"], 49152)

    def test_bench(self):
        d = json.loads(self.ok("bench", MODEL, "-p", "16", "-n", "4", "-r", "2", "--json", "--profile"))
        for part, n in (("prefill", 16), ("decode", 4)):
            self.assertEqual((d[part]["tokens"], len(d[part]["samples"])), (n, 2))
            self.assertGreater(d[part]["tokens_per_second"], 0)
            self.assertTrue(d[part]["microseconds_by_kernel"])
        deep = json.loads(self.ok("bench", MODEL, "-p", "0", "-n", "4", "-d", "40", "-r", "1", "--no-probe", "--json"))
        self.assertEqual(deep["decode"]["bytes_per_token"] - d["decode"]["bytes_per_token"], 40 * d["state_bytes_per_token"])
        self.assertNotIn("share_of_read_bandwidth", deep["decode"])
        self.assertNotIn("decode", json.loads(self.ok("bench", MODEL, "-p", "8", "-n", "0", "-r", "1", "--json")))
        self.refused(2, "bench", MODEL, "-p", "0", "-n", "0", says="-p")

    def test_compile_model(self):
        self.assertIn("launches", self.ok("compile", "models/llama.lum", "--from", MODEL, "--emit", "plan"))

    def test_quantize_killed_leaves_nothing(self):
        p = subprocess.Popen([BINARY, "quantize", MODEL, str(self.dir / "out.gguf"), "--format", "q4_0", "--quiet"], stdout=subprocess.DEVNULL)
        time.sleep(0.7)
        self.assertIsNone(p.poll(), "finished before it could be killed")
        p.kill()
        p.wait()
        self.assertEqual(list(self.dir.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
