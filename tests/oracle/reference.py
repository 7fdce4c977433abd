#!/usr/bin/env python3
"""An independent reference: the forward pass of a GGUF file's model in numpy, over its dequantised weights, in float64.

  reference.py MODEL.gguf --tokens 1,2,3 [--last N] [--layer L]     prints the five best next tokens (and hidden states)

Knows the architectures llama, qwen2 and gemma3, and refuses keys that change the computation in ways it does not
implement, rather than guess. Shares no code with Lumen. Every layer is dequantised once for all prompts together, so
that a model of several billion weights needs little memory. Hidden states are the residual stream: layer 0 is the
embedding (scaled, where the architecture scales it), layer L the sum after L layers, before the last norm.

For tests of users' own declarations: `formats` decodes tensor types that only they know, and subclasses replace `layer`, `norm`,
`attention` or `input`.
"""
import argparse
import struct

import gguf
import numpy as np

VERSION = 1  # counted up when results change, so that caches of them are made anew
VOCAB_CHUNK = 8192  # rows of the output matrix dequantised at a time


class Private:
    """A tensor of a type that package gguf does not know: rows of blocks of bytes. decode: uint8 (B, bytes) -> float32 (B, elements)."""

    def __init__(self, data, decode):
        self.data, self.decode = data, decode  # data (rows, blocks of a row, bytes)

    def rows(self, rows):
        data = self.data[rows]
        return self.decode(data.reshape(-1, data.shape[-1])).reshape(len(data), -1)


class Reader(gguf.GGUFReader):
    """formats: {type number: (elements of a block, its bytes, decode)}. Passes over long lists (a tokenizer's), on which gguf's takes seconds."""

    LONG = 256

    def __init__(self, path, formats={}, mode="r"):
        self.formats, self.private = formats, {}
        super().__init__(path, mode)

    def _get_field_parts(self, at, kind):
        if kind == gguf.GGUFValueType.ARRAY:
            element, count = struct.unpack_from("<IQ", self.data, at)
            if count > self.LONG:
                return 12 + self.list_size(at + 12, element, count), [], [], [gguf.GGUFValueType(kind), gguf.GGUFValueType(element)]
        return super()._get_field_parts(at, kind)

    def list_size(self, at, element, count):
        if element != gguf.GGUFValueType.STRING:
            return count * np.dtype(self.gguf_scalar_to_np[gguf.GGUFValueType(element)]).itemsize
        raw, end = memoryview(self.data), at
        for _ in range(count):
            end += 8 + struct.unpack_from("<Q", raw, end)[0]
        return end - at

    def _build_tensors(self, start, fields):
        known = []
        for field in fields:
            _, name, _, dims, kind, offset = field.parts
            if int(kind[0]) not in self.formats:
                known.append(field)
                continue
            elements, size, decode = self.formats[int(kind[0])]
            columns, rows = int(dims[0]), int(np.prod(dims[1:]))
            data = self._get(int(start + offset[0]), np.uint8, rows * columns // elements * size)
            self.private[bytes(name).decode()] = Private(data.reshape(rows, columns // elements, size), decode)
        super()._build_tensors(start, known)


class Reference:
    def __init__(self, path, dtype=np.float64, formats=None):
        reader = Reader(path, formats or {})
        self.dtype = dtype
        self.tensors = {t.name: t for t in reader.tensors} | reader.private
        self.fields = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("tokenizer.")}
        self.arch = self.fields["general.architecture"]
        if self.arch not in ("llama", "qwen2", "gemma3"):
            raise SystemExit(f"reference.py: unknown architecture '{self.arch}'; expected llama, qwen2 or gemma3")
        for key in ("rope.scaling.type", "final_logit_softcapping", "attn_logit_softcapping", "expert_count"):
            if self.get(key, None) not in (None, "none", 0):
                raise SystemExit(f"reference.py: {self.arch}.{key} is not implemented here")
        self.layers = self.get("block_count")
        self.width = self.get("embedding_length")
        self.heads = self.get("attention.head_count")
        self.kv_heads = self.get("attention.head_count_kv", self.heads)
        self.head_dim = self.get("attention.key_length", self.width // self.heads)
        if self.get("attention.value_length", self.head_dim) != self.head_dim:
            raise SystemExit("reference.py: key and value heads of different sizes are not implemented here")
        self.eps = self.get("attention.layer_norm_rms_epsilon")
        self.theta = self.get("rope.freq_base", 10000.0)
        self.window = self.get("attention.sliding_window", 0) if self.arch == "gemma3" else 0
        if self.get("rope.dimension_count", self.head_dim) != self.head_dim:
            raise SystemExit("reference.py: partial rope is not implemented here")

    def get(self, key, *default):
        name = f"{self.arch}.{key}"
        if name in self.fields or not default:
            return self.fields[name]
        return default[0]

    def weight(self, name, rows=slice(None)):
        """A tensor as (rows…, columns), dequantised to float32 and widened: each value is one exact number."""
        t = self.tensors[name]
        if isinstance(t, Private):
            return t.rows(rows).astype(self.dtype)
        return gguf.dequantize(t.data[rows], t.tensor_type).astype(self.dtype)

    def has(self, name):
        return name in self.tensors

    def input(self, x):
        """What a matrix is multiplied with; subclasses may round it."""
        return x

    def norm(self, x, name):
        # Gemma's 1 + w is already folded into w by the converter.
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.eps) * self.weight(name)

    def is_local(self, layer):
        return self.window > 0 and (layer + 1) % 6 != 0  # Gemma 3: five local layers, then a global one

    def rope(self, x, layer):
        """x (T, H, C) of one sequence from position 0."""
        t, _, c = x.shape
        theta = 10000.0 if self.is_local(layer) else self.theta
        freqs = theta ** (-np.arange(0, c, 2) / c)
        if self.has("rope_freqs.weight"):
            freqs = freqs / self.weight("rope_freqs.weight")
        angle = np.arange(t)[:, None, None] * freqs  # (T, 1, C/2)
        cos, sin = np.cos(angle), np.sin(angle)
        out = np.empty_like(x)
        if self.arch == "llama":  # the converter permuted Q and K so that pairs are neighbours
            a, b, out_a, out_b = x[..., 0::2], x[..., 1::2], out[..., 0::2], out[..., 1::2]
        else:
            a, b, out_a, out_b = x[..., : c // 2], x[..., c // 2 :], out[..., : c // 2], out[..., c // 2 :]
        out_a[...] = a * cos - b * sin
        out_b[...] = a * sin + b * cos
        return out

    def attention(self, q, k, v, layer):
        """q (T, H, C), k and v (T, G, C) of one sequence: causal, over a sliding window on local layers."""
        t, h, c = q.shape
        q, k = self.rope(q, layer), self.rope(k, layer)
        i, j = np.arange(t)[:, None], np.arange(t)[None, :]
        hidden = j > i
        if self.is_local(layer):
            hidden |= i - j >= self.window
        out = np.empty_like(q)
        for head in range(h):
            g = head // (h // self.kv_heads)
            s = q[:, head] @ k[:, g].T / np.sqrt(c)
            s[hidden] = -np.inf
            s = np.exp(s - s.max(axis=1, keepdims=True))
            out[:, head] = (s / s.sum(axis=1, keepdims=True)) @ v[:, g]
        return out

    def layer(self, x, l, spans):
        """x (sum of T, D): all sequences' rows together; spans: (begin, end) of each."""
        p = f"blk.{l}."
        gemma = self.arch == "gemma3"

        def linear(a, name):
            y = self.input(a) @ self.weight(p + name + ".weight").T
            return y + self.weight(p + name + ".bias") if self.has(p + name + ".bias") else y

        a = self.norm(x, p + "attn_norm.weight")
        q = linear(a, "attn_q").reshape(len(x), self.heads, self.head_dim)
        k = linear(a, "attn_k").reshape(len(x), self.kv_heads, self.head_dim)
        v = linear(a, "attn_v").reshape(len(x), self.kv_heads, self.head_dim)
        if gemma:
            q, k = self.norm(q, p + "attn_q_norm.weight"), self.norm(k, p + "attn_k_norm.weight")
        a = np.concatenate([self.attention(q[b:e], k[b:e], v[b:e], l) for b, e in spans])
        a = linear(a.reshape(len(x), -1), "attn_output")
        x = x + (self.norm(a, p + "post_attention_norm.weight") if gemma else a)

        f = self.norm(x, p + "ffn_norm.weight")
        gate, up = linear(f, "ffn_gate"), linear(f, "ffn_up")
        if gemma:
            gate = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
        else:
            gate = gate / (1 + np.exp(-gate))
        f = linear(gate * up, "ffn_down")
        return x + (self.norm(f, p + "post_ffw_norm.weight") if gemma else f)

    def run(self, prompts, last=1, keep=(), progress=None):
        """prompts: lists of token ids. Returns for each the logits of its last rows, float32 (R, V), and
        {layer: float32 (T, D)} for the layers to keep."""
        spans, at = [], 0
        for ids in prompts:
            spans.append((at, at + len(ids)))
            at += len(ids)
        ids = np.concatenate([np.asarray(i) for i in prompts])
        x = self.weight("token_embd.weight", ids)
        if self.arch == "gemma3":
            x = x * np.sqrt(self.width)
        hidden = [{} for _ in prompts]
        for l in range(self.layers + 1):
            if l in keep:
                for h, (b, e) in zip(hidden, spans):
                    h[l] = x[b:e].astype(np.float32)
            if l < self.layers:
                x = self.layer(x, l, spans)
                if progress:
                    progress(l + 1, self.layers)
        rows = np.concatenate([np.arange(max(b, e - last), e) for b, e in spans])
        x = self.input(self.norm(x[rows], "output_norm.weight"))
        head = "output.weight" if self.has("output.weight") else "token_embd.weight"
        vocab = self.tensors[head].data.shape[0]
        logits = np.empty((len(rows), vocab), np.float32)
        for v in range(0, vocab, VOCAB_CHUNK):
            part = slice(v, min(v + VOCAB_CHUNK, vocab))
            logits[:, part] = x @ self.weight(head, part).T
        out, at = [], 0
        for b, e in spans:
            n = min(last, e - b)
            out.append(logits[at : at + n])
            at += n
        return out, hidden


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("model")
    ap.add_argument("--tokens", required=True, help="comma-separated token ids")
    ap.add_argument("--last", type=int, default=1)
    ap.add_argument("--layer", type=int, action="append", default=[])
    args = ap.parse_args()
    ids = [int(i) for i in args.tokens.split(",")]
    logits, hidden = Reference(args.model).run([ids], args.last, args.layer)
    for row, l in enumerate(logits[0]):
        best = np.argsort(-l)[:5]
        print("position", len(ids) - len(logits[0]) + row, "best", [(int(b), round(float(l[b]), 4)) for b in best])
    for layer, h in hidden[0].items():
        print("hidden", layer, np.array2string(h[-1][:8], precision=5))


if __name__ == "__main__":
    main()
