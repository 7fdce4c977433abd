#!/usr/bin/env python3
"""Speed of formats from a user's .lum files beside standard formats of about the same width, on one model requantised to each.

  user_formats.py MODEL.gguf [--pairs u3:q3_k,u4_levels:iq4_nl,u6:q6_k] [--lum DIR] [--layers N] [-p 512] [-n 64] [-r 5] [--dir DIR]

All matrices of the model, the embedding too, take the format. --layers N keeps only the first N layers (the speed of a layer does
not depend on how many there are, and requantising takes a while); the script needs the package gguf for that, else nothing. A round
runs every format once, so that a machine that changes its speed does so for all; given are medians and the share of the standard
format's speed. --dir keeps the requantised files for the next time. The last column says how much of the CPU others took.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def cut(source, target, layers):
    """A copy whose header names only the first layers. The data stays as it is, with parts that no tensor names."""
    import gguf

    reader = gguf.GGUFReader(source)
    raw = memoryview(reader.data)
    arch = reader.fields["general.architecture"].contents()
    count = reader.fields[f"{arch}.block_count"]
    head = bytearray(raw[: reader.tensors[0].field.offset])
    at = count.offset + sum(p.nbytes for p in count.parts[:-1])
    head[at : at + count.parts[-1].nbytes] = layers.to_bytes(count.parts[-1].nbytes, "little")
    kept = 0
    for t in reader.tensors:
        words = t.name.split(".")
        if words[0] == "blk" and int(words[1]) >= layers:
            continue
        head += raw[t.field.offset : t.field.offset + sum(p.nbytes for p in t.field.parts)]
        kept += 1
    head[8:16] = kept.to_bytes(8, "little")
    with open(target, "wb") as f:
        f.write(head + b"\0" * (-len(head) % reader.alignment))
        f.write(raw[reader.data_offset :])


def requantise(args, directory, formats):
    """{format: file}"""
    model = args.model
    if args.layers:
        model = directory / f"{args.model.stem}-{args.layers}.gguf"
        if not model.exists():
            cut(args.model, model, args.layers)
    files = {}
    for f in formats:
        files[f] = directory / f"{model.stem}-{f}.gguf"
        if files[f].exists():
            continue
        print(f"{f}: requantising", file=sys.stderr, flush=True)
        command = [args.lumen, "quantize", model, files[f], "--format", f, "--lum", args.lum, "--quiet"]
        subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)
    return files


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("model", type=Path)
    ap.add_argument("--pairs", default="u3:q3_k,u4_levels:iq4_nl,u6:q6_k", help="user's format:standard format, ...")
    ap.add_argument("--lum", default=REPO / "tests/e2e/lum", help="directory of the user's .lum files")
    ap.add_argument("--layers", type=int, default=0)
    ap.add_argument("-p", type=int, default=512, help="tokens of prefill")
    ap.add_argument("-n", type=int, default=64, help="tokens of decode")
    ap.add_argument("-t", type=int, default=os.cpu_count(), help="threads")
    ap.add_argument("-r", type=int, default=5, help="rounds")
    ap.add_argument("--target", default="native")
    ap.add_argument("--lumen", default=REPO / "build/lumen")
    ap.add_argument("--dir", type=Path, help="where requantised files are kept")
    ap.add_argument("--json", metavar="FILE", help="every sample, for later")
    args = ap.parse_args()
    pairs = [p.split(":") for p in args.pairs.split(",")]
    formats = sorted({f for p in pairs for f in p})
    with tempfile.TemporaryDirectory() as temporary:
        directory = args.dir or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        files = requantise(args, directory, formats)
        command = [args.lumen, "bench-compare", *(files[f] for f in formats), "--lum", args.lum, "--tests", "prefill,decode", "-p", args.p, "-n", args.n,
                   "-t", args.t, "-r", args.r, "--target", args.target, "--json"]
        got = json.loads(subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE).stdout)
        sizes = {f: files[f].stat().st_size for f in formats}
    median = {}
    for f, model in zip(formats, got["models"]):
        tests = model["engines"][0]["tests"]
        prefill, decode = tests[f"prefill_{args.p}"], tests[f"decode_{args.n}"]
        if "median" not in prefill or "median" not in decode:
            sys.exit(f"user_formats.py: {f}: {'; '.join(got['not_measured'])}")
        median[f] = {"prefill": prefill["median"], "decode": decode["median"], "others": (prefill["others_share"] + decode["others_share"]) / 2}
    what = f"{args.model.stem}, {args.layers or 'all'} layers, target {args.target}"
    print(f"{what}: prefill {args.p}, decode {args.n}, {args.t} threads, medians of {args.r}, tokens/s\n")
    print("| format | MB | prefill | decode | beside | prefill | decode | CPU taken by others |\n|---|---|---|---|---|---|---|---|")
    for mine, theirs in pairs:
        for f, beside in ((mine, theirs), (theirs, None)):
            m = median[f]
            ratio = [f"{m[k] / median[beside][k]:.2f}" if beside else "" for k in ("prefill", "decode")]
            print(f"| {f} | {sizes[f] / 1e6:.0f} | {m['prefill']:.1f} | {m['decode']:.2f} | {beside or ''} | {' | '.join(ratio)} | {100 * m['others']:.0f}% |")
    if args.json:
        Path(args.json).write_text(json.dumps({"what": what, "comparison": got}, indent=1) + "\n")


if __name__ == "__main__":
    main()
