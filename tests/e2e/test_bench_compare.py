#!/usr/bin/env python3
"""lumen bench-compare against peers that are scripts: what they print is known, and they misbehave on demand.
[LUMEN_TEST_MODELS=DIR] tests/e2e/test_bench_compare.py

A peer is a directory with llama-bench, llama-completion and llama-perplexity, all of them the script FAKE below; its file
"behaviour.json" says what they do. Where Lumen has to agree, the fakes ask the Lumen binary itself. Tests of class WithModel
need DIR/smollm2.gguf. Standard library only.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODELS = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent"))
MODEL = MODELS / "smollm2.gguf"

FAKE = r'''
import json, math, os, signal, struct, subprocess, sys, time
from pathlib import Path

here = Path(__file__).resolve().parent
does = json.loads((here / "behaviour.json").read_text())
program = Path(sys.argv[0]).name
args = sys.argv[1:]
lumen = os.environ["LUMEN_BINARY"]

def value(flag, default=None):
    return args[args.index(flag) + 1] if flag in args else default

with open(here / "calls", "a") as f:
    f.write(json.dumps([program, *args]) + "\n")

if "--help" in args:
    if does.get("help") == "hang":
        time.sleep(1000)
    if "llama-bench" in program:
        print("options:\n  -m, --model\n  -p, --n-prompt\n  -n, --n-gen\n  -t, --threads\n  -r, --repetitions\n  -o, --output")
        print(does.get("options", "  -d, --n-depth\n  -fa, --flash-attn <0|1>"))
    else:
        print("  --no-display-prompt\n  -no-cnv, --no-conversation\n  --no-warmup")
    sys.exit(0)

how = does.get(program, "well")
if how == "hang":
    time.sleep(1000)
if how == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
if how == "refuse":
    sys.exit("error: unable to load model")
if how == "chatter":
    print("this is not what you wanted")
    sys.exit(0)

if "llama-bench" in program:
    p, n, d = int(value("-p", 512)), int(value("-n", 128)), int(value("-d", 0))
    if "-gp" in args:
        d, n = map(int, value("-gp").split(","))
    speed = does["decode"] / (1 + d / 64) if n else does["prefill"]
    entry = {"build_commit": "abc1234", "n_prompt": p if not n else d, "n_gen": n, "avg_ts": speed, "samples_ts": [speed]}
    if how == "wrong":
        del entry["avg_ts"]
    print("======== Repacked 7 tensors" if "-rtr" in args else "", json.dumps([entry]), "bye", sep="\n")
elif how == "cut":
    Path(value("--kl-divergence-base")).write_bytes(b"_logits_" + struct.pack("<3i", 64, 49152, 1) + bytes(1000))
elif "llama-perplexity" in program:
    size = int(value("-c"))
    text = Path(value("-f")).read_text()
    model = value("-m")
    ids = json.loads(subprocess.run([lumen, "tokenize", model, text, "--json"], capture_output=True, check=True).stdout)["tokens"]
    assert len(ids) >= 2 * size, "a text of at least two chunks"
    ids = ids[:size]
    rows = size - 1 - size // 2
    got = subprocess.run([lumen, "logits", model, "--tokens", ",".join(map(str, ids[:-1])), "--last", str(rows), "--json"], capture_output=True, check=True)
    logits = json.loads(got.stdout)["logits"]
    out = b"_logits_" + struct.pack(f"<3i{size}i", size, len(logits[0]), 1, *ids)
    for row in logits:
        if does.get("logits") == "shifted":
            row = row[1:] + row[:1]
        most = max(row)
        least = max(min(row), most - 16)
        total = math.log(sum(math.exp(v - most) for v in row))
        scale = (most - least) / 65535
        codes = [max(0, round((v - least) / scale)) for v in row]
        out += struct.pack(f"<2f{len(codes)}H", scale, least - most - total, *codes) + b"\0\0" * (len(codes) % 2)
    Path(value("--kl-divergence-base")).write_bytes(out)
else:
    time.sleep(does.get("start", 0))
    if "text" in does:
        print(does["text"], end="")
    else:
        got = subprocess.run([lumen, "run", value("-m"), value("-p"), "--raw", "--temp", "0", "-n", value("-n"), "--ctx", value("-c")], capture_output=True, check=True)
        print(got.stdout.decode().rstrip("\n") + " [end of text]\n")
'''


class Page(HTMLParser):
    """Tags must close in order; nothing may come from outside."""

    VOID = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.outside, self.text = [], {}, [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.outside += [v for k, v in attrs if k in ("src", "href", "data") or "url(" in (v or "")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class Base(unittest.TestCase):
    def setUp(self):
        t = tempfile.TemporaryDirectory()
        self.addCleanup(t.cleanup)
        self.dir = Path(t.name)

    def peer(self, name="fake", programs=("llama-bench", "llama-completion", "llama-perplexity"), **does):
        """What --peer takes."""
        home = self.dir / name
        home.mkdir()
        for p in programs:
            (home / p).write_text(f"#!{sys.executable}\n{FAKE}")
            (home / p).chmod(0o755)
        (home / "behaviour.json").write_text(json.dumps({"prefill": 100.0, "decode": 10.0, **does}))
        return f"{name}={home / [p for p in programs if 'llama-bench' in p][0]}"

    def calls(self, name="fake"):
        return [json.loads(line) for line in (self.dir / name / "calls").read_text().splitlines()]

    def run_it(self, *args, timeout=300):
        env = {**os.environ, "LUMEN_BINARY": BINARY}
        return subprocess.run([BINARY, "bench-compare", *map(str, args)], capture_output=True, timeout=timeout, env=env, text=True)

    def refused(self, *args, says=(), status=2):
        r = self.run_it(*args)
        self.assertEqual(r.returncode, status, r.stderr)
        self.assertRegex(r.stderr, r"\Alumen: [^\n]+\n\Z")
        for s in [says] if isinstance(says, str) else says:
            self.assertIn(s, r.stderr)


class BadInput(Base):
    def test_peers_that_are_none(self):
        self.refused("m", "--peer", "x=/nowhere/llama-bench", says="--peer x=/nowhere/llama-bench: no such file")
        text = self.dir / "text"
        text.write_text("no program")
        self.refused("m", "--peer", f"x={text}", says="cannot be run")
        self.refused("m", "--peer", f"x={self.dir}", says="cannot be run")
        self.refused("m", "--peer", "/bin/true", says="--peer: expected NAME=PATH_TO_llama-bench, found '/bin/true'")
        self.refused("m", "--peer", "x=", says="expected NAME=")
        self.refused("m", "--peer", "x=/bin/echo", says="--help does not name the option -m", status=1)

    def test_a_program_whose_help_never_ends(self):
        self.refused("m", "--peer", self.peer(help="hang"), "--timeout", "1", says="its --help did not come", status=1)

    def test_names(self):
        peer = self.peer()
        self.refused("m", "--peer", peer, "--peer", peer, says="--peer fake: given twice")
        self.refused("m", "--peer-args", "other=-fa 1", says="--peer-args other: no --peer of that name")

    def test_numbers(self):
        for flag, value in (("-p", "0"), ("-p", "16,"), ("-p", "a"), ("-d", "-1"), ("-r", "0"), ("-n", "0"), ("--timeout", "0")):
            self.refused("m", flag, value, says="expected")
        self.refused("m", "--tests", "start,speed", says="found 'speed'")

    def test_a_report_that_cannot_be_written_is_told_first(self):
        self.refused("no such model", "--html", "/nowhere/report.html", says=("--html /nowhere/report.html", "No such file or directory"))
        self.refused("no such model", "--html", self.dir, says="a directory")

    def test_a_model_that_is_none(self):
        report = self.dir / "report.html"
        self.refused("no such model", "--html", report, says="no such model", status=1)
        self.refused("no such model", "--save", "/nowhere/x", says="--save /nowhere/x")
        self.assertEqual(list(self.dir.iterdir()), [])  # no half-written report either
        (self.dir / "empty.gguf").write_bytes(b"")
        self.refused(self.dir / "empty.gguf", says="empty.gguf", status=1)


@unittest.skipUnless(MODEL.exists(), "no smollm2.gguf in $LUMEN_TEST_MODELS")
class WithModel(Base):
    def small(self, *args):
        usual = {"-p": "16", "-n": "4", "-r": "1", "-t": "2"}
        return self.run_it(MODEL, *[x for flag, value in usual.items() if flag not in args for x in (flag, value)], *args)

    def compare(self, *args):
        r = self.small(*args, "--json")
        self.assertEqual(r.returncode, 0, r.stderr)
        return json.loads(r.stdout)

    def test_everything(self):
        report = self.dir / "report.html"
        got = self.compare("--peer", self.peer(start=0.5), "-d", "0,32", "--continue", "8", "--html", report, "--save", self.dir / "saved")
        self.assertEqual(json.loads((self.dir / "saved").read_text()), got)
        self.assertEqual(got["schema"], "lumen-bench-compare-1")
        self.assertEqual([e["name"] for e in got["engines"]], ["Lumen", "fake"])
        self.assertEqual(got["engines"][1]["options"], "-fa 1; build abc1234")
        machine = got["machine"]
        for key in ("read_bytes_per_second", "int8_ops_per_second", "f32_ops_per_second"):
            self.assertLessEqual(machine[key]["lowest"], machine[key]["median"])
            self.assertGreater(machine[key]["lowest"], 0)
        (model,) = got["models"]
        self.assertEqual(model["model"], "smollm2")
        self.assertEqual(model["file_bytes"], MODEL.stat().st_size)
        self.assertEqual(model["prompt_tokens"], 6)
        ours, theirs = model["engines"]
        tests = ["cold_start", "hot_first_token", "load", "prefill_16", "decode_4", "decode_4_at_32"]
        self.assertEqual(sorted(theirs["tests"]), sorted(tests))
        self.assertEqual(sorted(ours["tests"]), sorted([*tests, "first_start"]))
        self.assertEqual(theirs["tests"]["prefill_16"]["median"], 100)
        self.assertEqual(theirs["tests"]["decode_4"]["median"], 10)
        self.assertAlmostEqual(theirs["tests"]["decode_4_at_32"]["median"], 10 / 1.5)
        self.assertAlmostEqual(theirs["tests"]["hot_first_token"]["median"], 6 / 100)
        self.assertGreater(theirs["tests"]["cold_start"]["median"], 0.5)
        cold, hot, load = (theirs["tests"][k]["median"] for k in ("cold_start", "hot_first_token", "load"))
        self.assertAlmostEqual(load, cold - hot)
        for name in tests:
            a, b = ours["tests"][name], theirs["tests"][name]
            ahead = a["median"] / b["median"] if a["unit"] == "tokens/s" else b["median"] / a["median"]
            self.assertAlmostEqual(b["lumen_ahead"], ahead)
            self.assertEqual(len(a["trials"]), 1)
        share = ours["tests"]["decode_4"]["trials"][0]
        self.assertAlmostEqual(ours["tests"]["decode_4"]["share_of_bandwidth"], share["value"] * share["bytes_per_token"] / share["read_bytes_per_second"])
        # The cache's bytes are counted: a deeper context needs more.
        deep = ours["tests"]["decode_4_at_32"]["trials"][0]["bytes_per_token"]
        self.assertAlmostEqual(deep - share["bytes_per_token"], 32 * model["cache_bytes_per_token"], delta=1)
        weights = ours["tests"]["prefill_16"]["trials"][0]
        self.assertAlmostEqual(ours["tests"]["prefill_16"]["share_of_peak"], 2 * model["multiplied_weights"] * weights["value"] / weights["int8_ops_per_second"])
        self.assertGreater(ours["peak_bytes"], 50e6)
        # A script's memory is its own, not what this machine's measuring takes.
        self.assertLess(theirs["tests"]["prefill_16"]["trials"][0]["peak_bytes"], 60e6)
        spans = {s["name"]: s["seconds"] for s in ours["tests"]["cold_start"]["trials"][0]["spans"]}
        self.assertIn("tokenizer (another thread)", spans)
        own = [seconds for name, seconds in spans.items() if not name.endswith("(another thread)")]  # the main thread's follow each other
        self.assertLess(sum(own), 1.1 * ours["tests"]["cold_start"]["trials"][0]["value"])
        self.assertTrue(theirs["continuation"]["equal"])
        self.assertGreater(len(ours["continuation"]["text"]), 5)
        logits = theirs["logits"]
        self.assertEqual((logits["rows"], logits["same_best"], logits["same_tokens"]), (31, 31, True))
        self.assertLess(logits["kl_max"], 1e-3)
        self.assertAlmostEqual(logits["perplexity"] / logits["perplexity_lumen"], 1, places=2)
        self.assertEqual(got["not_measured"], [])
        self.assertTrue(any("only 1 round" in w for w in got["warnings"]))
        bench = [c for c in self.calls() if c[0] == "llama-bench" and "--help" not in c]
        self.assertTrue(all(c[c.index("-fa") + 1] == "1" and c[c.index("-t") + 1] == "2" and c[c.index("-r") + 1] == "1" for c in bench))
        page = Page(report.read_text())
        self.assertEqual((page.open, page.outside), ([], []))
        self.assertEqual(page.seen["svg"], 8)  # a plot for each of seven tests, and one over depth
        for text in ("smollm2", "fake", "decode over context depth", "equal, 8 tokens", "What the columns mean"):
            self.assertIn(text, page.text)
        self.assertFalse(report.with_suffix(".html.partial").exists())

    def test_tables(self):
        r = self.small("--peer", self.peer(text="Something else.\n"), "-p", "16,16", "--tests", "prefill,output,prefill", "--continue", "4", "-v")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout, r"\| smollm2 \| prefill 16 \| Lumen \| [\d.]+ \|")
        self.assertRegex(r.stdout, r"\| smollm2 \| prefill 16 \| fake \| 100\.0 \|  \| [\d.]+ \|")
        self.assertRegex(r.stdout, r"\| smollm2 \| fake \| equal for \d+ of \d+ bytes \|")
        self.assertEqual(r.stderr.count("prefill 16"), 2)
        self.assertIn("smollm2, fake: round 1, prefill 16: 100.00 tokens/s", r.stderr)

    def test_a_peer_of_the_other_kind(self):
        """-gp instead of -d, names with a prefix, -rtr, options of the user's."""
        names = ("ik-llama-bench", "ik-llama-cli", "ik-llama-perplexity")
        got = self.compare("--peer", self.peer("ik", names, options="  -gp <pp,tg>\n  -fa\n  -rtr", text=" Paris."), "--tests", "start,decode", "-d", "32")
        self.assertEqual(got["engines"][1]["options"], "-fa 1 -rtr 1; build abc1234")
        self.assertAlmostEqual(got["models"][0]["engines"][1]["tests"]["decode_4_at_32"]["median"], 10 / 1.5)
        self.assertEqual(got["engines"][1]["lacks"], [])
        got = self.compare("--peer", self.peer("own", names, text=" Paris."), "--peer-args", "own=-fa 0 -ctk q8_0", "--tests", "prefill")
        call = [c for c in self.calls("own") if c[0] == "ik-llama-bench" and "--help" not in c][0]
        self.assertEqual(call[-4:], ["-fa", "0", "-ctk", "q8_0"])

    def test_what_a_peer_lacks_is_said(self):
        got = self.compare("--peer", self.peer(programs=("llama-bench",), options=""), "-d", "0,32", "--continue", "4")
        said = "\n".join(got["not_measured"])
        for s in ("no llama-completion or llama-cli beside", "no llama-perplexity beside", "knows neither -d nor -gp"):
            self.assertIn(s, said)
        tests = got["models"][0]["engines"][1]["tests"]
        self.assertEqual(tests["decode_4"]["median"], 10)
        self.assertNotIn("median", tests["decode_4_at_32"])
        self.assertNotIn("median", tests["cold_start"])

    def test_peers_that_misbehave_do_not_stop_the_rest(self):
        quick = {"text": " Paris.", "start": 0}
        peers = [
            self.peer("refusing", **{"llama-bench": "refuse", "llama-completion": "refuse", "llama-perplexity": "refuse"}),
            self.peer("crashing", **{"llama-bench": "crash", "llama-completion": "crash", "llama-perplexity": "cut"}),
            self.peer("hanging", **quick, **{"llama-bench": "hang", "llama-perplexity": "hang"}),
            self.peer("chatting", **quick, **{"llama-bench": "chatter", "llama-perplexity": "chatter"}),
            self.peer("wrong", **quick, **{"llama-bench": "wrong", "llama-perplexity": "chatter"}),
            self.peer("good", **quick, **{"llama-perplexity": "chatter"}),
        ]
        got = self.compare(*[x for p in peers for x in ("--peer", p)], "-r", "2", "--continue", "4", "--tests", "prefill,output,logits", "--timeout", "8")
        said = "\n".join(got["not_measured"])
        for s in ("ended with status 1: error: unable to load model", "was killed by signal 11 (Segmentation fault)", "did not end within 8 s",
                  "llama-bench printed no JSON", "llama-perplexity wrote no log-probabilities", "its JSON has no entry with avg_ts", "bytes, expected at least"):
            self.assertIn(s, said)
        engines = {e["engine"]: e for e in got["models"][0]["engines"]}
        for name in ("Lumen", "good"):
            self.assertEqual(len(engines[name]["tests"]["prefill_16"]["trials"]), 2)
            self.assertNotIn("not_measured", engines[name]["tests"]["prefill_16"])
        # What hangs is given up once, not for every test and round.
        hung = [c[0] for c in self.calls("hanging") if "--help" not in c and c[0] != "llama-completion"]
        self.assertEqual(sorted(hung), ["llama-bench", "llama-perplexity"])

    def test_logits_that_differ_are_seen(self):
        got = self.compare("--peer", self.peer(logits="shifted", text=" Paris."), "--tests", "logits")
        logits = got["models"][0]["engines"][1]["logits"]
        self.assertLess(logits["same_best"], 5)
        self.assertGreater(logits["kl_mean"], 1)

    def test_a_busy_core_slows_decoding(self):
        got = self.compare("--tests", "decode", "--busy", "-n", "32")
        tests = got["models"][0]["engines"][0]["tests"]
        self.assertEqual(sorted(tests), ["decode_32", "decode_32_beside_a_busy_core"])
        busy = tests["decode_32_beside_a_busy_core"]
        self.assertGreater(busy["median"], 0)
        self.assertGreater(busy["others_share"], 0.7 / os.cpu_count())  # a core, less what the run itself takes of it

    def test_an_interrupt_leaves_what_was_measured(self):
        """And no process, temporary directory or half-written report."""
        peer = self.peer("fake", **{"llama-completion": "hang", "text": ""}, options="")
        scratch = self.dir / "tmp"
        scratch.mkdir()
        command = [BINARY, "bench-compare", MODEL, "-r", "1", "--tests", "start", "--peer", peer, "--json", "-v", "--html", self.dir / "r.html"]
        env = {**os.environ, "LUMEN_BINARY": BINARY, "TMPDIR": str(scratch)}
        child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
        for line in child.stderr:
            if "fake: warming up" in line:
                break
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 1)
        self.assertTrue(err.endswith("lumen: interrupted: the results are those until then\n"), err)
        got = json.loads(out)
        self.assertTrue(all("interrupted" in line for line in got["not_measured"]) and got["not_measured"], got["not_measured"])
        self.assertTrue((self.dir / "r.html").exists())
        self.assertFalse((self.dir / "r.html.partial").exists())
        self.assertEqual(list(scratch.iterdir()), [])
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        self.assertNotIn(str(self.dir / "fake" / "llama-completion"), running)

    def test_engines_take_turns(self):
        peers = [self.peer("one", text=" Paris."), self.peer("two", text=" Paris.")]
        r = self.small("-r", "2", "--tests", "prefill", "-v", *[x for p in peers for x in ("--peer", p)])
        order = re.findall(r"smollm2, (\w+): round (\d)", r.stderr)
        self.assertEqual(order, [("Lumen", "1"), ("one", "1"), ("two", "1"), ("two", "2"), ("one", "2"), ("Lumen", "2")])


if __name__ == "__main__":
    unittest.main()
