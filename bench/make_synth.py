#!/usr/bin/env python3
"""Random-weight GGUF files of real models' shapes, for measuring speed (the text they make is noise).

  make_synth.py OUTDIR [SHAPE-TYPE…]      SHAPE: llama1b llama8b    TYPE: f16 q4_0 q4_k_m q8_0; default: all of them

Needs the Python package gguf (build/venv has it, after ./test.sh) and the default model, whose tokenizer is copied.
Quantised blocks are written directly: random codes under fixed scales, chosen so that weights have mean 0 and standard
deviation 0.02, which keeps activations in range through all layers. The type of each tensor follows what llama-quantize
does: Q4_0 and Q4_K_M keep the output (or tied embedding) matrix in Q6_K; Q4_K_M keeps attn_v and ffn_down of half of the
layers in Q6_K. The same name always gives the same bytes: seeds come from the tensors' names.
"""
import argparse
import os
import sys
import zlib
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

STD = 0.02
VOCAB = 49152  # of the tokenizer that is copied
SHAPES = {  # width, layers, heads, kv heads, head size, feed-forward width, tied embedding
    "llama1b": (2048, 16, 32, 8, 64, 8192, True),
    "llama8b": (4096, 32, 32, 8, 128, 14336, False),
}
TYPES = {  # most weights, the output matrix, attn_v and ffn_down of the favoured layers, GGUF's file type
    "f16": (T.F16, T.F16, T.F16, 1),
    "q4_0": (T.Q4_0, T.Q6_K, T.Q4_0, 2),
    "q8_0": (T.Q8_0, T.Q8_0, T.Q8_0, 7),
    "q4_k_m": (T.Q4_K, T.Q6_K, T.Q6_K, 15),
}


def f16_bytes(value):
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


def random_blocks(kind, count, rng):
    """`count` weights of a type, as bytes."""
    if kind == T.F16:
        out = np.empty(count, np.float16)
        step = 1 << 24
        for i in range(0, count, step):
            n = min(step, count - i)
            out[i : i + n] = rng.standard_normal(n, np.float32) * STD
        return out.view(np.uint8)
    per, size = gguf.GGML_QUANT_SIZES[kind]
    assert count % per == 0
    b = np.frombuffer(rng.bytes(count // per * size), np.uint8).reshape(-1, size).copy()
    if kind == T.Q4_0:  # f16 d, nibbles: d * (q - 8); q - 8 is uniform in -8..7, whose deviation is 4.6
        b[:, 0:2] = f16_bytes(STD / 4.6)
    elif kind == T.Q8_0:  # f16 d, int8: the deviation of a uniform byte is 74
        b[:, 0:2] = f16_bytes(STD / 74)
    elif kind == T.Q4_K:  # f16 d, f16 dmin, 6-bit scales and minima (31.5 on average), nibbles: d*s*q - dmin*m
        d = STD / (2 * 31.5 * 4.6)
        b[:, 0:2], b[:, 2:4] = f16_bytes(d), f16_bytes(7.5 * d)
    elif kind == T.Q6_K:  # ql, qh, 16 int8 scales, f16 d: d * s * (q - 32); scales are brought into -16..15
        b[:, 192:208] = (b[:, 192:208].view(np.int8) >> 3).view(np.uint8)
        b[:, 208:210] = f16_bytes(STD / (9.2 * 18.5))
    else:
        raise AssertionError(kind)
    return b.reshape(-1)


def tensors_of(shape, kind):
    """(name, (rows, columns) or (width,), type) of every tensor, in file order."""
    width, layers, heads, kv_heads, head, ffn, tied = SHAPES[shape]
    most, output, favoured, _ = TYPES[kind]
    yield "token_embd.weight", (VOCAB, width), output if tied else most
    yield "output_norm.weight", (width,), T.F32
    if not tied:
        yield "output.weight", (VOCAB, width), output
    for l in range(layers):
        more = l < layers // 8 or l >= 7 * layers // 8 or (l - layers // 8) % 3 == 2
        rich = favoured if more else most
        for name, dims, t in [
            ("attn_norm", (width,), T.F32), ("attn_q", (heads * head, width), most), ("attn_k", (kv_heads * head, width), most),
            ("attn_v", (kv_heads * head, width), rich), ("attn_output", (width, heads * head), most), ("ffn_norm", (width,), T.F32),
            ("ffn_gate", (ffn, width), most), ("ffn_up", (ffn, width), most), ("ffn_down", (width, ffn), rich),
        ]:
            yield f"blk.{l}.{name}.weight", dims, t


def make(outdir, name, vocab_from):
    shape, kind = name.split("-", 1)
    width, layers, heads, kv_heads, head, ffn, _ = SHAPES[shape]
    final = Path(outdir) / f"{name}.gguf"
    part = final.with_suffix(".part")
    w = gguf.GGUFWriter(str(part), "llama")
    w.add_name(f"synthetic {name}")
    w.add_context_length(8192)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(500000.0)
    w.add_rope_dimension_count(head)
    w.add_vocab_size(VOCAB)
    w.add_file_type(TYPES[kind][3])
    w.add_quantization_version(2)
    for key, field in gguf.GGUFReader(str(vocab_from)).fields.items():
        if key.startswith("tokenizer."):
            sub = field.types[-1] if len(field.types) > 1 else None
            w.add_key_value(key, field.contents(), field.types[0], sub_type=sub)
    tensors = list(tensors_of(shape, kind))
    for tensor, dims, t in tensors:
        per, size = gguf.GGML_QUANT_SIZES[t]
        bytes_ = int(np.prod(dims)) // per * size
        if t in (T.F32, T.F16):
            w.add_tensor_info(tensor, dims, np.dtype(np.float32 if t == T.F32 else np.float16), bytes_)
        else:
            w.add_tensor_info(tensor, (*dims[:-1], dims[-1] // per * size), np.dtype(np.uint8), bytes_, raw_dtype=t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for tensor, dims, t in tensors:
        rng = np.random.default_rng(zlib.crc32(f"{name}/{tensor}".encode()))
        w.write_tensor_data(np.ones(dims, np.float32) if t == T.F32 else random_blocks(t, int(np.prod(dims)), rng))
    w.close()
    part.rename(final)
    weights = sum(int(np.prod(dims)) for _, dims, _ in tensors)
    print(f"{final}: {weights / 1e9:.3f} G weights, {final.stat().st_size / 2**20:.0f} MiB", flush=True)


def main():
    store = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "lumen/models"
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("outdir")
    ap.add_argument("names", nargs="*", metavar="SHAPE-TYPE")
    ap.add_argument("--vocab", default=str(store / "smollm2.gguf"), help="a GGUF file whose tokenizer is copied; default: the default model")
    args = ap.parse_args()
    every = [f"{s}-{t}" for s in SHAPES for t in TYPES]
    for n in args.names:
        if n not in every:
            ap.error(f"unknown model '{n}'; there are: {' '.join(every)}")
    if not Path(args.vocab).is_file():
        sys.exit(f"make_synth.py: {args.vocab} is missing; scripts/fetch_model.sh smollm2 fetches it")
    for n in args.names or every:
        if not (Path(args.outdir) / f"{n}.gguf").exists():
            make(args.outdir, n, args.vocab)


if __name__ == "__main__":
    main()
