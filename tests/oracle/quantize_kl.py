#!/usr/bin/env python3
"""How far a model moves when Lumen quantises it, beside how far llama.cpp's own quantiser moves it, tensor by tensor in the same types.

  quantize_kl.py MODEL.gguf… [--formats q8_0,q4_0,q4_k,q6_k] [--lumen build/lumen] [--plain]
  quantize_kl.py --answers MODEL.gguf… | --answers --mlx DIRECTORY…      what the peer answers from what Lumen writes, and no KL: minutes less
  quantize_kl.py --mlx DIRECTORY… [--formats 'mlx_affine<4, 64>;mlx_affine<8, 64>']     the same beside mlx's own quantizer (PyPI mlx, mlx-lm)

The source is MODEL with its weights in f32. The models at hand are quantised already, and their weights stand on the grid of their
type, which some of the tested types can hit exactly: so each run of 32 weights is moved by even noise as wide as its grid's step, which
makes numbers between the grid's points of them again (--plain leaves that out). `lumen quantize` writes the source in the type; in a copy
of what it wrote, each tensor that changed is overwritten by what ggml_quantize_chunk (out of PyPI xllamacpp) makes of the source's.
KL is the mean divergence of the answers from the source's, in nats, by `lumen compare --exact` over texts of prompts.json and docs/. Then
llama.cpp loads Lumen's file, and its logits are compared with Lumen's: it must read it as the same model, and name France's capital where
it does so from MODEL itself. With --mlx the source is a Hugging
Face directory (tests/golden/make_hf_directory.py writes one) as it is, and mlx takes llama.cpp's part. Exit status 1 where a KL is
more than 1.05 times the peer's, or the peer's logits of Lumen's file or its answer from it are off.
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path.insert(0, str(HERE))
from accuracy import kl  # noqa: E402
from format_table import library, say  # noqa: E402
from reference import Reader  # noqa: E402

BOUND = 1.05
LOADED = 0.05  # nats: llama.cpp's 8-bit activations against f32 ones; another model is whole nats away
LAST = 16
CHUNK = 256
QUESTION, ANSWER, ANSWER_TOKENS = "capital", "Paris", 6  # of prompts.json
TOKENS = {"llama": "smollm2", "qwen2": "qwen2", "gemma3": "gemma3"}  # the architecture's key in prompts.json
STEPS = {"Q4_0": 15, "Q4_1": 15, "Q4_K": 15, "Q5_0": 31, "Q5_K": 31, "Q6_K": 63, "Q8_0": 255}  # of the grid of 32 weights


def call(lumen, *args):
    run = subprocess.run([lumen, *map(str, args)], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"quantize_kl.py: lumen {args[0]}: {run.stderr.strip()[-500:]}")
    return run.stdout


def text_for(directory):
    path = directory / "text.txt"
    prompts = [p["text"] for p in json.loads((HERE / "prompts.json").read_text()) if not p.get("only")]
    path.write_text("\n\n".join(prompts + [(REPO / "docs/language.md").read_text()[2000:8000], (REPO / "README.md").read_text()[:2000]]))
    return path


def kl_of(a, source, made, text):
    return json.loads(call(a.lumen, "compare", source, made, text, "--exact", "--chunk", CHUNK, "--chunks", a.chunks, "--json"))["kl"]


def prompt(name, arch):
    return next(p["tokens"][TOKENS[arch]] for p in json.loads((HERE / "prompts.json").read_text()) if p["name"] == name)


def reads(a, made, theirs, ids):
    """How far the peer's logits of Lumen's file are from Lumen's own: the mean KL over the last positions of a prompt."""
    ours = json.loads(call(a.lumen, "logits", made, "--tokens", ",".join(map(str, ids)), "--last", LAST, "--json", "--exact"))["logits"]
    return kl(np.array(ours, np.float32), theirs, ids)


def tensors(path):
    reader = Reader(path)
    return reader, {t.name: t for t in reader.tensors}


def patch(path, changes):
    """Writes arrays over the data of tensors: changes(name, tensor, raw bytes view) for each."""
    reader, all_of = tensors(path)
    data = np.memmap(path, np.uint8, "r+")
    for name, t in all_of.items():
        changes(name, t, data[t.data_offset : t.data_offset + t.n_bytes])
    data.flush()


def make_source(lumen, model, out, plain, keep=()):
    call(lumen, "quantize", model, out, "--format", "f32", "--quiet", *keep)
    if plain:
        return
    _, before = tensors(model)
    rng = np.random.default_rng(1)

    def scatter(name, t, raw):
        steps = STEPS.get(before[name].tensor_type.name)
        if steps is None or len(t.shape) < 2 or t.tensor_type == before[name].tensor_type:
            return
        x = raw.view(np.float32).reshape(-1, 32)
        for at in range(0, len(x), 1 << 18):
            b = x[at : at + (1 << 18)]
            step = (b.max(axis=1, keepdims=True) - b.min(axis=1, keepdims=True)) / steps
            b += step * (rng.random(b.shape, np.float32) - 0.5)

    patch(out, scatter)


def read_imatrix(path):
    """{weight: mean square of each column} of a GGUF importance matrix."""
    there = tensors(path)[1] if path else {}
    suffix = ".in_sum2"
    return {n[: -len(suffix)]: np.ascontiguousarray(t.data.reshape(-1) / there[n[: -len(suffix)] + ".counts"].data.reshape(-1)[0], np.float32)
            for n, t in there.items() if n.endswith(suffix)}


def theirs(lib, source, ours, out, imatrix):
    """llama.cpp's bytes over those of the tensors that `ours` has in another type than `source`. Returns how many those are."""
    shutil.copyfile(ours, out)
    _, src = tensors(source)
    changed = []

    def overwrite(name, t, raw):
        if t.tensor_type == src[name].tensor_type:
            return
        changed.append(name)
        x = np.ascontiguousarray(src[name].data, np.float32)
        k = int(t.shape[0])
        rows = x.size // k
        got = np.zeros(t.n_bytes, np.uint8)
        weight = imatrix[name].ctypes.data if name in imatrix else None
        n = lib.ggml_quantize_chunk(int(t.tensor_type), x.ctypes.data, got.ctypes.data, 0, rows, k, weight)
        assert n == t.n_bytes, (name, n, t.n_bytes)
        raw[:] = got

    patch(out, overwrite)
    return len(changed)


def errors(source, files):
    """Root mean square of what changed over that of the weights, all changed tensors together, for each file."""
    _, src = tensors(source)
    sums = np.zeros((len(files), 2))
    for i, path in enumerate(files):
        for name, t in tensors(path)[1].items():
            if t.tensor_type == src[name].tensor_type:
                continue
            x = src[name].data.reshape(-1).astype(np.float32)
            e = gguf.quants.dequantize(t.data, t.tensor_type).reshape(-1) - x
            sums[i] += float(e @ e), float(x @ x)
    return np.sqrt(sums[:, 0] / sums[:, 1])


def llamacpp_answer(peer, arch):
    return peer.text(peer.continuation(prompt(QUESTION, arch), ANSWER_TOKENS))


def answers(a, model, directory):
    """Lumen writes the model in each format, the peer continues a sentence from that."""
    if a.mlx:
        arch = json.loads((model / "config.json").read_text())["model_type"]
        ask = lambda path: mlx_answer(mlx_model(path), path, arch)  # noqa: E731
    else:
        from llamacpp import LlamaCpp

        arch = Reader(model).fields["general.architecture"].contents()
        ask = lambda path: llamacpp_answer(LlamaCpp(path), arch)  # noqa: E731
    own, bad = ask(model), []
    print(f"| {model.stem} | as it is | {own!r} |", flush=True)
    if ANSWER not in own:
        bad.append(f"{model.stem} itself answers {own!r}, without {ANSWER}: what it does quantised says nothing")
    for i, name in enumerate(a.formats.split(";" if a.mlx else ",")):
        ours = directory / f"ours{i}"
        call(a.lumen, "quantize", model, ours, "--format", name, "--quiet")
        said = ask(ours)
        print(f"| {model.stem} | {name} | {said!r} |", flush=True)
        if ANSWER not in said:
            bad.append(f"{model.stem} in {name}: the answer is {said!r}, without {ANSWER}")
        shutil.rmtree(ours) if ours.is_dir() else ours.unlink()
    return bad


def compare(a, model, directory):
    from llamacpp import LlamaCpp

    lib = library()
    arch = Reader(model).fields["general.architecture"].contents()
    source, text = directory / "source.gguf", text_for(directory)
    keep = ["--keep-embeddings"] if a.keep_embeddings else []
    make_source(a.lumen, model, source, a.plain, keep)
    bad = []
    knows = ANSWER in llamacpp_answer(LlamaCpp(model), arch)
    for name in a.formats.split(","):
        ours, other = directory / f"ours-{name}.gguf", directory / f"theirs-{name}.gguf"
        call(a.lumen, "quantize", source, ours, "--format", name, "--quiet", *keep, *(["--imatrix", a.imatrix] if a.imatrix else []))
        count = theirs(lib, source, ours, other, read_imatrix(a.imatrix))
        mine, peer = (kl_of(a, source, p, text) for p in (ours, other))
        rms = errors(source, (ours, other))
        ids = prompt("python", arch)
        loaded = LlamaCpp(ours)
        read, said = reads(a, ours, loaded.logits(ids, LAST), ids)[0], llamacpp_answer(loaded, arch)
        print(f"| {model.stem} | {name} | {count} | {rms[0]:.5f} | {rms[1]:.5f} | {mine:.3e} | {peer:.3e} | {mine / peer:.3f} | {read:.1e} | "
              f"{said!r} |", flush=True)
        if not mine <= BOUND * peer:
            bad.append(f"{model.stem} in {name}: KL {mine:.3e} is {mine / peer:.2f} times llama.cpp's {peer:.3e}")
        if not read <= LOADED:
            bad.append(f"{model.stem} in {name}: llama.cpp's logits of Lumen's file are {read:.3f} nats from Lumen's")
        if knows and ANSWER not in said:
            bad.append(f"{model.stem} in {name}: llama.cpp answers {said!r} from Lumen's file, without {ANSWER}")
        for p in (ours, other):
            p.unlink()
    source.unlink()
    return bad


def mlx_theirs(source, ours, out):
    """Lumen's directory with every quantised weight as mlx quantises the source's."""
    import mlx.core as mx

    shutil.copytree(ours, out)
    config = json.loads((ours / "config.json").read_text())["quantization"]
    weights = {k: v for f in sorted(source.glob("*.safetensors")) for k, v in mx.load(str(f)).items()}
    count = 0
    for file in sorted(out.glob("*.safetensors")):
        made = mx.load(str(file))
        for key in [k for k in made if k.endswith(".scales")]:
            stem = key[: -len(".scales")]
            parts = mx.quantize(weights[stem + ".weight"], group_size=config["group_size"], bits=config["bits"], mode=config["mode"])
            made.update({f"{stem}.{n}": x for n, x in zip(("weight", "scales", "biases"), parts)})
            count += 1
        mx.save_safetensors(str(file), made, metadata={"format": "mlx"})
    return count


def mlx_model(path):
    """mlx-lm's model on the CPU in f32: token ids -> the logits of their last positions."""
    import mlx.core as mx
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model = load_model(path)[0]
    model.set_dtype(mx.float32)
    return lambda ids: np.array(model(mx.array([ids]))[0, -LAST:].astype(mx.float32))


def mlx_answer(logits, path, arch):
    from tokenizers import Tokenizer

    question = prompt(QUESTION, arch)
    ids = list(question)
    for _ in range(ANSWER_TOKENS):
        ids.append(int(logits(ids)[-1].argmax()))
    return Tokenizer.from_file(str(path / "tokenizer.json")).decode(ids[len(question):])


def compare_mlx(a, source, directory):
    arch = json.loads((source / "config.json").read_text())["model_type"]
    text, bad = text_for(directory), []
    knows = ANSWER in mlx_answer(mlx_model(source), source, arch)
    for i, name in enumerate(a.formats.split(";")):
        ours, other = directory / f"ours{i}", directory / f"theirs{i}"
        call(a.lumen, "quantize", source, ours, "--format", name, "--quiet")
        count = mlx_theirs(source, ours, other)
        mine, peer = (kl_of(a, source, p, text) for p in (ours, other))
        ids, loaded = prompt("python", arch), mlx_model(ours)
        read, said = reads(a, ours, loaded(ids), ids)[0], mlx_answer(loaded, ours, arch)
        print(f"| {source.name} | {name} | {count} | {mine:.3e} | {peer:.3e} | {mine / peer:.3f} | {read:.1e} | {said!r} |", flush=True)
        if not mine <= BOUND * peer:
            bad.append(f"{source.name} in {name}: KL {mine:.3e} is {mine / peer:.2f} times mlx's {peer:.3e}")
        if not read <= LOADED:
            bad.append(f"{source.name} in {name}: mlx-lm's logits of Lumen's directory are {read:.3f} nats from Lumen's")
        if knows and ANSWER not in said:
            bad.append(f"{source.name} in {name}: mlx-lm answers {said!r} from Lumen's directory, without {ANSWER}")
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="+", type=Path, metavar="MODEL.gguf")
    ap.add_argument("--formats")
    ap.add_argument("--mlx", action="store_true", help="the models are Hugging Face directories, the peer is mlx")
    ap.add_argument("--chunks", default=12, type=int, help=f"pieces of {CHUNK} tokens of the text")
    ap.add_argument("--imatrix", help="an importance matrix in GGUF form, for both")
    ap.add_argument("--lumen", default=str(REPO / "build/lumen"))
    ap.add_argument("--keep-embeddings", action="store_true", help="token_embd and output stay as they are in the file")
    ap.add_argument("--answers", action="store_true", help="only what the peer answers")
    ap.add_argument("--plain", action="store_true", help="the source's weights as they are in the file")
    a = ap.parse_args()
    a.formats = a.formats or ("mlx_affine<4, 64>;mlx_affine<8, 64>" if a.mlx else "q8_0,q4_0,q4_k,q6_k")
    head = ["model", "type", "tensors"] + ([] if a.mlx else ["error, Lumen", "error, llama.cpp"])
    peer = "mlx" if a.mlx else "llama.cpp"
    head += ["KL, Lumen", f"KL, {peer}", "ratio", f"{peer} reads it", "answer"]
    if a.answers:
        head = ["model", "type", f"{peer} continues"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    run, bad = answers if a.answers else compare_mlx if a.mlx else compare, []
    for model in a.models:
        with tempfile.TemporaryDirectory() as tmp:
            bad += run(a, model, Path(tmp))
    for line in bad:
        say("quantize_kl.py:", line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
