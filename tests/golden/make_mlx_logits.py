#!/usr/bin/env python3
"""Writes tests/golden/mlx_logits.json: logits that mlx-lm (CPU, float32) gives for MLX directories converted from one of
make_hf_directory.py's, at 8, 4 and 3 bits. The directories are left in OUT/smollm2-BITS. Needs: pip install "mlx[cpu]" mlx-lm

usage: make_mlx_logits.py HF_DIRECTORY OUT
"""
import json
import pathlib
import sys

import mlx.core as mx
import numpy as np
from mlx_lm import convert, load

mx.set_default_device(mx.cpu)
PROMPTS = [[504, 3575, 282, 4649, 314], [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198], list(range(300, 340))]


def main():
    source, out = sys.argv[1], pathlib.Path(sys.argv[2])
    result = {}
    for bits, group in [(8, 64), (4, 32), (3, 64)]:
        path = out / f"smollm2-{bits}"
        if not path.exists():
            convert(source, str(path), quantize=True, q_bits=bits, q_group_size=group)
        model, _ = load(str(path))
        model.set_dtype(mx.float32)
        cases = []
        for ids in PROMPTS:
            logits = np.array(model(mx.array([ids]))[0, -2:])
            rows = [{str(i): round(float(row[i]), 5) for i in sorted({*row.argsort()[-10:].tolist(), *range(0, len(row), 1009)})} for row in logits]
            cases.append({"tokens": ids, "rows": rows})
        result[str(bits)] = cases
    pathlib.Path(__file__).with_name("mlx_logits.json").write_text(json.dumps(result).replace("{\"tokens\"", "\n{\"tokens\"") + "\n")


main()
