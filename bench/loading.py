#!/usr/bin/env python3
"""Loading time and peak memory of a GGUF file beside llama.cpp and of a Hugging Face directory beside mlx-lm, against the bars:
a new process is at its first token no later than the peer's; at most file + KV cache + 200 MB are resident, and at most the peer's.

  loading.py [GGUF…] [--directory DIR…] [--source MODEL.gguf] [--out DIR] [-r ROUNDS] [--no-docs]

Without a GGUF: a synthetic 8B in Q4_0 (bench/make_synth.py; 4.6 GB in --out, left there). Without a directory: --source (a Llama or Qwen2
of about half a billion weights) rebuilt in bf16 by tests/golden/make_hf_directory.py. Every trial is a process of its own, engines in turns
(`lumen bench-compare --tests start`), files in the page cache. The table takes the place of what stands between the two markers in
docs/benchmarks.md. Exit status 1 when a bar does not hold.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import run

SLACK = 200e6     # bytes beyond file and KV cache
CONTEXT = 512     # tokens, of the starts of bench-compare


def compare(args, models, peer):
    command = [args.lumen, "bench-compare", *models, "--peer", peer, "--tests", "start", "-r", args.rounds, "-v", "--json"]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    got = json.loads(done.stdout)
    for problem in got["not_measured"] + got["warnings"]:
        print(f"loading.py: {problem}", file=sys.stderr)
    return got


def seconds(tests, name):
    t = tests.get(name, {})
    return f"{t['median']:.3f} ({t['lowest']:.3f} to {t['highest']:.3f})" if "median" in t else ""


def mega(n):
    return f"{n / 1e6:.0f}" if n else ""


def judge(model):
    """Rows of the table, and the bars that do not hold."""
    bar = model["file_bytes"] + model["cache_bytes_per_token"] * CONTEXT + SLACK
    rows, missed = [], []
    ours, theirs = model["engines"][:2]
    for e in (ours, theirs):
        t = e["tests"]
        rows.append(f"| {model['model']} | {e['engine']} | {seconds(t, 'first_start')} | {seconds(t, 'cold_start')} | {seconds(t, 'hot_first_token')} | "
                    f"{mega(e['peak_bytes_first_start'])} | {mega(e['peak_bytes'])} | {mega(bar)} |")
    name, peer = model["model"], theirs["engine"]
    for kind in ("first_start", "cold_start"):
        mine, other = ours["tests"].get(kind, {}).get("median"), theirs["tests"].get("cold_start", {}).get("median")
        if mine is None or other is None:
            missed.append(f"{name}: {kind} was not measured on both sides")
        elif mine > other:
            missed.append(f"{name}: {kind} {mine:.3f} s, {peer} {other:.3f} s")
    for kind in ("peak_bytes_first_start", "peak_bytes"):
        for most, what in ((bar, "file + KV + 200 MB"), (theirs["peak_bytes"], peer)):
            if ours[kind] > most:
                missed.append(f"{name}: {kind} {mega(ours[kind])} MB, {what} {mega(most)} MB")
    return rows, missed


def directory_of(args):
    out = args.out / f"{args.source.stem}-bf16"
    if not (out / "config.json").exists():
        subprocess.run([run.python(), run.REPO / "tests/golden/make_hf_directory.py", args.source, out], check=True)
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="*", metavar="GGUF", type=Path)
    ap.add_argument("--directory", action="append", default=[], type=Path)
    ap.add_argument("--source", default=Path("qwen2.5-coder-0.5b.gguf"), type=Path, help="what the directory is rebuilt from")
    ap.add_argument("--out", default=run.REPO / "build/bench", type=Path)
    ap.add_argument("--peer-dir", type=Path, default=run.REPO / "build/peers", help="where peers are built")
    ap.add_argument("--lumen", default=run.REPO / "build/lumen", type=Path)
    ap.add_argument("-r", "--rounds", type=int, default=5)
    ap.add_argument("--no-docs", action="store_true", help="leave docs/benchmarks.md as it is")
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.models:
        subprocess.run([run.python(), run.REPO / "bench/make_synth.py", args.out, "llama8b-q4_0"], check=True)
    pairs = [("llama", args.models or [args.out / "llama8b-q4_0.gguf"]), ("mlx", args.directory or [directory_of(args)])]
    lines = ["| model | engine | nothing kept from earlier, s | cold start, s | hot first token, s | most memory, nothing kept, MB | most memory, MB | bar, MB |",
             "|---|---|---|---|---|---|---|---|"]
    missed, got = [], None
    for peer, models in pairs:
        spec = run.built(peer, args.peer_dir)
        if not spec:
            sys.exit(f"loading.py: without {run.PEERS[peer][0]} there is nothing to hold the figures against")
        got = compare(args, models, spec)
        for model in got["models"]:
            rows, bad = judge(model)
            lines += rows
            missed += bad
    head = f"{got['machine']['cpu']}, {got['machine']['cores']} cores, {got['threads']} threads, {got['date']}, {got['rounds']} rounds; medians (lowest to highest)."
    tail = "Every bar holds." if not missed else "Bars that do not hold:\n\n" + "\n".join(f"- {m}" for m in missed)
    text = "\n".join([head, "", *lines, "", tail])
    print(text)
    if not args.no_docs:
        run.into_docs(text, "loading")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
