#!/usr/bin/env python3
"""lumen serve with a real model: LUMEN_TEST_MODELS=DIR tests/e2e/test_server.py [unittest arguments]

DIR holds smollm2.gguf. The binary is build/lumen, or $LUMEN_BINARY. The openai client comes from the interpreter that runs
this or from build/venv; without one the tests that need it say so and are skipped, as all are without a model.
Everything else is the standard library's: http.client where the request is sound, sockets where it must not be.
"""
import concurrent.futures
import glob
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
MODEL = Path(os.environ.get("LUMEN_TEST_MODELS", "/nonexistent")) / "smollm2.gguf"
CONTEXT = 1024

for _p in glob.glob(str(ROOT / "build/venv/lib/python3*/site-packages")):
    if _p.split("/")[-2] == f"python{sys.version_info[0]}.{sys.version_info[1]}":
        sys.path.append(_p)
try:
    import openai
except ImportError:
    openai = None


class Server:
    """lumen serve on a free port, until close()."""

    def __init__(self, *options, key=None):
        env = {k: v for k, v in os.environ.items() if k != "LUMEN_API_KEY"}
        if key:
            env["LUMEN_API_KEY"] = key
        self.process = subprocess.Popen([BINARY, "serve", str(MODEL), "--port", "0", "--ctx", str(CONTEXT), *options],
                                        stdout=subprocess.PIPE, env=env, text=True)
        line = self.process.stdout.readline()
        m = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not m:
            raise RuntimeError(f"lumen serve did not start: {line!r}, exit status {self.process.wait()}")
        self.port = int(m.group(1))
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def request(self, method, path, body=None, headers=None, timeout=120):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            h = {"Content-Type": "application/json"} if body is not None else {}
            c.request(method, path, json.dumps(body) if isinstance(body, dict) else body, {**h, **(headers or {})})
            r = c.getresponse()
            return r.status, r.read(), r
        finally:
            c.close()

    def post(self, path, body, **kw):
        status, data, _ = self.request("POST", path, body, **kw)
        return status, json.loads(data)

    def close(self, expect=0):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        assert status == expect, f"lumen serve ended with status {status}"


def user(text):
    return [{"role": "user", "content": text}]


class WithServer(unittest.TestCase):
    options, key = (), None

    @classmethod
    def setUpClass(cls):
        if not MODEL.exists():
            raise unittest.SkipTest(f"no {MODEL}: set LUMEN_TEST_MODELS to a directory with smollm2.gguf")
        cls.server = Server(*cls.options, key=cls.key)
        if openai:
            cls.client = openai.OpenAI(base_url=cls.server.url, api_key=cls.key or "none", max_retries=0, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()


@unittest.skipUnless(openai, "the openai package is not installed (./test.sh puts it into build/venv)")
class OpenaiClient(WithServer):
    def chat(self, text="What is the capital of France?", **kw):
        return self.client.chat.completions.create(model="smollm2", messages=user(text), **{"temperature": 0, "max_tokens": 24, **kw})

    def test_answer(self):
        r = self.chat()
        self.assertTrue(r.choices[0].message.content.strip())
        self.assertEqual(r.choices[0].message.role, "assistant")
        self.assertIn(r.choices[0].finish_reason, ("stop", "length"))
        self.assertEqual(r.object, "chat.completion")
        self.assertEqual(r.model, "smollm2")
        self.assertTrue(r.id.startswith("chatcmpl-"))
        self.assertLess(abs(r.created - time.time()), 60)
        self.assertTrue(r.system_fingerprint.startswith("fp_"))
        self.assertEqual(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)
        self.assertGreater(r.usage.prompt_tokens, 10)

    def test_stream_equals_answer(self):
        question = "Count from one to ten in words."  # no near tie: the second answer reads the first one's cache
        whole = self.chat(question)
        parts, roles, finish, usage = [], [], [], None
        for c in self.chat(question, stream=True, stream_options={"include_usage": True}):
            self.assertEqual(c.object, "chat.completion.chunk")
            if not c.choices:
                usage = c.usage
                continue
            self.assertIsNone(c.usage)
            parts.append(c.choices[0].delta.content or "")
            roles.append(c.choices[0].delta.role)
            finish.append(c.choices[0].finish_reason)
        self.assertEqual("".join(parts), whole.choices[0].message.content)
        self.assertGreater(sum(1 for p in parts if p), 3, "the answer came in one piece")
        self.assertEqual(roles[0], "assistant")
        self.assertEqual([f for f in finish if f], [whole.choices[0].finish_reason])
        self.assertEqual(usage, whole.usage)

    def test_max_tokens(self):
        r = self.chat("Tell me a long story.", max_tokens=7)
        self.assertEqual(r.usage.completion_tokens, 7)
        self.assertEqual(r.choices[0].finish_reason, "length")

    def test_stop(self):
        whole = self.chat("Count from one to ten in words.", max_tokens=60).choices[0].message.content
        word = re.findall(r"\w+", whole)[5]
        r = self.chat("Count from one to ten in words.", max_tokens=60, stop=[word, "\u2603"])
        self.assertEqual(r.choices[0].message.content, whole[:whole.index(word)])
        self.assertEqual(r.choices[0].finish_reason, "stop")

    def test_seed(self):
        def three(**kw):
            r = self.chat("Write a poem about the sea.", temperature=1.0, n=3, **kw)
            self.assertEqual([c.index for c in r.choices], [0, 1, 2])
            return [c.message.content for c in r.choices]
        a = three(seed=7)
        self.assertEqual(len(set(a)), 3, "choices of one request must differ")
        # Whatever else is answered in the same steps, and whether the prompt is in the cache or not.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            others = [pool.submit(self.chat, f"Count to {i}.", temperature=1.0) for i in range(4, 8)]
            self.assertEqual(a, three(seed=7))
            for o in others:
                o.result()
        self.assertEqual(a, three(seed=7))
        self.assertNotEqual(a, three(seed=8))
        self.assertNotEqual(three(), three())

    def test_logprobs(self):
        r = self.chat(logprobs=True)
        c = r.choices[0]
        self.assertEqual(b"".join(bytes(t.bytes) for t in c.logprobs.content).decode(), c.message.content)
        self.assertTrue(all(t.logprob <= 0 for t in c.logprobs.content))
        t = self.client.completions.create(model="smollm2", prompt="The capital of France is", max_tokens=4, temperature=0, logprobs=0).choices[0]
        self.assertEqual("".join(t.logprobs.tokens), t.text)
        self.assertEqual(len(t.logprobs.token_logprobs), 4)
        self.assertEqual(t.logprobs.text_offset[1], len(t.logprobs.tokens[0]))

    def test_end_of_turn(self):
        r = self.chat(logit_bias={"2": 100}, max_tokens=5)  # <|im_end|>
        self.assertEqual((r.choices[0].finish_reason, r.choices[0].message.content), ("stop", ""))

    def test_logit_bias(self):
        t = self.client.completions.create(model="smollm2", prompt="Once", max_tokens=3, temperature=0, logit_bias={"100": 100}, logprobs=0)
        self.assertEqual(len(set(t.choices[0].logprobs.tokens)), 1)

    def test_completions(self):
        r = self.client.completions.create(model="smollm2", prompt=["The capital of France is", "2 + 2 ="], max_tokens=5, temperature=0)
        self.assertEqual([c.index for c in r.choices], [0, 1])
        self.assertIn("Paris", r.choices[0].text)
        s = self.client.completions.create(model="smollm2", prompt="The capital of France is", max_tokens=5, temperature=0, stream=True)
        self.assertEqual("".join(c.choices[0].text for c in s), r.choices[0].text)
        ids = self.client.completions.create(model="smollm2", prompt=[1, 2, 3], max_tokens=2, temperature=0)
        self.assertEqual(ids.usage.prompt_tokens, 3)
        default = self.client.completions.create(model="smollm2", prompt="One, two, three, four,", temperature=0)  # OpenAI's default: 16
        self.assertEqual((default.usage.completion_tokens, default.choices[0].finish_reason), (16, "length"))

    def test_parallel_streams(self):
        questions = ["What is the capital of France?", "What is two plus two?", "Name a color.", "Who wrote Hamlet?"]
        alone = [self.chat(q, max_tokens=16).choices[0].message.content for q in questions]

        def stream(q):
            times, text = [], ""
            for c in self.chat(q, max_tokens=16, stream=True):
                times.append(time.monotonic())
                text += c.choices[0].delta.content or ""
            return text, times[0], times[-1]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            together = list(pool.map(stream, questions))
        self.assertLess(max(t[1] for t in together), min(t[2] for t in together), "the streams ran one after another")
        # Batched steps may round differently; the beginnings must agree all the same.
        for a, (b, _, _) in zip(alone, together):
            self.assertEqual(a[:8], b[:8])

    def test_errors_are_the_clients_exceptions(self):
        with self.assertRaises(openai.BadRequestError) as e:
            self.chat(temperature=3)
        self.assertEqual(e.exception.param, "temperature")
        self.assertEqual(e.exception.type, "invalid_request_error")
        with self.assertRaises(openai.NotFoundError) as e:
            self.client.chat.completions.create(model="gpt-4", messages=user("a"))
        self.assertEqual(e.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as e:
            self.chat("word " * CONTEXT)
        self.assertEqual(e.exception.code, "context_length_exceeded")

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["smollm2"])
        self.assertEqual(self.client.models.retrieve("smollm2").id, "smollm2")

    def test_tools_and_parts(self):
        r = self.client.chat.completions.create(model="smollm2.gguf", max_tokens=4, messages=[
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "yes."}]}])
        self.assertTrue(r.choices[0].message.content)


class Plain(WithServer):
    options = ("--parallel", "2", "--queue", "6")

    def test_bad_fields(self):
        long_list = ["x"] * 17
        for fields, param in [
            ({"messages": None}, "messages"), ({"messages": "hi"}, "messages"), ({"messages": []}, "messages"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"), ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0].content[0].type"),
            ({"temperature": "x"}, "temperature"), ({"temperature": 2.01}, "temperature"), ({"top_p": -1}, "top_p"), ({"n": 10**9}, "n"), ({"n": 2**63}, "n"),
            ({"max_tokens": 2**63}, "max_tokens"), ({"max_tokens": -1}, "max_tokens"), ({"max_completion_tokens": 0}, "max_completion_tokens"), ({"seed": 2**63}, "seed"),
            ({"stop": long_list}, "stop"), ({"stop": [""]}, "stop[0]"), ({"logit_bias": {str(i): 1 for i in range(2000)}}, "logit_bias"), ({"logit_bias": {"49152": 1}}, "logit_bias"),
            ({"logit_bias": {"5": 1000}}, "logit_bias.5"), ({"stream": "yes"}, "stream"), ({"stream_options": {}}, "stream_options"), ({"top_logprobs": 3, "logprobs": True}, "top_logprobs"),
            ({"response_format": {"type": "json_object"}}, "response_format"), ({"presence_penalty": 9}, "presence_penalty"), ({"frequency_penalty": []}, "frequency_penalty"),
            ({"repeat_penalty": 0}, "repeat_penalty"), ({"min_p": 2}, "min_p"), ({"top_k": 1.5}, "top_k"), ({"surprise": 1}, "surprise"), ({"tool_choice": "required"}, "tool_choice"),
        ]:
            with self.subTest(param=param):
                status, body = self.server.post("/v1/chat/completions", {"messages": user("a"), "max_tokens": 1, **fields})
                self.assertEqual((status, body["error"]["param"], body["error"]["type"]), (400, param, "invalid_request_error"), body)
                self.assertIn(param.split("[")[0].split(".")[0], body["error"]["message"])
        for fields, param in [({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": [1, 49152]}, "prompt[1]"), ({"prompt": "a", "echo": True}, "echo"), ({"prompt": "a", "suffix": "b"}, "suffix"),
                              ({"prompt": "a", "logprobs": 5}, "logprobs"), ({"prompt": "a", "best_of": 2}, "best_of")]:
            with self.subTest(param=param):
                status, body = self.server.post("/v1/completions", fields)
                self.assertEqual((status, body["error"]["param"]), (400, param), body)

    def test_no_json(self):
        for body in [b"", b"{", b"\xff\xfe", b'{"prompt":"\xc3\x28"}', b'{"prompt":NaN}', b'{"temperature":Infinity}', b"[" * 100000, b'{"a":' * 100000, b'{"prompt":"a"}{}', b'{"prompt":"a","prompt":"b"}']:
            status, reply = self.server.post("/v1/completions", body)
            self.assertEqual(status, 400, body[:40])
            self.assertEqual(reply["error"]["type"], "invalid_request_error")

    def test_long_prompts(self):
        for path, body, param in [("/v1/completions", {"prompt": "a " * 3000}, "prompt"), ("/v1/completions", {"prompt": "a" * (12 << 20)}, "prompt"), ("/v1/completions", {"prompt": [1] * 5000}, "prompt"),
                                  ("/v1/chat/completions", {"messages": user("a " * 3000)}, "messages"), ("/v1/chat/completions", {"messages": user(" " * (12 << 20))}, "messages")]:
            start = time.monotonic()
            status, reply = self.server.post(path, body)
            self.assertEqual((status, reply["error"]["code"], reply["error"]["param"]), (400, "context_length_exceeded", param), reply)
            self.assertLess(time.monotonic() - start, 20)
        # The answer ends where the context does.
        status, reply = self.server.post("/v1/completions", {"prompt": [5] * (CONTEXT - 6), "max_tokens": 10**6, "ignore_eos": True})
        self.assertEqual((status, reply["choices"][0]["finish_reason"], reply["usage"]["completion_tokens"]), (200, "length", 6), reply)

    def test_sizes_and_methods(self):
        status, _, r = self.server.request("GET", "/v1/completions")
        self.assertEqual((status, r.headers["Allow"]), (405, "POST, OPTIONS"))
        status, body, _ = self.server.request("GET", "/nothing")
        self.assertEqual((status, json.loads(body)["error"]["code"]), (404, "unknown_url"))
        self.assertEqual(self.server.request("POST", "/v1/completions", "{}", {"Content-Type": "text/plain"})[0], 415)
        self.assertEqual(self.server.request("GET", "/v1/models", headers={"Host": "evil.example"})[0], 403)
        self.assertEqual(self.server.request("GET", "/v1/models", headers={"Origin": "http://evil.example"})[0], 403)
        self.assertEqual(self.server.request("HEAD", "/health")[0:2], (200, b""))
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as s:
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
            self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 413 "))

    def busy(self):
        """Whether all places are taken: one that needs them is refused."""
        return self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 0, "n": 6})[0] == 503

    def until_free(self, seconds):
        end = time.monotonic() + seconds
        while self.busy():
            self.assertLess(time.monotonic(), end, "the work of a client that left goes on")
            time.sleep(0.05)

    def test_departure(self):
        for stream in (True, False):
            for prompt in ("Once upon a time", [7] * (CONTEXT - 500)):  # the second leaves in the prefill
                body = json.dumps({"prompt": prompt, "max_tokens": 100000, "ignore_eos": True, "stream": stream, "n": 6}).encode()
                request = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as s:
                    s.sendall(request)
                    if stream:
                        self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 200 "))
                    end = time.monotonic() + 20
                    while not self.busy():
                        self.assertLess(time.monotonic(), end)
                        if select.select([s], [], [], 0.2)[0]:  # the question whether it is busy came first and held the places
                            self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 503 "))
                            s.sendall(request)
                self.until_free(20)

    def test_garbage(self):
        for data in (b"\x16\x03\x01\x00\xa5" + bytes(160), b"A" * 200000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100000, b"\r\n" * 10, os.urandom(5000)):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as s:
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    reply = s.recv(65536)
                    self.assertTrue(reply == b"" or reply.startswith(b"HTTP/1.1 4"), reply[:100])
                except ConnectionError:
                    pass
        self.assertEqual(self.server.request("GET", "/health")[0], 200)


class Key(WithServer):
    key = "sesame"

    def test_every_route(self):
        for path in ("/v1/models", "/v1/models/smollm2", "/v1/completions", "/v1/chat/completions", "/none"):
            for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "sesame"}):
                self.assertEqual(self.server.request("GET", path, headers=headers)[0], 401)
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertEqual(self.server.request("GET", "/v1/models", headers={"Authorization": "Bearer sesame"})[0], 200)

    def test_client(self):
        if not openai:
            self.skipTest("the openai package is not installed")
        self.assertEqual([m.id for m in self.client.models.list()], ["smollm2"])
        with self.assertRaises(openai.AuthenticationError):
            openai.OpenAI(base_url=self.server.url, api_key="wrong", max_retries=0).models.list()


class Ending(unittest.TestCase):
    def setUp(self):
        if not MODEL.exists():
            self.skipTest(f"no {MODEL}")

    def test_stops_while_answering(self):
        server = Server()
        body = json.dumps({"prompt": "a", "max_tokens": 10**6, "ignore_eos": True, "stream": True, "n": 3}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
            s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            s.recv(4096)
            start = time.monotonic()
            server.close()
            self.assertLess(time.monotonic() - start, 15)

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            r = subprocess.run([BINARY, "serve", str(MODEL), "--port", str(port)], capture_output=True, text=True, timeout=120)
        self.assertEqual(r.returncode, 1)
        self.assertIn(f"port {port}", r.stderr)
        self.assertEqual(r.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
