"""Writes tests/golden/formats.txt: random blocks of each GGUF type with the values that PyPI gguf decodes them to, and the
error of gguf's quantisers on reproducible numbers. Needs gguf and numpy; run it from the repository's root.

Lines:  decode NAME TYPE BLOCKS_HEX VALUES_HEX     values: little-endian f32
        encode NAME RMSE                           of quantising numbers() and decoding again
"""

import pathlib

import gguf
import numpy as np
from gguf import quants

# Where the float fields of a block stand, in bytes, and the E8M0 byte: random bits there would be infinities.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "F16": [0], "BF16": [], "F32": [],
}
ENCODED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


def numbers(count):
    """Bell-shaped f32 numbers that C++ makes alike: sums of eight 16-bit pieces of a 64-bit linear congruence."""
    state, out = 0x9E3779B97F4A7C15, np.empty(count, np.float32)
    for i in range(count):
        total = 0
        for _ in range(8):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            total += state >> 48
        out[i] = (total - 8 * 32768) / 65536.0
    return out


def random_blocks(rng, name, block, size, count):
    data = rng.integers(0, 256, (count, size), np.uint8)
    for at in HALVES[name]:
        halves = (rng.standard_normal(count) * rng.choice([1e-6, 1e-3, 1, 100], count)).astype(np.float16)
        data[:, at : at + 2] = halves.view(np.uint8).reshape(count, 2)
    if name == "MXFP4":
        data[:4, 0] = [0, 1, 2, 252]
        data[4:, 0] = rng.integers(100, 140, count - 4)
    if name in ("F32", "BF16"):
        values = rng.standard_normal(count).astype(np.float32)
        data = (values.view(np.uint32) >> (16 if name == "BF16" else 0)).astype(np.uint16 if name == "BF16" else np.uint32)
        data = data.view(np.uint8).reshape(count, size)
    return data


def main():
    rng = np.random.default_rng(20)
    lines = []
    for name in HALVES:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        count = 2 if block == 256 else 8 if block == 32 else 64
        data = random_blocks(rng, name, block, size, count)
        values = quants.dequantize(data.reshape(1, -1), kind).astype("<f4").reshape(-1)
        lines.append(f"decode {name.lower()} {kind.value} {data.tobytes().hex()} {values.tobytes().hex()}")
    x = numbers(32 * 256).reshape(32, 256)
    for name in ENCODED:
        kind = gguf.GGMLQuantizationType[name]
        back = quants.dequantize(quants.quantize(x, kind), kind).reshape(x.shape)
        rmse = np.sqrt(np.mean((x.astype(np.float64) - back) ** 2))
        lines.append(f"encode {name.lower()} {rmse:.9g}")
    pathlib.Path(__file__).with_name("formats.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
