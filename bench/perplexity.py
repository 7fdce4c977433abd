#!/usr/bin/env python3
"""Perplexity by Lumen and by llama.cpp, on the same text, model file by model file.

  perplexity.py MODEL.gguf… [--formats q8_0,q4_k_m] [--text FILE] [--tokens 20000] [--lumen build/lumen] [--peers build/peers]

Both engines cut the text into chunks of 512 tokens and judge the second half of each (`lumen perplexity --help`). The text, where none is
given, is Lumen's own documentation (Apache-2.0). With --formats each model is first written in each of these formats or recipes by
`lumen quantize`, and those files are judged. llama-perplexity comes from bench/build_peers.sh. Printed is a table; the last column is Lumen's perplexity over llama.cpp's.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
CHUNK = 512


def text_file(build):
    """The project's own documentation as one file."""
    build.mkdir(parents=True, exist_ok=True)
    out = build / "perplexity.txt"
    pages = [*sorted(REPO.glob("docs/*.md")), *sorted(REPO.glob("*.md"))]
    out.write_text("\n".join(p.read_text() for p in pages))
    return out


def lumen(binary, model, text, chunks, exact=()):
    done = subprocess.run([binary, "perplexity", model, text, "--chunk", str(CHUNK), "--chunks", str(chunks), "--json", *exact],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def llamacpp(binary, model, text, chunks):
    done = subprocess.run([binary, "-m", model, "-f", text, "-c", str(CHUNK), "-b", str(CHUNK), "--chunks", str(chunks), "-fa", "on",
                           "-t", str(os.cpu_count())], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    found = re.search(r"Final estimate: PPL = ([0-9.]+) \+/- ([0-9.]+)", done.stdout)
    if not found:
        sys.exit(f"perplexity.py: {binary} printed no estimate: {done.stdout[-400:]}")
    return float(found[1])


def quantized(binary, model, formats, folder):
    """The model as it is, or written in each of the formats, one after the other: (name, path)."""
    if not formats:
        yield model.stem, model
    for name in formats:
        out = Path(folder) / "model.gguf"
        option = "--recipe" if (REPO / f"lum/recipes/{name}.json").exists() else "--format"
        subprocess.run([binary, "quantize", model, out, option, name, "--quiet"], stdout=subprocess.DEVNULL, check=True)
        yield f"{model.stem} {name}", out
        out.unlink()


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="+", metavar="MODEL", type=Path)
    ap.add_argument("--formats", type=lambda text: text.split(","), default=[], help="formats and recipes, separated by commas")
    ap.add_argument("--text", type=Path)
    ap.add_argument("--tokens", type=int, default=20000, help="of the text, at most")
    ap.add_argument("--lumen", default=REPO / "build/lumen", type=Path)
    ap.add_argument("--peers", default=REPO / "build/peers", type=Path)
    args = ap.parse_args()
    peer = args.peers / "bin/llama-perplexity"
    if not peer.exists():
        sys.exit(f"perplexity.py: no {peer}; bench/build_peers.sh builds it")
    text = args.text or text_file(REPO / "build")
    print("| model | tokens judged | Lumen | llama.cpp | Lumen / llama.cpp |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lumen-perplexity-") as folder:
        for name, model in (pair for given in args.models for pair in quantized(args.lumen, given, args.formats, folder)):
            ours = lumen(args.lumen, model, text, args.tokens // CHUNK)
            theirs = llamacpp(peer, model, text, ours["chunks"])
            ratio = ours["perplexity"] / theirs
            print(f"| {name} | {ours['tokens']} | {ours['perplexity']:.4f} | {theirs:.4f} | {ratio:.4f} |", flush=True)


if __name__ == "__main__":
    main()
