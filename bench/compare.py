#!/usr/bin/env python3
"""Lumen's speed beside llama.cpp's (and ik_llama.cpp's, where built), alternating on the same machine with the same threads.

  compare.py MODEL… [-p 512] [-n 128] [-t THREADS] [-r ROUNDS] [--json FILE]      MODEL: a GGUF file or a fetched model's name

A round runs each program once on each model, so that a machine that changes its speed does so for all of them. Given are
medians over rounds, and Lumen's median over each peer's. The last column is the share of the machine's CPU time that
other processes took while the program ran: figures with much of it mean little. Peers come from bench/build_peers.sh.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def busy_seconds():
    """CPU seconds that everything on the machine has used (user, nice, system, irq, softirq)."""
    v = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / os.sysconf("SC_CLK_TCK")


def run(command):
    """(parsed JSON from stdout, share of the CPU taken by others meanwhile)."""
    busy, start = busy_seconds(), time.monotonic()
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = child.communicate()
    wall = time.monotonic() - start
    if child.returncode:
        sys.exit(f"compare.py: {' '.join(map(str, command))} exited with {child.returncode}: {err.strip()[-400:]}")
    times = os.times()
    own = times.children_user + times.children_system - run.before
    run.before += own
    others = max(0.0, busy_seconds() - busy - own) / (wall * os.cpu_count())
    try:
        return json.loads(out), others
    except ValueError:
        sys.exit(f"compare.py: {command[0]} did not print JSON: {out[:200]!r}")


run.before = 0.0


def bench_lumen(binary, args, model):
    got, others = run([binary, "bench", model, "-p", args.p, "-n", args.n, "-t", args.t, "-r", 1, "--json"])
    return {"prefill": got["prefill"]["tokens_per_second"], "decode": got["decode"]["tokens_per_second"], "others": others}


def bench_llama(extra):
    def bench(binary, args, model):
        got, others = run([binary, "-m", model, "-p", args.p, "-n", args.n, "-t", args.t, "-r", 1, "-o", "json", *extra])
        speed = {"prefill": None, "decode": None, "others": others}
        for test in got:
            speed["decode" if test["n_gen"] else "prefill"] = test["avg_ts"]
        return speed

    return bench


def find(name):
    store = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "lumen/models"
    for path in (Path(name), store / f"{name}.gguf"):
        if path.is_file():
            return path
    sys.exit(f"compare.py: no file {name}, and no {name}.gguf in {store}")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="+", metavar="MODEL")
    ap.add_argument("-p", type=int, default=512, help="tokens of prefill")
    ap.add_argument("-n", type=int, default=128, help="tokens of decode")
    ap.add_argument("-t", type=int, default=os.cpu_count(), help="threads")
    ap.add_argument("-r", type=int, default=5, help="rounds")
    ap.add_argument("--lumen", default=REPO / "build/lumen")
    ap.add_argument("--peers", default=REPO / "build/peers", type=Path)
    ap.add_argument("--no-lumen", action="store_true", help="only the peers")
    ap.add_argument("--json", metavar="FILE", help="every sample, for later")
    args = ap.parse_args()
    programs = [] if args.no_lumen else [("lumen", args.lumen, bench_lumen)]
    for name, binary, extra in [
        ("llama.cpp", "llama-bench", ()), ("llama.cpp -fa 1", "llama-bench", ("-fa", "1")),
        ("ik_llama.cpp", "ik-llama-bench", ("-fa", "1", "-rtr", "1")),
    ]:
        if (args.peers / "bin" / binary).exists():
            programs.append((name, args.peers / "bin" / binary, bench_llama(extra)))
    if len(programs) < 2:
        print(f"compare.py: no peer in {args.peers}/bin; bench/build_peers.sh builds them", file=sys.stderr)
    models = [find(m) for m in args.models]
    samples = {(m, p[0]): [] for m in models for p in programs}
    for r in range(args.r):
        for m in models:
            for name, binary, bench in programs:
                s = bench(binary, args, m)
                samples[m, name].append(s)
                if sys.stderr.isatty() or args.r * len(models) > 8:
                    print(f"round {r + 1} {m.stem} {name}: {s['prefill']:.1f} {s['decode']:.1f}", file=sys.stderr, flush=True)
    print(f"prefill {args.p}, decode {args.n}, {args.t} threads, medians of {args.r}, tokens/s; load average now {os.getloadavg()[0]:.1f}\n")
    print("| model | program | prefill | decode | Lumen/it: prefill | decode | CPU taken by others |\n|---|---|---|---|---|---|---|")
    for m in models:
        median = {p[0]: {k: statistics.median(s[k] for s in samples[m, p[0]]) for k in ("prefill", "decode", "others")} for p in programs}
        for name, v in median.items():
            ours = median.get("lumen", v)
            ratio = [f"{ours[k] / v[k]:.2f}" if "lumen" in median and name != "lumen" else "" for k in ("prefill", "decode")]
            print(f"| {m.stem} | {name} | {v['prefill']:.1f} | {v['decode']:.1f} | {ratio[0]} | {ratio[1]} | {100 * v['others']:.0f}% |")
    if args.json:
        flat = [{"model": m.stem, "program": p, "samples": s} for (m, p), s in samples.items()]
        Path(args.json).write_text(json.dumps({"p": args.p, "n": args.n, "threads": args.t, "results": flat}, indent=1) + "\n")


if __name__ == "__main__":
    main()
