#!/usr/bin/env python3
"""reference.py against transformers, on tiny models with random weights: check_reference.py (needs requirements-oracle.txt)

Both compute in float64, so they must agree to rounding. The models are made by transformers and written as GGUF f32 the
way llama.cpp's converter writes them: Q and K of llama permuted into neighbouring pairs, Gemma's 1 + w folded.
"""
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
import reference  # noqa: E402

BOUND = 1e-5  # weights are rounded to f32 once, on both sides; reference.py returns f32
SMALL = dict(vocab_size=101, hidden_size=48, intermediate_size=80, num_attention_heads=6, num_key_value_heads=2)
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "post_attention_layernorm": "ffn_norm",
}
GEMMA = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}


def models():
    rope = lambda theta: dict(rope_parameters={"rope_type": "default", "rope_theta": theta})  # noqa: E731
    yield "llama", transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SMALL, num_hidden_layers=3, rms_norm_eps=1e-5, tie_word_embeddings=False, **rope(5e5)))
    yield "qwen2", transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**SMALL, num_hidden_layers=3, rms_norm_eps=1e-6, tie_word_embeddings=True, **rope(1e6)))
    yield "gemma3", transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(
            **SMALL, num_hidden_layers=8, head_dim=16, query_pre_attn_scalar=16, sliding_window=7, rms_norm_eps=1e-6,
            rope_parameters={
                "full_attention": {"rope_type": "default", "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            }))


def tensor_name(arch, name):
    name, kind = name.rsplit(".", 1)
    if not name.startswith("model.layers."):
        return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[name] + "." + kind
    _, _, l, part = name.split(".", 3)
    return f"blk.{l}.{(GEMMA.get(part) if arch == 'gemma3' else None) or NAMES[part]}.{kind}"


def write(path, arch, model):
    c = model.config
    head = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w = gguf.GGUFWriter(str(path), arch)
    w.add_block_count(c.num_hidden_layers)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(head)
    w.add_value_length(head)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    rope = c.rope_parameters
    w.add_rope_freq_base((rope.get("full_attention") or rope)["rope_theta"])
    if arch == "gemma3":
        w.add_sliding_window(c.sliding_window)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        v = value.float().numpy()
        heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}.get(name.split(".")[-2])
        if arch == "llama" and heads:
            v = v.reshape(heads, 2, head // 2, -1).swapaxes(1, 2).reshape(v.shape)
        if arch == "gemma3" and name.endswith("norm.weight"):
            v = v.astype(np.float64) + 1
        w.add_tensor(tensor_name(arch, name), np.ascontiguousarray(v, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def randomise(model, arch):
    """Weights that matter (norms and biases too), each exactly a float32."""
    for name, p in model.named_parameters():
        scale = 0.3 if p.ndim == 1 else 0.15
        v = torch.randn(p.shape) * scale + (1.0 if name.endswith("norm.weight") and arch != "gemma3" else 0.0)
        if arch == "gemma3" and name.endswith("norm.weight"):
            v = (v + 1).float().double() - 1
        p.data = v.double() if p.dtype == torch.float64 else v


def main():
    torch.manual_seed(1)
    bad = 0
    for arch, model in models():
        model = model.double().eval()
        randomise(model, arch)
        ids = [list(np.random.default_rng(n).integers(0, SMALL["vocab_size"], n)) for n in (1, 9, 40)]
        with tempfile.TemporaryDirectory() as d:
            path = Path(d) / "tiny.gguf"
            write(path, arch, model)
            ref = reference.Reference(path)
            keep = (0, 2, ref.layers - 1)  # transformers norms its last state, so the one before it
            logits, hidden = ref.run(ids, 1000, keep)
        for one, l, h in zip(ids, logits, hidden):
            with torch.no_grad():
                got = model(torch.tensor([one]), output_hidden_states=True)
            errors = [np.abs(got.logits[0].numpy() - l).max()] + [np.abs(got.hidden_states[k][0].numpy() - h[k]).max() for k in keep]
            size = float(np.abs(l).max())
            ok = max(errors) <= BOUND * max(1.0, size)
            bad += not ok
            print(f"{arch}, {len(one)} tokens: logits and states {keep} differ by {', '.join(f'{e:.1e}' for e in errors)}"
                  f" (logits up to {size:.1f}) {'ok' if ok else 'TOO MUCH'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
