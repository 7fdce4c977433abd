#!/usr/bin/env python3
"""lumen pull, list, show and rm against a hub of the test's own (hub_server.py): tests/e2e/test_pull.py

The binary is build/lumen, or $LUMEN_BINARY. Needs no network. Standard library only; the check that the hub follows the real
protocol needs the package huggingface_hub in this Python, or in the one that $LUMEN_HF_PYTHON names, and is skipped without.
"""
import email.utils
import fcntl
import json
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import Hub, git_sha1, sha256  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LUMEN_BINARY", str(ROOT / "build/lumen"))
TINY = (ROOT / "tests/golden/tiny.gguf").read_bytes()
NAME = "org/name"


def content(n, seed=1):
    return random.Random(seed).randbytes(n)


class Pull(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.hub = Hub()
        self.addCleanup(self.hub.__exit__)
        self.store = self.dir / "models"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "LUMEN_", "XDG_")) and not k.lower().endswith("_proxy")}
        self.env |= {"HOME": str(self.dir), "LUMEN_MODELS": str(self.store), "LUMEN_HUB_ENDPOINT": self.hub.url}

    def place(self, name=NAME):
        return self.store / "hf" / name

    def start(self, *args, **env):
        return subprocess.Popen([BINARY, *args], env={**self.env, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_lumen(self, *args, **env):
        p = self.start(*args, **env)
        out, err = p.communicate(timeout=60)
        return p.returncode, out.decode(), err.decode()

    def ok(self, *args, **env):
        status, out, err = self.run_lumen(*args, **env)
        self.assertEqual(status, 0, err)
        self.said = err
        return out

    def refused(self, *args, says, status=1, **env):
        """One line on standard error that begins with "lumen: " and holds every text of `says`."""
        got, out, err = self.run_lumen(*args, **env)
        self.assertEqual((got, out), (status, ""), err)
        lines = [line for line in err.splitlines() if line.startswith("lumen: ")]
        self.assertEqual(len(lines), 1, err)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, lines[0])
        self.said = err
        return lines[0]

    def nothing_kept(self):
        """No file of a model, no part of one."""
        found = [str(p) for p in self.store.rglob("*") if p.is_file() and p.name not in ("record.json",) and not p.name.endswith(".lock")]
        self.assertEqual(found, [])

    def part(self, path, name=NAME):
        return self.place(name) / ".lumen" / (path + ".part")

    def wait_for(self, condition, what):
        end = time.time() + 20
        while not condition():
            self.assertLess(time.time(), end, what)
            time.sleep(0.01)

    def pull_until(self, path, size, **env):
        """Starts a pull and waits until the part of `path` has `size` bytes."""
        p = self.start("pull", f"hf:{NAME}", **env)
        part = self.part(path)
        self.wait_for(lambda: p.poll() is not None or (part.exists() and part.stat().st_size >= size), "the part does not grow")
        self.assertIsNone(p.poll(), "finished before it could be stopped: " + (p.stderr.read().decode() if p.poll() is not None else ""))
        return p

    def kill(self, p):
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
        p.stderr.close()


class Whole(Pull):
    def test_file(self):
        repo = self.hub.repo(NAME, {"model.gguf": TINY, "README.md": b"hello"})
        out = self.ok("pull", f"hf:{NAME}")
        self.assertEqual(out, f"{self.place()}/model.gguf\n")
        self.assertEqual((self.place() / "model.gguf").read_bytes(), TINY)
        self.assertIn(f"lumen run {NAME}", self.said)
        self.assertEqual(sorted(p.name for p in self.place().iterdir()), [".lumen", "model.gguf"])
        self.assertEqual([p.name for p in (self.place() / ".lumen").iterdir()], ["record.json"])
        # Again: nothing is fetched.
        before = len(self.hub.requests("cdn"))
        self.assertEqual(self.ok("pull", f"hf:{NAME}"), out)
        self.assertIn("is here already", self.said)
        self.assertEqual(len(self.hub.requests("cdn")), before)
        # By all its names.
        for name in (NAME, f"hf:{NAME}", f"{NAME}:model.gguf", "model.gguf", "model", out.strip()):
            self.assertEqual(json.loads(self.ok("inspect", name, "--json"))["path"], out.strip())
        shown = json.loads(self.ok("show", NAME, "--json"))
        self.assertEqual((shown["source"], shown["endpoint"], shown["bytes"], shown["complete"]), (f"hf:{NAME}", self.hub.url, len(TINY), True))
        self.assertEqual((shown["files"][0]["path"], shown["files"][0]["sha256"], shown["files"][0]["commit"]), ("model.gguf", sha256(TINY), repo.commit))
        self.assertEqual(shown["content"]["container"], "gguf")
        self.assertIn(sha256(TINY), self.ok("show", NAME))
        self.assertIn("verified", self.ok("show", NAME, "--verify"))
        (self.place() / "model.gguf").write_bytes(TINY[:-1] + b"x")
        self.refused("show", NAME, "--verify", says=["model.gguf", "expected the sha256 " + sha256(TINY), "was changed"])

    def test_changed_on_the_hub(self):
        repo = self.hub.repo(NAME, {"model.gguf": content(5000)})
        first = repo.commit
        self.ok("pull", NAME)
        repo.publish({"model.gguf": content(6000, 2)})
        self.ok("pull", NAME)
        self.assertIn(f"model.gguf: the content changed on the hub (commit {first[:12]}, now {repo.commit[:12]})", self.said)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(6000, 2))
        # A revision is a model of its own.
        self.hub.revisions[(NAME, "refs/pr/1")] = first
        out = self.ok("pull", f"hf:{NAME}@refs/pr/1").strip()
        self.assertEqual(Path(out).read_bytes(), content(5000))
        self.assertEqual(json.loads(self.ok("list", "--json"))[1]["name"], f"{NAME}@refs/pr/1")
        self.assertEqual(Path(self.ok("pull", f"hf:{NAME}@{first}").strip()).read_bytes(), content(5000))

    def test_directory(self):
        files = {"config.json": b"{}", "tokenizer.json": content(3000), "tokenizer_config.json": b"{ }", "model.safetensors.index.json": b"{}",
                 "model-00001-of-00002.safetensors": content(70000), "model-00002-of-00002.safetensors": content(50000, 2), "chat_template.jinja": b"x"}
        others = {"consolidated.safetensors": content(1000), "pytorch_model.bin": content(2000), "onnx/model.onnx": content(2000), "README.md": b"r",
                  "original/model.safetensors": content(1500)}
        self.hub.repo(NAME, files | others)
        self.hub.page_size = 3  # five pages
        self.assertEqual(self.ok("pull", f"hf:{NAME}"), f"{self.place()}\n")
        got = {str(p.relative_to(self.place())): p.read_bytes() for p in self.place().rglob("*") if p.is_file() and ".lumen" not in p.parts}
        self.assertEqual(got, files)
        self.assertGreaterEqual(len(self.hub.requests("hub", "/tree/")), 5)
        self.assertIn('"git_sha1": "' + git_sha1(b"{}"), (self.place() / ".lumen/record.json").read_text())
        # A pattern takes what it says, into the same place.
        self.ok("pull", f"hf:{NAME}:onnx/*")
        self.assertEqual((self.place() / "onnx/model.onnx").read_bytes(), others["onnx/model.onnx"])

    def test_parts_come_together(self):
        parts = {f"big-0000{i}-of-00003.gguf": content(2000, i) for i in (1, 2, 3)}
        self.hub.repo(NAME, parts)
        self.assertEqual(self.ok("pull", f"{NAME}:big-00002*"), f"{self.place()}/big-00001-of-00003.gguf\n")
        self.assertEqual({p.name: p.read_bytes() for p in self.place().glob("*.gguf")}, parts)
        self.hub.repo(NAME + "2", {k: v for k, v in parts.items() if "00002-" not in k})
        self.refused("pull", NAME + "2", says=["big-00001-of-00003.gguf", "expected 3 parts", "lists 2"])

    def test_choice(self):
        repo = self.hub.repo(NAME, {})
        sizes = {"m-Q2_K.gguf": 300, "m-Q4_0.gguf": 400, "m-Q4_K_M.gguf": 410, "m-Q4_K_S.gguf": 398, "sub/m-Q8_0.gguf": 700, "m-BF16.gguf": 1400, "mmproj-m.gguf": 20}
        repo.listed = [{"type": "file", "path": p, "size": n * 10**6, "oid": "a" * 40} for p, n in sizes.items()]

        def chosen(*args):
            return [line.split()[0] for line in self.ok("pull", *args, "--dry-run").splitlines()]

        self.assertEqual(chosen(NAME, "--memory", "64"), ["sub/m-Q8_0.gguf"])  # not the plain floats, though they fit
        self.assertRegex(self.said, r"of 6 files, taking sub/m-Q8_0.gguf \(700.0 MB\): needs about 854.6 MB to run, the largest that fits into 70% of the 64.0 GB")
        self.assertIn("the others: m-BF16.gguf (1.4 GB), m-Q2_K.gguf", self.said)
        self.assertEqual(chosen(NAME, "--memory", "0.8"), ["m-Q4_K_M.gguf"])
        self.assertEqual(chosen(NAME, "--memory", "0.75"), ["m-Q4_K_S.gguf"])  # as large as Q4_0, which fits as well
        self.assertIn("of the better kind", self.said)
        self.assertEqual(chosen(f"{NAME}:q4_0", "--memory", "0.1"), ["m-Q4_0.gguf"])  # named: taken whatever the memory
        self.assertIn("more than 70%", self.said)
        self.assertEqual(chosen(f"{NAME}:*Q4*", "--all", "--memory", "64"), ["m-Q4_0.gguf", "m-Q4_K_M.gguf", "m-Q4_K_S.gguf"])
        self.refused("pull", NAME, "--memory", "0.3", says=["none of 5 files fits", "the smallest, m-Q2_K.gguf", "m-Q4_0.gguf (400.0 MB)"])
        self.refused("pull", f"{NAME}:*Q9*", status=2, says=["no file matches '*Q9*'", "m-Q2_K.gguf (300.0 MB)"])
        self.nothing_kept()

    def test_several_of_one_repository(self):
        self.hub.repo(NAME, {"a-Q4_0.gguf": TINY, "a-Q8_0.gguf": TINY + b"\0"})
        self.ok("pull", NAME, "--all")
        self.assertEqual([m["name"] for m in json.loads(self.ok("list", "--json"))], [f"{NAME}:a-Q4_0.gguf", f"{NAME}:a-Q8_0.gguf"])
        self.refused("inspect", NAME, status=2, says=["2 models are meant", f"{NAME}:a-Q4_0.gguf, {NAME}:a-Q8_0.gguf"])
        self.ok("inspect", f"{NAME}:Q4_0")
        self.ok("rm", f"{NAME}:a-Q4_0.gguf")
        self.assertEqual([m["name"] for m in json.loads(self.ok("list", "--json"))], [NAME])

    def test_short_names(self):
        self.store.mkdir()
        (self.store / "names.json").write_text(json.dumps({"mine": f"hf:{NAME}:*Q4*"}))
        self.hub.repo(NAME, {"a-Q4_0.gguf": TINY, "a-Q8_0.gguf": TINY})
        self.assertIn(f"hf:{NAME}:*Q4*", self.ok("pull"))
        self.refused("inspect", "mine", says=["lumen pull mine fetches it", f"hf:{NAME}:*Q4*"])
        self.ok("pull", "mine")
        self.ok("inspect", "mine")
        (self.store / "own.gguf").write_bytes(TINY)
        (self.store / "names.json").write_text(json.dumps({"own": f"hf:{NAME}"}))
        self.assertEqual(self.ok("pull", "own"), f"{self.store}/own.gguf\n")  # what lies there under that name counts
        (self.store / "names.json").write_text('{"a/b": 3}')
        self.refused("pull", "own", says=["names.json", "a/b"])

    def test_rm(self):
        self.hub.repo(NAME, {"sub/model.gguf": TINY})
        self.ok("pull", NAME)
        self.assertIn("removed " + NAME, self.ok("rm", NAME))
        self.assertFalse((self.store / "hf").exists())
        outside = self.dir / "precious.gguf"
        outside.write_bytes(TINY)
        for name in (str(outside), "../precious", "../precious.gguf", "hf:../../precious", ".", "hf"):
            self.refused("rm", name, "-y", says=name.split(":")[-1].strip("./") or ".", status=2 if name.startswith("hf:") else 1)
        self.assertTrue(outside.exists())

    def test_rm_asks_who_watches(self):
        self.store.mkdir()
        (self.store / "m.gguf").write_bytes(TINY)

        def answer(text, *args):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(BINARY, [BINARY, "rm", "m", *args], self.env)
            if text:
                os.write(fd, text)
            seen = b""
            while select.select([fd], [], [], 20)[0]:
                try:
                    piece = os.read(fd, 4096)
                except OSError:
                    break
                if not piece:
                    break
                seen += piece
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

        status, seen = answer(b"n\n")
        self.assertEqual(status, 1)
        self.assertIn("remove m (", seen)
        self.assertTrue((self.store / "m.gguf").exists())
        self.assertEqual(answer(b"y\n")[0], 0)
        self.assertFalse((self.store / "m.gguf").exists())

    def test_bar_where_a_person_watches(self):
        self.hub.repo(NAME, {"m.gguf": content(1 << 20)})
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(BINARY, [BINARY, "pull", NAME], self.env)
        seen = b""
        while select.select([fd], [], [], 20)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertRegex(seen.decode(), r"\rpulling m.gguf \[#+\.+\] \d+%")

    def test_not_pulled(self):
        self.refused("run", f"hf:{NAME}", "hello", says=[f"hf:{NAME}: not in", f"lumen pull hf:{NAME} fetches it"])
        self.refused("run", NAME, "hello", says=["no such file", f"lumen pull {NAME}"])
        self.refused("run", "smollm2", "hello", says="lumen pull smollm2 fetches it")
        for bad in ("hf:name", "hf:a/b/c", "hf:/b", "hf:a/..", "hf:a/b@", "hf:a/b@../x", "hf:a/b:", "a b/c", "hf:a/b\n"):
            self.refused("pull", bad, status=2, says="expected hf:ORG/REPO[@REVISION][:PATTERN]")
        self.refused("pull", "nosuch", status=2, says="no short name")


class Interrupted(Pull):
    SIZE = 6 << 20

    def killed(self, path="/blob/", etag=""):
        """A pull killed with at least 2 MB of model.gguf there; gives the repository and the part's size."""
        repo = self.hub.repo(NAME, {"model.gguf": content(self.SIZE)}, etag=etag)
        fault = self.hub.fault(path, pace=0.012)
        self.kill(self.pull_until("model.gguf", 2 << 20))
        fault.times = 0
        size = self.part("model.gguf").stat().st_size
        self.assertLess(size, self.SIZE)
        self.assertFalse((self.place() / "model.gguf").exists())
        return repo, size

    def test_resume_after_kill(self):
        _, size = self.killed()
        self.refused("inspect", NAME, says=["did not come to the end", f"lumen pull hf:{NAME} continues"])
        self.assertIn("not whole", self.ok("list"))
        self.refused("pull", NAME, LUMEN_OFFLINE="1", says=[f"hf:{NAME}: not whole in {self.store}, and LUMEN_OFFLINE forbids"])
        self.ok("pull", NAME)
        self.assertIn("model.gguf: continuing after", self.said)
        second = self.hub.requests("cdn")[-1]
        self.assertEqual((second.range, second.status, second.sent), (f"bytes={size}-", 206, self.SIZE - size))
        self.assertEqual(sha256((self.place() / "model.gguf").read_bytes()), sha256(content(self.SIZE)))
        self.assertEqual([p.name for p in (self.place() / ".lumen").iterdir()], ["record.json"])

    def test_content_changed_after_kill(self):
        repo, _ = self.killed()
        first = repo.commit
        repo.publish({"model.gguf": content(self.SIZE, 2)})
        self.ok("pull", NAME)
        self.assertIn("model.gguf: the content changed on the hub since", self.said)
        self.assertIn(f"(commit {first[:12]}, now {repo.commit[:12]}): starting again", self.said)
        self.assertIsNone(self.hub.requests("cdn")[-1].range)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE, 2))

    def test_part_damaged_after_kill(self):
        self.killed()
        with open(self.part("model.gguf"), "r+b") as f:
            f.write(b"damage")
        self.ok("pull", NAME)
        self.assertIn("what had arrived earlier and what came now do not make up sha256", self.said)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE))

    def test_part_of_nothing_known(self):
        self.killed()
        Path(str(self.part("model.gguf")) + ".json").write_text("garbage")
        self.ok("pull", NAME)
        self.assertIn("nothing says what the part that came earlier is of: starting again", self.said)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE))

    def test_hub_without_ranges(self):
        self.killed()
        self.hub.fault("/blob/", ranges=False)
        self.ok("pull", NAME)
        self.assertIn("the hub sends no parts of files: starting again", self.said)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE))

    def test_wrong_range(self):
        self.killed()
        self.hub.fault("/blob/", status=206, headers={"Content-Range": f"bytes 5-{self.SIZE - 1}/{self.SIZE}"}, body=b"x")
        self.refused("pull", NAME, says=["expected bytes from", "the hub sends 'bytes 5-"])

    def test_mirror_changed_after_kill(self):
        """A plain mirror whose ETags are its own: the content is another though the list is the same."""
        repo, _ = self.killed(path="/resolve/", etag="v1")
        repo.etag = "v2"
        self.ok("pull", NAME)
        self.assertRegex(self.said, r"the content changed on the hub since \S+ MB of it came \(etag v1, now v2\): starting again")
        self.assertIsNone(self.hub.requests("hub", "/resolve/")[-1].range)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE))

    def test_other_content_than_listed(self):
        files = {"config.json": b"{}" * 20, "model.safetensors": content(3000)}
        self.hub.repo(NAME, files)
        listed, other = git_sha1(files["config.json"]), git_sha1(b"[]" * 20)
        self.hub.fault("/resolve/", status=307, headers={"X-Linked-Etag": f'"{other}"', "Location": "/elsewhere"})
        self.hub.fault("/elsewhere", status=200, body=b"[]" * 20)
        self.refused("pull", NAME, says=["config.json", f"expected the git_sha1 {listed} as listed, the hub sends {other}"])
        self.hub.fault("/resolve-cache/", content=lambda c: b"[]" * 20)
        self.refused("pull", NAME, says=["config.json", f"what came has the git_sha1 {other}, expected {listed}; nothing was kept"])
        self.hub.fault("/resolve/", status=302, headers={"X-Repo-Commit": "c" * 40, "Location": "/elsewhere"})
        self.hub.fault("/elsewhere", status=200, body=b"{}" * 20)
        self.refused("pull", NAME, says=["expected commit", "the hub sends " + "c" * 40])
        self.nothing_kept()

    def test_broken_connection(self):
        self.hub.repo(NAME, {"model.gguf": content(self.SIZE)})
        self.hub.fault("/blob/", drop=1 << 20)
        self.hub.fault("/blob/", drop=1 << 20)
        self.ok("pull", NAME)
        self.assertIn("trying again in 0.5 s", self.said)
        self.assertEqual([r.range for r in self.hub.requests("cdn")], [None, f"bytes={1 << 20}-", f"bytes={2 << 20}-"])
        self.assertEqual(sum(r.sent for r in self.hub.requests("cdn")), self.SIZE)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(self.SIZE))

    def test_two_at_once(self):
        self.hub.repo(NAME, {"model.gguf": content(self.SIZE)})
        self.hub.fault("/blob/", pace=0.01)
        first = self.pull_until("model.gguf", 1)
        second = self.start("pull", NAME)
        results = [(p.wait(30), p.stdout.read().decode(), p.stderr.read().decode()) for p in (first, second)]
        for p in (first, second):
            p.stdout.close()
            p.stderr.close()
        self.assertEqual([r[:2] for r in results], [(0, f"{self.place()}/model.gguf\n")] * 2)
        self.assertIn(f"another process is pulling or removing hf:{NAME}: waiting for it", results[1][2])
        self.assertIn("is here already", results[1][2])
        self.assertEqual(len(self.hub.requests("cdn")), 1)
        # While one pulls, rm keeps away.
        lock = open(self.store / "hf/org/.name.lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.refused("rm", NAME, says="is being pulled or removed by another process")
        lock.close()


class Refused(Pull):
    def test_wrong_digest(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.hub.fault("/blob/", times=-1, content=lambda c: c[:-1] + b"x")
        bad = sha256(content(5000)[:-1] + b"x")
        self.refused("pull", NAME, says=[f"hf:{NAME}: model.gguf: what came has the sha256 {bad}, expected {sha256(content(5000))}; nothing was kept"])
        self.nothing_kept()
        self.refused("inspect", NAME, says="did not come to the end")

    def test_token_stays_with_the_hub(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)}, private_token="secret")
        self.hub.page_size = 1
        self.ok("pull", NAME, HF_TOKEN="secret")
        self.assertTrue(all(r.headers.get("authorization") == "Bearer secret" for r in self.hub.requests("hub")))
        self.assertGreaterEqual(len(self.hub.requests("hub")), 4)
        cdn = self.hub.requests("cdn")
        self.assertEqual(len(cdn), 1)
        self.assertEqual(cdn[0].headers["host"].split(":")[0], "127.0.0.2")
        self.assertNotIn("authorization", cdn[0].headers)
        self.assertNotIn("secret", str(cdn[0].headers))
        # The other places a token may stand in.
        self.ok("pull", NAME, HUGGING_FACE_HUB_TOKEN="secret")
        home = self.dir / "hf-home"
        home.mkdir()
        (home / "token").write_text("secret\n")
        self.ok("pull", NAME, HF_HOME=str(home))
        self.refused("pull", NAME, HF_TOKEN="two words", status=2, says=["the token from HF_TOKEN", "expected one word"])

    def test_token_does_not_follow_pages_elsewhere(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.hub.fault("/tree/", status=200, headers={"Link": f'<{self.hub.cdn_url}/steal>; rel="next"'}, body=b"[]")
        self.hub.fault("/steal", status=404)
        self.refused("pull", NAME, HF_TOKEN="secret", says="the place the hub led to answered (404)")
        self.assertNotIn("authorization", self.hub.requests("cdn", "/steal")[0].headers)

    def test_token_is_not_sent_in_clear(self):
        self.hub.repo(NAME, {"model.gguf": TINY})
        elsewhere = self.hub.url.replace("127.0.0.1", "0.0.0.0")  # the same listener, by an address that is not this machine's own
        self.ok("pull", NAME, HF_TOKEN="secret", LUMEN_HUB_ENDPOINT=elsewhere)
        self.assertIn(f"the token from HF_TOKEN is not sent: {elsewhere} is not encrypted", self.said)
        self.assertNotIn("secret", str(self.hub.log))

    def test_401(self):
        self.hub.repo(NAME, {"model.gguf": TINY}, private_token="secret")
        self.refused("pull", NAME, says=[f"hf:{NAME}: the hub has no such model, or it is private (401)", f"{self.hub.url}/{NAME}", "HF_TOKEN"])
        self.refused("pull", NAME, HF_TOKEN="revoked", says=["the hub does not accept the token from HF_TOKEN (401)"])
        self.nothing_kept()

    def test_403_gated(self):
        self.hub.repo(NAME, {"model.gguf": TINY}, gated=True)
        page = f"Open {self.hub.url}/{NAME} in a browser and accept them"
        self.refused("pull", NAME, says=[f"hf:{NAME} is gated (401)", page, "then set HF_TOKEN"])
        self.refused("pull", NAME, HF_TOKEN="other", says=[f"hf:{NAME} is gated (403)", page, "the token from HF_TOKEN must be of the same account"])
        self.hub.fault("/revision/", status=403, headers={"X-Error-Message": "not\tfor you"})
        self.refused("pull", NAME, HF_TOKEN="other", says=['the hub forbids it (403): "not?for you"', "may not read this model"])
        self.nothing_kept()

    def test_404(self):
        self.refused("pull", "org/none", HF_TOKEN="x", says=["hf:org/none: the hub has no such model (404)", f"{self.hub.url}/org/none"])
        repo = self.hub.repo(NAME, {"model.gguf": TINY})
        self.refused("pull", f"{NAME}@v9", says=[f"hf:{NAME}@v9: the model has no revision 'v9' (404)"])
        repo.listed = [{"type": "file", "path": "ghost.gguf", "size": 5, "oid": "a" * 40}]
        self.refused("pull", f"{NAME}:ghost.gguf", says="the hub has no file ghost.gguf (404), though it listed it")
        self.refused("pull", "hf:org/none", LUMEN_HUB_ENDPOINT="ftp://x", status=2, says=["endpoint 'ftp://x'", "expected a URL"])

    def test_429(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.hub.fault("/revision/", status=429, headers={"Retry-After": "1"})
        self.hub.fault("/blob/", status=429, headers={"Retry-After": email.utils.formatdate(time.time() + 3, usegmt=True)})
        begin = time.time()
        self.ok("pull", NAME)
        self.assertGreater(time.time() - begin, 1.9)
        self.assertIn("the hub answered 429: trying again in 1 s, as it asks", self.said)
        self.assertEqual(self.said.count("as it asks"), 2)
        self.hub.fault("/revision/", status=429, headers={"Retry-After": "3600"})
        self.refused("pull", NAME, says=["the hub is asked too much (429): try again in 3600 s; with HF_TOKEN it allows more"])

    def test_5xx(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.hub.fault("/revision/", times=2, status=503)
        self.ok("pull", NAME)
        self.assertIn("the hub answered 503: trying again in 0.5 s\nthe hub answered 503: trying again in 1 s\n", self.said)
        self.hub.fault("/revision/", times=1, status=501)  # will not pass by itself
        self.refused("pull", NAME, says=f"expected an answer of status 200 from {self.hub.url}, found 501")

    def test_no_hub(self):
        self.hub.__exit__()
        begin = time.time()
        self.refused("pull", NAME, says=f"hf:{NAME}: the connection to {self.hub.url} failed")
        self.assertEqual(self.said.count("trying again"), 4)
        self.assertGreater(time.time() - begin, 7)

    def test_offline(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.refused("pull", NAME, HF_HUB_OFFLINE="1", says=[f"hf:{NAME}: not in {self.store}", "HF_HUB_OFFLINE forbids to ask the hub"])
        self.ok("pull", NAME)
        asked = len(self.hub.log)
        self.assertEqual(self.ok("pull", NAME, LUMEN_OFFLINE="true"), f"{self.place()}/model.gguf\n")
        self.assertIn("LUMEN_OFFLINE is set, the hub was not asked", self.said)
        self.assertEqual(len(self.hub.log), asked)

    def test_mirror(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        self.ok("pull", NAME, LUMEN_HUB_ENDPOINT="", HF_ENDPOINT=self.hub.url + "/")

    def test_hostile_names(self):
        repo = self.hub.repo(NAME, {"model.gguf": TINY})
        for path, why in {"../evil.gguf": "found '..' in it", "/abs.gguf": "an absolute one", "a/../../x.gguf": "found '..' in it", "a//b.gguf": "found '' in it",
                          "x\0.gguf": "control characters", "x\x1b[2J.gguf": "control characters", "x" * 300 + ".gguf": "at most 240 bytes",
                          "/".join(["d" * 200] * 10): "at most 1024 bytes", ".lumen/record.json": "Lumen's own", "": "without a name", ".": "found '.' in it"}.items():
            repo.listed = [{"type": "file", "path": path, "size": 5, "oid": "a" * 40}]
            self.refused("pull", f"{NAME}:model.gguf", says=["refused", why])
        self.assertFalse(self.store.exists())
        self.assertEqual([p.name for p in self.dir.iterdir()], [])

    def test_garbage(self):
        repo = self.hub.repo(NAME, {"model.gguf": TINY})
        for body, why in {b"<html>": "expected JSON: JSON line 1 column 1", b"{}": "sha: expected a commit's 40 hexadecimal digits, found nothing", b'{"sha": 3}': "found an integer",
                          b'{"sha": "../../x"}': "found '../../x'", b"[" * 100: "levels of nesting"}.items():
            self.hub.fault("/revision/", status=200, body=body)
            self.refused("pull", NAME, says=[f"hf:{NAME}: {self.hub.url} gave an answer that makes no sense", why])
        good = {"type": "file", "path": "m.gguf", "size": 5, "oid": "a" * 40}
        for entry, why in [({"path": 3}, "path: expected a string"), ({"size": -1}, "size: expected a file's size"), ({"size": 2**60}, "size"), ({"size": 1.5}, "size"),
                           ({"oid": "xyz"}, "oid: expected git's name of the content, found 'xyz'"), ({"lfs": {"size": 5}}, "oid: expected a sha256, found nothing"),
                           ({"type": 1}, "type: expected"), ({"path": "model.gguf"}, "is listed twice")]:
            repo.listed = [good | entry]
            self.refused("pull", NAME, says=["makes no sense", why])
        self.hub.fault("/tree/", status=200, body=b'{"error": "x"}')
        self.refused("pull", NAME, says="the list of files: expected an array, found an object")
        repo.listed = []
        self.hub.fault("/blob/", status=200, body=TINY + b"more")
        self.refused("pull", NAME, says=f"expected {len(TINY)} bytes as listed, the hub sends {len(TINY) + 4}")
        self.hub.fault("/resolve/", status=302, headers={"Location": "file:///etc/passwd"})
        self.refused("pull", NAME, says=["the hub led to 'file:///etc/passwd'", "expected a URL"])
        self.hub.fault("/resolve/", times=-1, status=302, headers={"Location": f"{self.hub.url}/{NAME}/resolve/main/model.gguf"})
        self.refused("pull", NAME, says="more than 8 redirects")

    def test_links_in_the_store(self):
        self.hub.repo(NAME, {"model.gguf": content(5000)})
        victim = self.dir / "victim"
        victim.mkdir()
        (victim / "file").write_bytes(b"precious")

        def fresh():
            shutil.rmtree(self.store, True)
            self.place().mkdir(parents=True)

        fresh()
        (self.place() / "model.gguf").symlink_to(victim / "file")
        self.refused("pull", NAME, says=[f"{self.place()}/model.gguf: expected a file, found a symbolic link"])
        fresh()
        (self.place() / ".lumen").mkdir()
        self.part("model.gguf").symlink_to(victim / "file")
        self.refused("pull", NAME, says=["model.gguf.part: expected a file, found a symbolic link"])
        fresh()
        self.place().rmdir()
        self.place().symlink_to(victim)
        self.refused("pull", NAME, says=[f"{self.place()}: expected a directory, found a symbolic link"])
        fresh()
        (self.place() / ".lumen").mkdir()
        (self.place() / ".lumen/record.json").symlink_to(victim / "file")
        self.refused("pull", NAME, says=["record.json: expected a file, found a symbolic link"])
        self.assertEqual([(p.name, p.read_bytes()) for p in victim.iterdir()], [("file", b"precious")])


class Disk(Pull):
    """The store on a file system of 6 MB."""

    def setUp(self):
        super().setUp()
        self.store.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(self.store)], capture_output=True, text=True)
        if made.returncode != 0:
            self.skipTest("mounting a tmpfs is not permitted here: " + made.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", str(self.store)])

    def test_no_room(self):
        self.hub.repo(NAME, {"model.gguf": content(8 << 20)})
        self.refused("pull", NAME, says=[f"hf:{NAME} needs 8.4 MB more in {self.store}, where 6.3 MB are free"])
        self.assertEqual(self.hub.requests("cdn"), [])

    def test_full_on_the_way(self):
        self.hub.repo(NAME, {"model.gguf": content(4 << 20)})
        fault = self.hub.fault("/blob/", pace=0.02)
        p = self.pull_until("model.gguf", 1 << 20)
        (self.store / "other").write_bytes(bytes(3 << 20))  # somebody else takes the room
        _, err = p.communicate(timeout=20)
        self.assertEqual(p.returncode, 1)
        self.assertRegex(err.decode(), rf"lumen: hf:{NAME}: model.gguf: the disk of {self.store} is full: \S+ MB are missing. What came is kept")
        self.assertFalse((self.place() / "model.gguf").exists())
        self.refused("inspect", NAME, says="did not come to the end")
        (self.store / "other").unlink()
        fault.times = 0
        self.ok("pull", NAME)
        self.assertIn("continuing after", self.said)
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(4 << 20))


class Encrypted(Pull):
    """The hub over https, with a certificate that this machine does not know."""

    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("no openssl program here to make a certificate with")
        self.certificate, key = self.dir / "certificate.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1,IP:127.0.0.2", "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        self.plain = self.hub
        self.hub = Hub((self.certificate, key))
        self.addCleanup(self.hub.__exit__)
        self.env |= {"LUMEN_HUB_ENDPOINT": self.hub.url}
        self.hub.repo(NAME, {"model.gguf": content(5000)})

    def test_certificates_count(self):
        self.refused("pull", NAME, says=[f"the connection to {self.hub.url} failed", "certificate"])
        self.assertEqual(self.hub.log, [])
        self.env["SSL_CERT_FILE"] = str(self.certificate)
        self.ok("pull", NAME, HF_TOKEN="secret")
        self.assertEqual((self.place() / "model.gguf").read_bytes(), content(5000))
        self.assertNotIn("authorization", self.hub.requests("cdn")[0].headers)

    def test_no_way_back_to_plain_http(self):
        self.hub.fault("/resolve/", status=302, headers={"Location": f"{self.plain.cdn_url}/blob/x"})
        self.refused("pull", NAME, SSL_CERT_FILE=str(self.certificate), says=[f"the hub led from https to '{self.plain.cdn_url}/blob/x': refused"])
        self.assertEqual(self.plain.log, [])


class Protocol(Pull):
    def test_the_hubs_own_client(self):
        """What the test's hub answers is what huggingface_hub expects of a hub."""
        python = os.environ.get("LUMEN_HF_PYTHON", sys.executable)
        if subprocess.run([python, "-c", "import huggingface_hub"], capture_output=True).returncode != 0:
            self.skipTest(f"{python} has no huggingface_hub")
        self.hub.repo(NAME, {"config.json": b"{}", "sub/model.gguf": content(200000)})
        self.hub.page_size = 1
        script = (
            "import sys, huggingface_hub as h\n"
            f"print(h.HfApi().model_info('{NAME}').sha)\n"
            f"for f in h.HfApi().list_repo_tree('{NAME}', recursive=True):\n"
            "  if isinstance(f, h.hf_api.RepoFile): print(f.path, f.size, f.lfs.sha256 if f.lfs else f.blob_id)\n"
            f"print(h.snapshot_download('{NAME}', local_dir=sys.argv[1]))\n"
        )
        to = self.dir / "by-client"
        p = subprocess.run([python, "-c", script, str(to)], capture_output=True, text=True, timeout=120,
                           env={**self.env, "HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.dir / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"})
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(p.stdout.splitlines()[1:3], ["config.json 2 " + git_sha1(b"{}"), "sub/model.gguf 200000 " + sha256(content(200000))])
        self.assertEqual((to / "sub/model.gguf").read_bytes(), content(200000))


if __name__ == "__main__":
    unittest.main()
