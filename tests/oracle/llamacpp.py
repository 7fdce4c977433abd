"""llama.cpp, out of the prebuilt PyPI package xllamacpp: token ids and raw logits, by calling its C functions.

The package's own interface is a server; the C interface of llama.h is exported by its extension module all the same.
The two parameter structs are treated as opaque beyond their first fields, whose documented default values are checked.
"""
import ctypes as c
import importlib.util
import os

import numpy as np


class _Blob(c.Structure):  # longer than the real structs, which callees read from the same stack address
    _fields_ = [("raw", c.c_uint32 * 128)]


class _Batch(c.Structure):
    _fields_ = [
        ("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p), ("pos", c.POINTER(c.c_int32)),
        ("n_seq_id", c.POINTER(c.c_int32)), ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8)),
    ]


def _library():
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None:
        raise SystemExit("llamacpp.py: the Python package xllamacpp is missing (tests/requirements-oracle.txt)")
    lib = c.CDLL(os.path.join(os.path.dirname(spec.origin), "xllamacpp.abi3.so"))
    p = c.c_void_p
    for name, result, args in [
        ("llama_backend_init", None, []), ("llama_model_default_params", _Blob, []), ("llama_context_default_params", _Blob, []),
        ("llama_model_load_from_file", p, [c.c_char_p, _Blob]), ("llama_init_from_model", p, [p, _Blob]), ("llama_free", None, [p]),
        ("llama_model_free", None, [p]), ("llama_model_get_vocab", p, [p]), ("llama_vocab_n_tokens", c.c_int32, [p]),
        ("llama_tokenize", c.c_int32, [p, c.c_char_p, c.c_int32, c.POINTER(c.c_int32), c.c_int32, c.c_bool, c.c_bool]),
        ("llama_batch_init", _Batch, [c.c_int32] * 3), ("llama_batch_free", None, [_Batch]),
        ("llama_decode", c.c_int32, [p, _Batch]), ("llama_get_logits_ith", c.POINTER(c.c_float), [p, c.c_int32]),
        ("llama_token_to_piece", c.c_int32, [p, c.c_int32, c.c_char_p, c.c_int32, c.c_int32, c.c_bool]), ("llama_log_set", None, [p, p]),
    ]:
        f = getattr(lib, name)
        f.restype, f.argtypes = result, args
    return lib


class LlamaCpp:
    def __init__(self, path, threads=2, n_ctx=2048):
        lib = self.lib = _library()
        self._quiet = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)
        lib.llama_log_set(c.cast(self._quiet, c.c_void_p), None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(os.fsencode(path), lib.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llamacpp.py: llama.cpp does not load {path}")
        params = lib.llama_context_default_params()
        # n_ctx, n_batch, n_ubatch are the first fields of llama_context_params
        if list(params.raw[:3]) != [512, 2048, 512]:
            raise SystemExit(f"llamacpp.py: llama_context_params looks different in this version: {list(params.raw[:8])}")
        params.raw[0] = n_ctx
        self.params, self.threads = params, threads
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text):
        raw = text.encode()
        out = (c.c_int32 * (len(raw) + 16))()
        n = self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), True, True)
        assert n >= 0, n
        return list(out[:n])

    def logits(self, tokens, last):
        """float32 (min(last, len(tokens)), n_vocab): a fresh context, one batch, llama.cpp's own defaults."""
        lib = self.lib
        ctx = lib.llama_init_from_model(self.model, self.params)
        assert ctx
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        first = max(0, len(tokens) - last)
        for i, t in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = t, i, 1, i >= first
            batch.seq_id[i][0] = 0
        if lib.llama_decode(ctx, batch):
            raise SystemExit("llamacpp.py: llama_decode failed")
        rows = [np.ctypeslib.as_array(lib.llama_get_logits_ith(ctx, i), (self.n_vocab,)).copy() for i in range(first, len(tokens))]
        lib.llama_batch_free(batch)
        lib.llama_free(ctx)
        return np.stack(rows)

    def text(self, tokens):
        out = b""
        for t in tokens:
            piece = c.create_string_buffer(256)
            n = self.lib.llama_token_to_piece(self.vocab, t, piece, len(piece), 0, True)
            assert n >= 0, n
            out += piece.raw[:n]
        return out.decode(errors="replace")

    def continuation(self, tokens, count):
        """The most likely next token, `count` times."""
        tokens = list(tokens)
        for _ in range(count):
            tokens.append(int(self.logits(tokens, 1)[0].argmax()))
        return tokens[-count:]
