#!/usr/bin/env python3
"""Every tensor type of GGUF: what Lumen makes of it, and how near its logits are to an exact reference, beside llama.cpp's.

  format_table.py MODEL.gguf [--lumen build/lumen] [--only q4_0,iq2_s] [--cache DIR]     prints the table and writes docs/format_table.md

For each type llama.cpp's own quantiser (out of PyPI xllamacpp; an importance of 1 everywhere where it wants one) writes the feed-forward
down projections of every third layer of MODEL in that type; everything else stays as it is in MODEL. (Of all layers it would write iq1_m for
half an hour, and a model of a few bits in all of them answers so chaotically that any two roundings of activations are far apart.)
KL is the mean divergence of the output distribution from that of reference.py, in nats, over the last positions of some prompts, as in
accuracy.py. Beside Lumen's and llama.cpp's stands that of the reference itself with activations rounded to 8 bits by 32: what such rounding
costs, however it is done. --cache keeps what llama.cpp wrote, and what was measured by the same program, by type: a run can be taken up again.
Without --only all types are in the table; with it, those that were kept, and --write writes the file all the same.
"""
import argparse
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path.insert(0, str(HERE))
import reference  # noqa: E402
from accuracy import kl  # noqa: E402
from llamacpp import LlamaCpp  # noqa: E402

LAST = 24
PROMPTS = ("python", "chat", "korean-short", "english")
NOT_DECODED = {"q1_0": (128, 18), "q2_0": (64, 18)}  # by gguf: elements and bytes of a block
PLAIN = ("f32", "f16", "bf16")


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
        if not re.search(r"^format ", text, re.M):  # a grid that several types share
            shared.update({name: len(text.splitlines()) for name in re.findall(r"^table (\w+)", text, re.M)})
    sizes = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "f16": 2, "bf16": 2, "u32": 4, "i32": 4, "f32": 4}
    for path in sorted((REPO / "lum/formats").glob("*.lum")):
        text = path.read_text()
        number, block = re.search(r"^  gguf (\d+)", text, re.M), re.search(r"block \[(\d+)\] \{(.*)\}", text)
        if not number or not block:
            continue
        size = sum(sizes[t] * int(n or 1) for t, n in re.findall(r"\w+: (\w+)(?:\[(\d+)\])?", block[2]))
        grid = sum(1 for line in text.splitlines() if re.match(r'\s+"[0-9a-f]+",?$', line))
        grid += sum(n for name, n in shared.items() if name in text)
        own = len(text.splitlines())
        out[path.stem] = (int(number[1]), int(block[1]), size, own, grid)
    return out


def changes(name):
    """Whether a tensor takes the type: the down projections of layers 1, 4, 7 and so on."""
    layer = re.fullmatch(r"blk\.(\d+)\.ffn_down\.weight", name)
    return layer is not None and int(layer[1]) % 3 == 1


class Exact(reference.Reference):
    """The reference, read once for all types: `changed` are the values of tensors that take the type. eight_bits: what matrices are
    multiplied with is rounded."""

    def __init__(self, path):
        super().__init__(path, np.float32)  # moves a logit by some 1e-4 where 8-bit activations move it by 0.1
        self.path, self.values, self.changed, self.eight_bits = path, {}, {}, False

    def rows(self, name):
        if name not in self.values:
            t = self.tensors[name]
            self.values[name] = gguf.dequantize(t.data, t.tensor_type)
        return self.values[name]

    def weight(self, name, rows=slice(None)):
        return (self.changed[name] if name in self.changed else self.rows(name))[rows]

    def input(self, x):
        if not self.eight_bits:
            return x
        runs = x.reshape(len(x), -1, 32)
        scale = np.abs(runs).max(axis=2, keepdims=True) / 127
        scale[scale == 0] = 1
        return (np.rint(runs / scale) * scale).reshape(x.shape)


def quantise(lib, number, block, size, rows):
    n, k = rows.shape
    rows = np.ascontiguousarray(rows)
    out = np.zeros((n, k // block * size), np.uint8)
    importance = np.ones(k, np.float32)
    need = lib.ggml_quantize_requires_imatrix(number)
    got = lib.ggml_quantize_chunk(number, rows.ctypes.data, out.ctypes.data, 0, n, k, importance.ctypes.data if need else None)
    assert got == out.nbytes, (got, out.nbytes)
    return out


def quantised(lib, source, name, number, block, size, cache):
    """{tensor: bytes} in the new type, kept in a file: llama.cpp searches for minutes for some."""
    kept = cache / f"{Path(source.path).stem}-{name}-{importlib.metadata.version('xllamacpp')}.npz"
    if not kept.exists():
        names = [n for n, t in source.tensors.items() if changes(n) and int(t.shape[0]) % block == 0]
        if not names:
            raise SystemExit(f"format_table.py: no down projection of {source.path} has rows of whole blocks of {block}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            blobs = pool.map(lambda n: quantise(lib, number, block, size, source.rows(n)), names)
        part = kept.with_suffix(".part.npz")
        np.savez(part, **dict(zip(names, blobs)))
        part.rename(kept)
    return dict(np.load(kept))


def write(source, path, number, changed):
    """The copy with some tensors in the new type. Metadata go over as they are, for gguf's writer refuses types that it does not know."""
    tensors = list(source.tensors.values())
    raw = np.memmap(source.path, np.uint8, "r")
    infos, blobs, offset = b"", [], 0
    for t in tensors:
        blob, kind = (changed[t.name], number) if t.name in changed else (t.data, int(t.tensor_type))
        name = t.name.encode()
        infos += struct.pack(f"<Q{len(name)}sI{len(t.shape)}QIQ", len(name), name, len(t.shape), *map(int, t.shape), kind, offset)
        blobs.append(padded(np.ascontiguousarray(blob).tobytes()))
        offset += len(blobs[-1])
    head = raw[: tensors[0].field.offset].tobytes() + infos
    Path(path).write_bytes(padded(head) + b"".join(blobs))


def padded(data):
    return data + bytes(-len(data) % gguf.GGUF_DEFAULT_ALIGNMENT)


def decoded(lib, name, number, data):
    """The values of rows of blocks."""
    if name not in NOT_DECODED:
        return gguf.dequantize(data, gguf.GGMLQuantizationType(number))
    f = getattr(lib, f"dequantize_row_{name}")
    f.restype, f.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    block, size = NOT_DECODED[name]
    out = np.empty((len(data), data.shape[1] // size * block), np.float32)
    f(np.ascontiguousarray(data).ctypes.data, out.ctypes.data, out.size)
    return out


def logits_of(lumen, path, ids):
    run = subprocess.run([lumen, "logits", path, "--tokens", ",".join(map(str, ids)), "--last", str(LAST), "--json"], capture_output=True, text=True,
                         env={**os.environ, "LUMEN_CACHE": "off"})
    if run.returncode:
        raise SystemExit(f"format_table.py: {run.stderr.strip()}")
    return np.array(json.loads(run.stdout)["logits"], np.float32)


def measure(lib, name, number, block, size, source, lumen, prompts, cache):
    changed = quantised(lib, source, name, number, block, size, cache)
    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / f"{name}.gguf")
        write(source, path, number, changed)
        source.changed, source.eight_bits = {n: decoded(lib, name, number, data) for n, data in changed.items()}, False
        exact = source.run(prompts, LAST)[0]
        source.eight_bits = True
        got = {"rounded": source.run(prompts, LAST)[0]}
        peer = LlamaCpp(path)
        got["llamacpp"] = [peer.logits(ids, LAST) for ids in prompts]
        got["lumen"] = [logits_of(lumen, path, ids) for ids in prompts]
        form = form_of(lumen, path, name)
    far = {who: [kl(want, x, ids)[0] for want, x, ids in zip(exact, logits, prompts)] for who, logits in got.items()}
    return {"tensors": len(changed), "kl": far, "form": form, **speed(lumen, name)}


def speed(lumen, name):
    """Bits of a packed weight, and bytes of packed weights a second while decoding."""
    run = subprocess.run([lumen, "bench-kernels", name, "--seconds", "0.3", "--json"], capture_output=True, text=True, check=True)
    got = json.loads(run.stdout)
    of = got["formats"][0]
    return {"integer": of["integer"], "bits": of["bits"], "decode": of["decode_bytes_per_second"], "cpu": got["cpu"], "threads": got["threads"]}


def form_of(lumen, path, name):
    """What the algebra makes of the type; nothing is said of plain floats."""
    text = subprocess.run([lumen, "inspect", path], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^\s*{name}\b.*?((?:codes: |no integer form: ).*)$", text, re.M)
    if not found and name not in PLAIN:
        raise SystemExit(f"format_table.py: lumen inspect does not say what it makes of {name}")
    return found[1] if found else ""


def row(name, number, block, size, lines, grid, m):
    kl_of = {who: float(np.mean(x)) for who, x in m["kl"].items()}
    path = "float" if not m["integer"] else "integer, code book" if "code book" in m["form"] else "integer, affine"
    of_grid = f" + {grid} of its grid" if grid else ""
    return (f"| {name} | {number} | {8 * size / block:.2f} | {lines - grid if grid and lines > grid else lines}{of_grid} | {path} | {m['bits']:.2f} | "
            f"{m['decode'] / 1e9:.1f} | {kl_of['lumen']:.2e} | {kl_of['llamacpp']:.2e} | {kl_of['lumen'] / kl_of['llamacpp']:.2f} | {kl_of['rounded']:.2e} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--lumen", default=str(REPO / "build/lumen"))
    parser.add_argument("--only", help="types to measure, separated by commas")
    parser.add_argument("--write", action="store_true", help="write docs/format_table.md with --only, too, out of what is kept")
    parser.add_argument("--cache", default=str(REPO / "build/format_table"))
    args = parser.parse_args()
    cache = Path(args.cache)
    cache.mkdir(parents=True, exist_ok=True)
    lib, source = library(), Exact(args.model)
    key = {"llama": "smollm2", "qwen2": "qwen2", "gemma3": "gemma3"}[source.arch]
    prompts = [p["tokens"][key] for p in json.loads((HERE / "prompts.json").read_text()) if p["name"] in PROMPTS]
    program = hashlib.sha256(Path(args.lumen).read_bytes() + json.dumps([prompts, LAST]).encode()).hexdigest()[:12]
    rows, missing, machine = [], [], ""
    for name, (number, block, size, lines, grid) in sorted(formats().items(), key=lambda f: 8 * f[1][2] / f[1][1]):
        kept = cache / f"{Path(args.model).stem}-{name}-{program}.json"
        if not kept.exists() and (not args.only or name in args.only.split(",")):
            kept.write_text(json.dumps(measure(lib, name, number, block, size, source, args.lumen, prompts, cache)))
        if not kept.exists():
            missing.append(name)
            continue
        m = json.loads(kept.read_text())
        rows.append(row(name, number, block, size, lines, grid, m))
        machine = f"{m['cpu']}, {m['threads']} threads"
        say(rows[-1])
    out = [
        "# GGUF's tensor types", "",
        "Made by `tests/oracle/format_table.py`; do not edit. Each type is one file of `lum/formats/`. The path is what the compiler finds in it",
        "([formats.md](formats.md)): integer dot products with codes that are an affine function of the number, or go through a code book of at most 16",
        "entries; or floats. Bits are those of one weight with its share of the scales, in the file and in the packed layout.", "",
        f"KL is the mean divergence from an exact reference of the output distribution, in nats, of {Path(args.model).stem} with the down projections of",
        "every third layer in that type, written by llama.cpp's quantiser (an importance of 1 everywhere where it wants one), all else as in the file. The",
        "last column is the reference's own when it rounds activations to 8 bits by 32 before each matrix, and computes all else in floats: such rounding",
        "moves any program's answers about that far, in a direction of chance, and two programs' figures differ by it.", "",
        f"Decode is what `lumen bench-kernels` reads of packed weights a second, one token at a time ({machine}, shared with others: figures beside a",
        "busy neighbour are low; docs/benchmarks.md has those of a quiet machine).", "",
        "| type | GGUF number | bits in the file | lines | path | bits packed | decode, GB/s | KL, Lumen | KL, llama.cpp | ratio | KL of rounding |",
        "|---|---|---|---|---|---|---|---|---|---|---|", *rows, "",
    ]
    out += [f"Not measured in this run: {', '.join(missing)}.", ""] if missing else []
    if not args.only or args.write:
        (REPO / "docs/format_table.md").write_text("\n".join(out))
    print("\n".join(out))


if __name__ == "__main__":
    main()
