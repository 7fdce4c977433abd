#!/usr/bin/env python3
"""Writes tests/golden/hf_logits.json: logits that transformers (CPU, float32) gives for directories of make_hf_directory.py.

usage: make_hf_logits.py NAME=DIRECTORY ...
For each prompt the last three positions: the ten greatest logits and every 1009th. Needs: pip install torch transformers
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

PROMPTS = [[504, 3575, 282, 4649, 314], [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198], list(range(300, 380))]


def main():
    out = {}
    for argument in sys.argv[1:]:
        name, directory = argument.split("=", 1)
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        cases = []
        for ids in PROMPTS:
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -3:].double().numpy()
            rows = []
            for row in logits:
                some = sorted({*row.argsort()[-10:].tolist(), *range(0, len(row), 1009)})
                rows.append({str(i): round(float(row[i]), 5) for i in some})
            cases.append({"tokens": ids, "rows": rows})
        out[name] = cases
    path = pathlib.Path(__file__).with_name("hf_logits.json")
    path.write_text(json.dumps(out).replace("{\"tokens\"", "\n{\"tokens\"") + "\n")


main()
