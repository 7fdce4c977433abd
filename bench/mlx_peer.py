#!/usr/bin/env python3
"""mlx-lm as a peer of `lumen bench-compare`: speaks as much of llama-bench's and llama-completion's command line as that asks for.

  mlx_peer.py llama-bench -m DIR [-p N] [-n N] [-d N] [-r N] [-t N] [-o json]
  mlx_peer.py llama-completion -m DIR -p TEXT [-n N] [-c N] [-t N] [--temp 0]

bench/build_peers.sh leaves it as mlx-llama-bench and mlx-llama-completion. DIR is a Hugging Face or MLX directory. MLX decides itself how
many threads it takes, so -t says nothing here; -c neither, since its cache grows. Needs the packages mlx and mlx-lm.
"""
import argparse
import json
import sys
import time


def bench(args):
    import mlx.core as mx
    from mlx_lm import load
    from mlx_lm.models.cache import make_prompt_cache

    model, _ = load(args.model)
    vocabulary = model.args.vocab_size

    def once(prompt, generate, depth):
        """Seconds for `prompt` tokens at once or `generate` one by one, behind `depth` tokens."""
        cache = make_prompt_cache(model)
        if depth:
            mx.eval(model(mx.random.randint(0, vocabulary, (1, depth)), cache=cache))
        tokens = mx.random.randint(0, vocabulary, (1, prompt or 1))
        mx.eval(tokens)
        begin = time.perf_counter()
        for _ in range(generate or 1):
            tokens = mx.argmax(model(tokens, cache=cache)[:, -1:], axis=-1)
            mx.eval(tokens)
        return time.perf_counter() - begin

    entries = []
    for prompt, generate in ((args.prompt, 0), (0, args.generate)):
        count = prompt or generate
        if not count:
            continue
        once(prompt, min(generate, 1), args.depth)  # a warm-up, as llama-bench does
        speeds = [count / once(prompt, generate, args.depth) for _ in range(args.repetitions)]
        entries.append({"build_commit": f"mlx {mx.__version__}", "n_prompt": prompt, "n_gen": generate, "n_depth": args.depth,
                        "avg_ts": sum(speeds) / len(speeds), "samples_ts": speeds})
    print(json.dumps(entries, indent=1))


def completion(args):
    from mlx_lm import load, stream_generate

    model, tokenizer = load(args.model)
    for piece in stream_generate(model, tokenizer, tokenizer.encode(args.prompt), max_tokens=args.generate):
        print(piece.text, end="", flush=True)


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ("llama-bench", "llama-completion"):
        sys.exit("mlx_peer.py: expected llama-bench or llama-completion as the first argument")
    program = sys.argv[1]
    ap = argparse.ArgumentParser(prog=f"mlx_peer.py {program}", allow_abbrev=False)
    ap.add_argument("-m", "--model", required=True)
    ap.add_argument("-n", dest="generate", type=int, default=128, help="tokens generated")
    ap.add_argument("-t", dest="threads", help="taken, without effect: MLX decides")
    if program == "llama-bench":
        ap.add_argument("-p", dest="prompt", type=int, default=512, help="tokens of the prompt")
        ap.add_argument("-d", dest="depth", type=int, default=0, help="tokens in the cache before")
        ap.add_argument("-r", dest="repetitions", type=int, default=5)
        ap.add_argument("-o", choices=["json"], default="json")
        bench(ap.parse_args(sys.argv[2:]))
    else:
        ap.add_argument("-p", dest="prompt", required=True)
        ap.add_argument("-c", dest="context", help="taken, without effect: the cache grows")
        ap.add_argument("--temp", type=float, choices=[0.0], default=0.0, help="greedy is all there is")
        completion(ap.parse_args(sys.argv[2:]))


if __name__ == "__main__":
    main()
