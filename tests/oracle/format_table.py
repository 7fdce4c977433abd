#!/usr/bin/env python3
"""Every tensor type of GGUF: what Lumen makes of it, and how near its logits are to an exact reference, beside llama.cpp's.

  format_table.py MODEL.gguf [--lumen build/lumen] [--only q4_0,iq2_s] [--cache DIR]     prints the table and writes docs/format_table.md

For each type llama.cpp's own quantiser (out of PyPI xllamacpp; an importance of 1 everywhere where it wants one) writes the weights of
MODEL's feed-forward down projections in that type, those of a width that its blocks divide; everything else stays as it is in MODEL.
KL is the mean divergence of the output distribution from that of reference.py, in nats, over the last positions of some prompts, as in
accuracy.py. What was measured is kept in --cache, by type, so that a run can be taken up again; without --only all types are in the table.
"""
import argparse
import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from accuracy import kl  # noqa: E402
from llamacpp import LlamaCpp  # noqa: E402

LAST = 16
PROMPTS = ("python", "chat", "english")
NOT_DECODED = {"q1_0": (41, 128, 18), "q2_0": (42, 64, 18)}  # by gguf: number, elements and bytes of a block
BITS = {"f32": 32, "f16": 16, "bf16": 16, "i8": 8, "u8": 8, "i16": 16}


def say(*text):
    print(*text, file=sys.stderr, flush=True)


def library():
    lib = ctypes.CDLL(str(Path(importlib.util.find_spec("xllamacpp").origin).with_name("xllamacpp.abi3.so")))
    p = ctypes.c_void_p
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, p, p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, p]
    lib.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
    return lib


def formats():
    """{name: (GGUF number, elements of a block, its bytes, lines, of them the grid's)} of the standard formats with a block."""
    out = {}
    shared = {}
    for path in sorted((REPO / "lum/formats").glob("*.lum")):
        text = path.read_text()
        for name in re.findall(r"^table (\w+)", text, re.M):
            shared[name] = len(text.splitlines())
    sizes = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "f16": 2, "bf16": 2, "u32": 4, "i32": 4, "f32": 4}
    for path in sorted((REPO / "lum/formats").glob("*.lum")):
        text = path.read_text()
        number, block = re.search(r"^  gguf (\d+)", text, re.M), re.search(r"block \[(\d+)\] \{(.*)\}", text)
        if not number or not block or int(block[1]) == 1:
            continue
        size = sum(sizes[t] * int(n or 1) for t, n in re.findall(r"\w+: (\w+)(?:\[(\d+)\])?", block[2]))
        grid = sum(1 for line in text.splitlines() if re.match(r'\s+"[0-9a-f]+",?$', line))
        grid += sum(n for name, n in shared.items() if name in text)
        own = len(text.splitlines())
        out[path.stem] = (int(number[1]), int(block[1]), size, own, grid)
    return out


def source_rows(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def quantise(lib, number, block, size, rows):
    n, k = rows.shape
    rows = np.ascontiguousarray(rows)
    out = np.zeros((n, k // block * size), np.uint8)
    importance = np.ones(k, np.float32)
    need = lib.ggml_quantize_requires_imatrix(number)
    got = lib.ggml_quantize_chunk(number, rows.ctypes.data, out.ctypes.data, 0, n, k, importance.ctypes.data if need else None)
    assert got == out.nbytes, (got, out.nbytes)
    return out


def write(lib, source, path, number, block, size):
    """The copy with the down projections in the new type: gguf's writer refuses types it does not know, so the file is put together here."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value_type = field.types[0]
        writer.add_key_value(name, field.contents(), value_type, sub_type=field.types[-1] if value_type == gguf.GGUFValueType.ARRAY else None)
    changed, data = 0, []
    for t in reader.tensors:
        if t.name.endswith("ffn_down.weight") and int(t.shape[0]) % block == 0:
            blob = quantise(lib, number, block, size, source_rows(t))
            changed += 1
            kind = number
        else:
            blob, kind = t.data, int(t.tensor_type)
        blob = np.ascontiguousarray(blob).view(np.uint8).reshape(-1)
        data.append(blob)
        info = gguf.gguf_writer.TensorInfo(shape=tuple(int(d) for d in reversed(t.shape)), dtype=kind, nbytes=blob.nbytes)
        writer.tensors[0][t.name] = info
    if not changed:
        raise SystemExit(f"format_table.py: no down projection of {source} has rows of whole blocks of {block}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    writer.write_padding(file, file.tell())
    for blob in data:
        file.write(blob.tobytes())
        writer.write_padding(file, blob.nbytes)
    writer.close()
    return changed


def decoder(lib, name):
    number, block, size = NOT_DECODED[name]
    f = getattr(lib, f"dequantize_row_{name}")
    f.restype, f.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]

    def decode(data):
        data = np.ascontiguousarray(data)
        out = np.empty((len(data), block), np.float32)
        f(data.ctypes.data, out.ctypes.data, out.size)
        return out

    return {number: (block, size, decode)}


def logits_of(lumen, path, ids):
    run = subprocess.run([lumen, "logits", path, "--tokens", ",".join(map(str, ids)), "--last", str(LAST), "--json"], capture_output=True, text=True,
                         env={**os.environ, "LUMEN_CACHE": "off"})
    if run.returncode:
        raise SystemExit(f"format_table.py: {run.stderr.strip()}")
    return np.array(json.loads(run.stdout)["logits"], np.float32)


def measure(lib, name, number, block, size, source, lumen, prompts):
    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / f"{name}.gguf")
        changed = write(lib, source, path, number, block, size)
        exact, _ = reference.Reference(path, formats=decoder(lib, name) if name in NOT_DECODED else None).run(prompts, LAST, (), lambda *_: None)
        peer = LlamaCpp(path)
        theirs = [kl(want, peer.logits(ids, LAST), ids)[0] for want, ids in zip(exact, prompts)]
        ours = [kl(want, logits_of(lumen, path, ids), ids)[0] for want, ids in zip(exact, prompts)]
        form = form_of(lumen, path, name)
    return {"tensors": changed, "lumen": float(np.mean(ours)), "llamacpp": float(np.mean(theirs)), "form": form, **speed(lumen, name)}


def speed(lumen, name):
    """Bytes of packed weight a second while decoding, and the machine's reading of memory in the same run."""
    run = subprocess.run([lumen, "bench-kernels", name, "--seconds", "0.3", "--json"], capture_output=True, text=True, check=True)
    got = json.loads(run.stdout)
    return {"decode": got["formats"][0]["decode_bytes_per_second"], "read": got["read_bytes_per_second"], "cpu": got["cpu"], "threads": got["threads"]}


def form_of(lumen, path, name):
    text = subprocess.run([lumen, "inspect", path], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^\s*{name}\b.*?((?:codes: |no integer form: ).*)$", text, re.M)
    if not found:
        raise SystemExit(f"format_table.py: lumen inspect does not say what it makes of {name}")
    return found[1]


def packed_bits(form):
    """Bits of one weight in the packed layout: its code and its share of the levels."""
    bits = float(re.match(r"codes: (\d+) bits", form)[1])
    return bits + sum(BITS[t] / int(extent) for t, extent in re.findall(r"(f32|f16|bf16|i8|u8|i16) / (\d+)", form))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--lumen", default=str(REPO / "build/lumen"))
    parser.add_argument("--only", help="types to measure, separated by commas")
    parser.add_argument("--cache", default=str(REPO / "build/format_table"))
    args = parser.parse_args()
    cache = Path(args.cache)
    cache.mkdir(parents=True, exist_ok=True)
    lib, all_formats = library(), formats()
    arch = gguf.GGUFReader(args.model).fields["general.architecture"].contents()
    key = {"llama": "smollm2", "qwen2": "qwen2", "gemma3": "gemma3"}[arch]
    prompts = [p["tokens"][key] for p in json.loads((HERE / "prompts.json").read_text()) if p["name"] in PROMPTS]
    rows, machine = [], ""
    for name, (number, block, size, lines, grid) in sorted(all_formats.items(), key=lambda f: 8 * f[1][2] / f[1][1]):
        kept = cache / f"{Path(args.model).stem}-{name}.json"
        if not kept.exists() and (not args.only or name in args.only.split(",")):
            kept.write_text(json.dumps(measure(lib, name, number, block, size, args.model, args.lumen, prompts)))
        if not kept.exists():
            continue
        m = json.loads(kept.read_text())
        form = m["form"]
        path = "float" if form.startswith("no ") else "integer, code book" if "code book" in form else "integer, affine"
        packed = "32 (f32)" if path == "float" else f"{packed_bits(form):.2f}"
        of_grid = f" + {grid} of its grid" if grid else ""
        rows.append(f"| {name} | {number} | {8 * size / block:.2f} | {lines - grid if grid and lines > grid else lines}{of_grid} | {path} | {packed} | "
                    f"{m['decode'] / 1e9:.1f} | {m['lumen']:.2e} | {m['llamacpp']:.2e} | {m['lumen'] / m['llamacpp']:.2f} |")
        machine = f"{m['cpu']}, {m['threads']} threads"
        say(rows[-1])
    out = [
        "# GGUF's tensor types", "",
        "Made by `tests/oracle/format_table.py`; do not edit. Each type is one file of `lum/formats/`. The path is what the compiler finds in it",
        "([formats.md](formats.md)): integer dot products with codes that are an affine function of the number, or go through a code book of at most 16",
        "entries; or floats. Bits are those of one weight with its share of the scales, in the file and in the packed layout.", "",
        f"KL is the mean divergence from an exact reference of the output distribution, in nats, of {Path(args.model).stem} with its down projections",
        "in that type, written by llama.cpp's quantiser (an importance of 1 everywhere where it wants one), all else as in the file.", "",
        f"Decode is what `lumen bench-kernels` reads of packed weights a second, one token at a time ({machine}, shared with others: figures beside a",
        "busy neighbour are low; docs/benchmarks.md has those of a quiet machine).", "",
        "| type | GGUF number | bits in the file | lines | path | bits packed | decode, GB/s | KL, Lumen | KL, llama.cpp | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|", *rows, "",
    ]
    (REPO / "docs/format_table.md").write_text("\n".join(out))
    print("\n".join(out))


if __name__ == "__main__":
    main()
