"""Writes tests/golden/mlx.txt: random blocks of MLX's quantised layouts with the values that mx.dequantize gives (CPU, float32).
Needs mlx and numpy; run it from the repository's root.

Lines:  decode FORMAT BLOCKS_HEX VALUES_HEX     a block: codes, then scale (and bias) as little-endian; values: little-endian f32
"""
import pathlib

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
BLOCKS = 2


def line(name, codes, beside, values):
    blocks = b"".join(c.tobytes() + b"".join(s[i].tobytes() for s in beside) for i, c in enumerate(codes))
    return f"decode {name} {blocks.hex()} {np.ascontiguousarray(values, np.float32).tobytes().hex()}\n"


def affine(rng, bits, group, dtype):
    codes = rng.integers(0, 2**32, (BLOCKS, group * bits // 32), np.uint32)
    scales, biases = (mx.array(rng.standard_normal((BLOCKS, 1)).astype(np.float32)).astype(dtype) for _ in range(2))
    # The values are those of float32 arithmetic, whatever the scales are stored in.
    values = mx.dequantize(mx.array(codes), scales.astype(mx.float32), biases.astype(mx.float32), group, bits)
    name = {mx.float32: "f32", mx.float16: "f16", mx.bfloat16: "bf16"}[dtype]
    raw = [np.array(x.view(mx.uint32 if dtype == mx.float32 else mx.uint16))[:, 0] for x in (scales, biases)]
    return line(f"mlx_affine<{bits},{group},{name}>", codes, raw, np.array(values))


def microscaled(rng, mode, bits, group, scales):
    codes = rng.integers(0, 2**32, (len(scales), group * bits // 32), np.uint32)
    if mode == "mxfp8":  # every code once
        codes[: 256 // group] = np.arange(256, dtype=np.uint8).view(np.uint32).reshape(256 // group, group // 4)
    values = mx.dequantize(mx.array(codes), mx.array(scales[:, None]), None, group, bits, mode, dtype=mx.float32)
    return line("mlx_" + mode, codes, [scales], np.array(values))


def main():
    rng = np.random.default_rng(5)
    out = ""
    for bits in (1, 2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            out += affine(rng, bits, group, mx.float32)
        out += affine(rng, bits, 64, mx.float16) + affine(rng, bits, 64, mx.bfloat16)
    every = np.arange(256, dtype=np.uint8)
    out += microscaled(rng, "mxfp4", 4, 32, every[:255])  # 255 is not-a-number in E8M0; MLX takes it for infinity
    out += microscaled(rng, "mxfp8", 8, 32, np.concatenate([np.full(8, 127, np.uint8), every]))
    out += microscaled(rng, "nvfp4", 4, 16, every)
    pathlib.Path(__file__).with_name("mlx.txt").write_text(out)


main()
