"""Writes tests/golden/formats.txt: random blocks of each GGUF type with the values that PyPI gguf decodes them to, and the
error of gguf's quantisers on reproducible numbers. Needs gguf and numpy; run it from the repository's root.

Types that gguf does not decode are decoded by llama.cpp itself, out of PyPI xllamacpp.

Lines:  decode NAME TYPE BLOCKS_HEX VALUES_HEX     values: little-endian f32
        cover NAME TYPE BLOCKS HASH                of the values of cover_blocks(TYPE, …); both decoders agree on them
        encode NAME RMSE                           of quantising numbers() and decoding again
"""

import ctypes
import importlib.util
import pathlib

import gguf
import numpy as np
from gguf import quants

# Where the float fields of a block stand, in bytes, and the E8M0 byte: random bits there would be infinities.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "F16": [0], "BF16": [], "F32": [],
    "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "TQ1_0": [52], "TQ2_0": [64],
    "NVFP4": [], "Q1_0": [0], "Q2_0": [0],
}
# Types that gguf does not decode: number, elements and bytes of a block.
NEWER = {"Q1_0": (41, 128, 18), "Q2_0": (42, 64, 18)}
# Blocks of the covering runs: enough for every number of a grid's row, every byte, every scale at every place to come up.
COVERED = 2048
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
    if name == "IQ1_M":  # the multiplier in the upper four bits of four words
        halves = rng.standard_normal(count).astype(np.float16).view(np.uint16)
        for i in range(4):
            data[:, 49 + 2 * i] = data[:, 49 + 2 * i] & 15 | (halves >> 4 * i & 15).astype(np.uint8) << 4
    if name == "MXFP4":
        data[:4, 0] = [0, 1, 2, 252]
        data[4:, 0] = rng.integers(100, 140, count - 4)
    if name in ("F32", "BF16"):
        values = rng.standard_normal(count).astype(np.float32)
        data = (values.view(np.uint32) >> (16 if name == "BF16" else 0)).astype(np.uint16 if name == "BF16" else np.uint32)
        data = data.view(np.uint8).reshape(count, size)
    return data


def cover_blocks(seed, size, count):
    """Bytes that C++ makes alike: the upper halves of a 64-bit linear congruence, little-endian."""
    state, words = (0x9E3779B97F4A7C15 + seed) % 2**64, []
    for _ in range((size * count + 3) // 4):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append(state >> 32)
    return np.array(words, "<u4").view(np.uint8)[: size * count].reshape(count, size)


def value_hash(values):
    """FNV-1a over the 32-bit words, every not-a-number as 0x7fc00000."""
    h = 0xCBF29CE484222325
    for word in np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32)).tolist():
        h = ((h ^ word) * 0x100000001B3) % 2**64
    return h


def geometry(name):
    if name in NEWER:
        return NEWER[name]
    kind = gguf.GGMLQuantizationType[name]
    return (kind.value, *gguf.GGML_QUANT_SIZES[kind])


def by_gguf(name, data):
    with np.errstate(all="ignore"):
        return quants.dequantize(data.reshape(1, -1), gguf.GGMLQuantizationType[name]).astype("<f4").reshape(-1)


def by_llamacpp(name, data, elements):
    lib = ctypes.CDLL(str(pathlib.Path(importlib.util.find_spec("xllamacpp").origin).with_name("xllamacpp.abi3.so")))
    data, out = np.ascontiguousarray(data), np.empty(elements, "<f4")
    f = getattr(lib, "dequantize_row_" + name.lower().replace("_k", "_K"))
    f.restype, f.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    f(data.ctypes.data, out.ctypes.data, elements)
    return out


def cover(name):
    number, block, size = geometry(name)
    data = cover_blocks(number, size, COVERED)
    values = by_llamacpp(name, data, COVERED * block)
    if name not in NEWER:
        other = by_gguf(name, data)
        assert value_hash(other) == value_hash(values), f"{name}: gguf and llama.cpp decode differently"
    if hasattr(quants, name) and getattr(quants, name).grid_shape[0] > 0:  # random row numbers: each is missed once in e^20 files
        rows, width = getattr(quants, name).grid_shape
        assert COVERED * block // width > 20 * rows
    return f"cover {name.lower()} {number} {COVERED} {value_hash(values):016x}"


def main():
    rng = np.random.default_rng(20)
    lines = []
    for name in HALVES:
        number, block, size = geometry(name)
        count = 2 if block >= 128 else 8 if block >= 32 else 64
        data = random_blocks(rng, name, block, size, count)
        values = by_llamacpp(name, data, count * block) if name in NEWER else by_gguf(name, data)
        lines.append(f"decode {name.lower()} {number} {data.tobytes().hex()} {values.tobytes().hex()}")
    lines += [cover(name) for name in HALVES if name not in ("F32", "F16", "BF16")]
    x = numbers(32 * 256).reshape(32, 256)
    for name in ENCODED:
        kind = gguf.GGMLQuantizationType[name]
        back = quants.dequantize(quants.quantize(x, kind), kind).reshape(x.shape)
        rmse = np.sqrt(np.mean((x.astype(np.float64) - back) ** 2))
        lines.append(f"encode {name.lower()} {rmse:.9g}")
    pathlib.Path(__file__).with_name("formats.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
