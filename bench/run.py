#!/usr/bin/env python3
"""Everything that `make bench` does: peers, models, `lumen bench-compare`, and what it found into docs/benchmarks.md.

  run.py [MODEL…] [--synth SHAPE-TYPE,…] [--peers llama,ik,mlx] [--out DIR] [--no-docs] [-- OPTIONS OF bench-compare]

MODEL: a GGUF file or a fetched model's name (default smollm2). Peers are built by bench/build_peers.sh (a peer that cannot be built is
left out and said), synthetic models by bench/make_synth.py, which needs the Python package gguf. DIR (build/bench) gets report.html and
report.json. The tables take the place of what stands between the two markers in docs/benchmarks.md.
"""
import argparse
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs/benchmarks.md"
PEERS = {"llama": ("llama.cpp", "llama-bench"), "ik": ("ik_llama.cpp", "ik-llama-bench"), "mlx": ("mlx-lm", "mlx-llama-bench")}


def into_docs(text, section="bench-compare"):
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    page = DOCS.read_text()
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"{DOCS}: expected the lines {begin} and {end} once each")
    head, rest = page.split(begin)
    DOCS.write_text(f"{head}{begin}\n{text.strip()}\n{end}{rest.split(end)[1]}")


def built(peer, directory):
    """What --peer takes, of a peer's short name; nothing where it cannot be built."""
    name, program = PEERS[peer]
    if subprocess.run([REPO / "bench/build_peers.sh", directory, peer], stdout=sys.stderr).returncode:
        print(f"run.py: {name} could not be built and is left out", file=sys.stderr)
        return None
    return f"{name}={Path(directory) / 'bin' / program}"


def python():
    """One that has the package gguf: ./test.sh makes it."""
    venv = REPO / "build/venv/bin/python"
    return venv if venv.exists() else sys.executable


def main():
    ours, theirs = sys.argv[1:], []
    if "--" in ours:
        ours, theirs = ours[: ours.index("--")], ours[ours.index("--") + 1 :]
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="*", metavar="MODEL")
    ap.add_argument("--synth", default="", help="synthetic models: llama1b-q4_0,llama1b-q8_0")
    ap.add_argument("--peers", default="llama,ik", help="which to build and measure; empty: none")
    ap.add_argument("--peer-dir", type=Path, default=REPO / "build/peers", help="where peers are built")
    ap.add_argument("--lumen", type=Path, default=REPO / "build/lumen")
    ap.add_argument("--out", type=Path, default=REPO / "build/bench")
    ap.add_argument("--no-docs", action="store_true", help="leave docs/benchmarks.md as it is")
    args = ap.parse_args(ours)
    args.out.mkdir(parents=True, exist_ok=True)
    command = [args.lumen, "bench-compare"]
    for peer in filter(None, args.peers.split(",")):
        if peer not in PEERS:
            ap.error(f"--peers: expected some of {','.join(PEERS)}, found '{peer}'")
        if spec := built(peer, args.peer_dir):
            command += ["--peer", spec]
    models = args.models or ([] if args.synth else ["smollm2"])
    for synthetic in filter(None, args.synth.split(",")):
        file = args.out / f"{synthetic}.gguf"
        if not file.exists():
            subprocess.run([python(), REPO / "bench/make_synth.py", args.out, synthetic], check=True)
        models.append(file)
    command += [*models, "--html", args.out / "report.html", "--save", args.out / "report.json", "-v", *theirs]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    print(done.stdout)
    if not args.no_docs:
        into_docs(done.stdout)


if __name__ == "__main__":
    main()
