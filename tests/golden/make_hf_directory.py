#!/usr/bin/env python3
"""Rebuilds a Hugging Face directory from a GGUF file: dequantised weights under transformers' names, config.json, tokenizer.json.

usage: make_hf_directory.py MODEL.gguf DIRECTORY [--dtype bf16|f16|f32] [--shards N] [--fp8 tensor|channel|block]

Knows the architectures llama, qwen2 and gemma3; undoes what the GGUF converter did (Q and K permuted for llama, 1 added to norms
for gemma3). --fp8 stores the linear weights as F8_E4M3 under one scale, one for each row, or one for each 128 x 128 block.
Tokenizers: byte-level BPE only (SmolLM2, Qwen2); for others the directory has none. Needs: pip install gguf numpy
"""
import argparse
import json
import pathlib
import struct

import gguf
import numpy as np

LAYER = {  # GGUF -> transformers
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
}
GEMMA = {**LAYER, "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_ffw_norm": "post_feedforward_layernorm"}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
PATTERNS = {"smollm": None, "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"}


def hf_name(arch, name):
    stem, kind = name.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{(GEMMA if arch == 'gemma3' else LAYER)[part]}.{kind}"


def unpermute(w, heads):
    """Rows of each head from neighbouring pairs to halves: what transformers rotates."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def weights(reader, fields):
    arch = fields["general.architecture"]
    for t in reader.tensors:
        if t.name == "rope_freqs.weight":
            raise SystemExit("make_hf_directory.py: rope factors are not undone here")
        w = gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
        if arch == "llama" and (".attn_q." in t.name or ".attn_k." in t.name):
            w = unpermute(w, fields[f"{arch}.attention.head_count" + ("_kv" if ".attn_k." in t.name else "")])
        if arch == "gemma3" and "norm" in t.name:
            w = w - 1
        yield hf_name(arch, t.name), w


def to_bf16(w):
    bits = w.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def to_e4m3(w):
    """Nearest E4M3, ties to even; |w| <= 448."""
    magnitude = np.abs(w).astype(np.float64)
    exponent = np.clip(np.floor(np.log2(np.maximum(magnitude, 1e-30))), -6, 8)
    step = 2.0 ** (exponent - 3)
    rounded = np.minimum(np.rint(magnitude / step) * step, 448)
    exponent = np.clip(np.floor(np.log2(np.maximum(rounded, 1e-30))), -6, 8)
    mantissa = np.rint(rounded / 2.0 ** (exponent - 3)).astype(np.int64)  # 8..15, less where subnormal
    code = np.where(mantissa < 8, mantissa, (exponent.astype(np.int64) + 7) * 8 + mantissa - 8)
    return (code | np.where(np.signbit(w), 128, 0)).astype(np.uint8)


def fp8(name, w, kind):
    """The tensors of one linear weight: codes and scales."""
    n, k = w.shape
    if kind == "block":
        rows, columns = -(-n // 128), -(-k // 128)
        padded = np.zeros((rows * 128, columns * 128), np.float32)
        padded[:n, :k] = np.abs(w)
        scale = np.maximum(padded.reshape(rows, 128, columns, 128).max((1, 3)), 1e-12) / 448
        spread = np.repeat(np.repeat(scale, 128, 0), 128, 1)[:n, :k]
    elif kind == "channel":
        scale = spread = (np.maximum(np.abs(w).max(1, keepdims=True), 1e-12) / 448).astype(np.float32)
    else:
        scale = np.float32(np.abs(w).max() / 448)
        spread = scale
    scale = np.asarray(scale, np.float32)
    key = name + "_scale_inv" if kind == "block" else name + "_scale"
    return {name: ("F8_E4M3", to_e4m3(w / spread)), key: ("F32", scale)}


def stored(tensors, dtype, kind):
    for name, w in tensors:
        if kind and w.ndim == 2 and ".layers." in name:
            yield from fp8(name, w, kind).items()
        elif dtype == "bf16":
            yield name, ("BF16", to_bf16(w))
        else:
            yield name, ("F16", w.astype(np.float16)) if dtype == "f16" else ("F32", w)


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            f.write(np.ascontiguousarray(data).tobytes())


def write_weights(out, tensors, shards):
    if shards == 1:
        return write_safetensors(out / "model.safetensors", tensors)
    names, where = list(tensors), {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {n: tensors[n] for n in names[i * len(names) // shards : (i + 1) * len(names) // shards]}
        write_safetensors(out / file, part)
        where.update(dict.fromkeys(part, file))
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def config(fields, dtype, tied, vocabulary):
    arch = fields["general.architecture"]
    get = lambda key, *default: fields.get(f"{arch}.{key}", *default)
    width, heads = get("embedding_length"), get("attention.head_count")
    c = {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "gemma3": "Gemma3ForCausalLM"}[arch]],
        "model_type": "gemma3_text" if arch == "gemma3" else arch,
        "hidden_size": width, "intermediate_size": get("feed_forward_length"), "num_hidden_layers": get("block_count"),
        "num_attention_heads": heads, "num_key_value_heads": get("attention.head_count_kv", heads),
        "head_dim": get("attention.key_length", width // heads), "vocab_size": vocabulary, "rms_norm_eps": get("attention.layer_norm_rms_epsilon"),
        "rope_theta": get("rope.freq_base", 10000.0), "max_position_embeddings": get("context_length"), "tie_word_embeddings": tied,
        "torch_dtype": {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype],
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"), "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
    }
    c["hidden_act"] = "silu"
    if arch == "gemma3":
        c.update(hidden_activation="gelu_pytorch_tanh", sliding_window=get("attention.sliding_window"), sliding_window_pattern=6,
                 rope_local_base_freq=10000.0, query_pre_attn_scalar=c["head_dim"], attn_logit_softcapping=None, final_logit_softcapping=None)
        del c["hidden_act"]
    return c


def tokenizer(fields):
    """tokenizer.json and tokenizer_config.json of a byte-level BPE vocabulary."""
    pre = fields.get("tokenizer.ggml.pre")
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": PATTERNS[pre] is None}
    first = ({"type": "Digits", "individual_digits": True} if PATTERNS[pre] is None
             else {"type": "Split", "pattern": {"Regex": PATTERNS[pre]}, "behavior": "Isolated", "invert": False})
    added = [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": kind == 3}
             for i, kind in enumerate(types) if kind in (3, 4)]
    t = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [first, byte_level]}, "post_processor": None, "decoder": byte_level,
         "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                   "fuse_unk": False, "byte_fallback": False, "vocab": {x: i for i, x in enumerate(tokens)}, "merges": fields["tokenizer.ggml.merges"]}}
    name = lambda key: tokens[fields[key]] if key in fields else None
    c = {"bos_token": name("tokenizer.ggml.bos_token_id"), "eos_token": name("tokenizer.ggml.eos_token_id"), "add_bos_token": False,
         "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": fields.get("tokenizer.chat_template")}
    return t, c


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("directory", type=pathlib.Path)
    p.add_argument("--dtype", choices=["bf16", "f16", "f32"], default="bf16")
    p.add_argument("--shards", type=int, default=1)
    p.add_argument("--fp8", choices=["tensor", "channel", "block"])
    a = p.parse_args()
    reader = gguf.GGUFReader(a.model)
    fields = {k: f.contents() for k, f in reader.fields.items()}
    out = a.directory
    out.mkdir(parents=True, exist_ok=True)
    plain = dict(weights(reader, fields))
    c = config(fields, a.dtype, "lm_head.weight" not in plain, plain["model.embed_tokens.weight"].shape[0])
    if a.fp8:
        c["quantization_config"] = {"quant_method": "fp8", **({"weight_block_size": [128, 128]} if a.fp8 == "block" else {})}
    write_weights(out, dict(stored(plain.items(), a.dtype, a.fp8)), a.shards)
    (out / "config.json").write_text(json.dumps({k: v for k, v in c.items() if v is not None}, indent=1))
    ends = [fields[k] for k in ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id") if k in fields]
    (out / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    if fields.get("tokenizer.ggml.model") == "gpt2" and fields.get("tokenizer.ggml.pre") in PATTERNS:
        t, tc = tokenizer(fields)
        (out / "tokenizer.json").write_text(json.dumps(t, ensure_ascii=False))
        (out / "tokenizer_config.json").write_text(json.dumps(tc, indent=1))


if __name__ == "__main__":
    main()
