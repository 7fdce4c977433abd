#!/usr/bin/env python3
"""Lumen's exact logits of models that mlx_lm converted, beside mlx-lm's own on the CPU in float32.

  mlx_logits.py MODEL.gguf [--bits 8 4 3] [--group 64] [--lumen build/lumen] [--dir build/mlx]

MODEL.gguf is a Llama (SmolLM2): its weights are decoded to a Hugging Face directory in bf16 (tests/golden/make_hf_directory.py), which
`mlx_lm convert` quantises. Compared are the logits of every position of some prompts of prompts.json; the bound is 1e-3. Needs the
PyPI packages mlx (with its CPU backend), mlx-lm, transformers, gguf. Exit status 1 when a bound does not hold.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
BOUND = 1e-3
PROMPTS = ("capital", "chat", "korean-short", "english")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("model", type=Path)
    ap.add_argument("--bits", type=int, nargs="+", default=[8, 4, 3])
    ap.add_argument("--group", type=int, default=64)
    ap.add_argument("--lumen", default=REPO / "build/lumen")
    ap.add_argument("--dir", default=REPO / "build/mlx", type=Path)
    args = ap.parse_args()
    import mlx.core as mx
    from mlx_lm import convert, load

    mx.set_default_device(mx.cpu)
    args.dir.mkdir(parents=True, exist_ok=True)
    source = args.dir / f"{args.model.stem}-bf16"
    if not (source / "config.json").exists():
        subprocess.run([sys.executable, REPO / "tests/golden/make_hf_directory.py", args.model, source], check=True)
    prompts = {p["name"]: p["tokens"]["smollm2"] for p in json.loads((HERE / "prompts.json").read_text()) if p["name"] in PROMPTS}
    worst = 0.0
    print("| bits | prompt | tokens | max \\|Δ\\| | same best token |\n|---|---|---|---|---|")
    for bits in args.bits:
        path = args.dir / f"{args.model.stem}-mlx{bits}"
        if not (path / "config.json").exists():
            convert(str(source), mlx_path=str(path), quantize=True, q_bits=bits, q_group_size=args.group)
        model, _ = load(str(path))
        model.set_dtype(mx.float32)
        for name, ids in prompts.items():
            want = np.array(model(mx.array([ids]))[0])
            run = subprocess.run([args.lumen, "logits", path, "--exact", "--json", "--last", str(len(ids)), "--tokens", ",".join(map(str, ids))],
                                 stdout=subprocess.PIPE, env={**os.environ, "LUMEN_CACHE": "off"}, check=True)
            got = np.array(json.loads(run.stdout)["logits"])
            delta = float(np.abs(got - want).max())
            worst = max(worst, delta)
            same = float(np.mean(got.argmax(1) == want.argmax(1)))
            print(f"| {bits} | {name} | {len(ids)} | {delta:.1e} | {100 * same:.0f}% |", flush=True)
    if worst > BOUND:
        sys.exit(f"mlx_logits.py: logits differ by {worst:.1e}, expected at most {BOUND:.0e}")


if __name__ == "__main__":
    main()
