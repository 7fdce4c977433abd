"""A hub for tests: the Hugging Face hub's protocol over plain HTTP, as far as pulling a model goes, and ways to misbehave.

    with Hub() as hub:
        repo = hub.repo("org/name", {"config.json": b"{}", "model.gguf": bytes(...)})
        ... lumen pull with LUMEN_HUB_ENDPOINT=hub.url ...

Two listeners, as the real thing has: the hub itself at 127.0.0.1, and the place where large files lie ("cdn") at 127.0.0.2, which the
hub's resolve URLs redirect to. Every request is kept in hub.log. Standard library only.
"""
import hashlib
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass, field


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@dataclass
class Request:
    where: str  # "hub" or "cdn"
    method: str
    path: str  # with its query
    headers: dict
    status: int = 0
    sent: int = 0  # bytes of the body

    @property
    def range(self):
        return self.headers.get("range")


@dataclass
class Repo:
    name: str
    files: dict  # path -> content, of the newest commit
    large_from: int = 500  # files of this many bytes or more lie at the cdn, as LFS objects
    gated: bool = False
    private_token: str = ""  # only this token may read
    etag: str = ""  # not empty: a plain mirror, which sends every file itself, under this ETag
    commits: dict = field(default_factory=dict)  # commit -> files
    listed: list = field(default_factory=list)  # entries of the tree beside the files, as they are
    commit: str = ""

    def publish(self, files=None):
        self.files = dict(self.files if files is None else files)
        text = self.name + str(len(self.commits)) + "".join(p + sha256(c) for p, c in sorted(self.files.items()))
        self.commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[self.commit] = self.files
        return self.commit

    def tree(self, commit):
        out = []
        for path, content in sorted(self.commits[commit].items()):
            entry = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": path}
            if len(content) >= self.large_from:
                pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (sha256(content).encode(), len(content))
                entry |= {"oid": git_sha1(pointer), "lfs": {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer)}}
            out.append(entry)
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "somewhere"}] + out + self.listed


@dataclass
class Fault:
    """Does something else for requests whose path holds `path`, `times` times.

    status, headers, body: this answer instead. drop: ends the connection after so many bytes of the body. pace: seconds to
    wait before each 64 KB. content: a function of the right content. ranges = False: sends everything whatever was asked for.
    """

    path: str
    times: int = 1
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    drop: int = -1
    pace: float = 0
    content: object = None
    ranges: bool = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None
    where = ""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.serve()

    def do_GET(self):
        self.serve()

    def serve(self):
        hub = self.hub
        self.entry = Request(self.where, self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        with hub.lock:
            hub.log.append(self.entry)
            self.fault = next((f for f in hub.faults if f.times != 0 and f.path in self.path), None)
            if self.fault:
                self.fault.times -= 1
        try:
            if self.fault and self.fault.status:
                return self.answer(self.fault.status, self.fault.headers, self.fault.body)
            if self.where == "cdn":
                return self.blob(urllib.parse.unquote(self.path.split("?")[0]).removeprefix("/blob/"))
            self.route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, status, headers, body=b"", ranged=False):
        """The body, or the part of it that was asked for, slowly or not to its end where the fault says so."""
        fault, total = self.fault or Fault(""), len(body)
        asked = self.headers.get("Range")
        if ranged and asked and fault.ranges:
            first = int(asked.removeprefix("bytes=").split("-")[0])
            if first >= total:
                return self.answer(416, {"Content-Range": f"bytes */{total}"})
            status, headers = 206, {**headers, "Content-Range": f"bytes {first}-{total - 1}/{total}"}
            body = body[first:]
        self.entry.status = status
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(0, len(body), 65536):
            piece = body[at : at + 65536]
            if 0 <= fault.drop < at + len(piece):
                self.wfile.write(piece[: fault.drop - at])
                self.entry.sent += fault.drop - at
                self.wfile.flush()
                self.close_connection = True
                return
            if fault.pace:
                time.sleep(fault.pace)
            self.wfile.write(piece)
            self.entry.sent += len(piece)

    def refuse(self, status, code, message):
        self.answer(status, {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}, json.dumps({"error": message}).encode())

    def json(self, value, headers=None):
        self.answer(200, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, json.dumps(value).encode())

    def route(self):
        path, _, query = self.path.partition("?")
        words = path.strip("/").split("/")
        if words[:2] == ["api", "resolve-cache"]:
            words = words[3:5] + ["resolve"] + words[5:]
        api = words[:2] == ["api", "models"]
        repo = self.hub.repos.get("/".join(words[2:4] if api else words[0:2]))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == "revoked":
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.private_token and token != repo.private_token):
            # The real hub does not tell who has no account whether there is such a model.
            return self.refuse(404, "RepoNotFound", "Repository not found") if token else self.refuse(401, "RepoNotFound", "Repository not found")
        what, *rest = (words[4:] if api else words[2:]) or ["revision"]
        revision = urllib.parse.unquote(rest[0]) if rest else "main"
        commit = repo.commit if revision == "main" else self.hub.revisions.get((repo.name, revision), revision)
        if commit not in repo.commits:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "revision":
            return self.json({"id": repo.name, "sha": commit, "private": bool(repo.private_token), "gated": "manual" if repo.gated else False,
                              "siblings": [{"rfilename": path} for path in sorted(repo.commits[commit])]})
        if what == "tree":
            return self.page(repo.tree(commit), path, query)
        if what == "resolve":
            return self.resolve(repo, commit, urllib.parse.unquote("/".join(rest[1:])), token)
        self.refuse(404, "", "no such route")

    def page(self, entries, path, query):
        size, first = self.hub.page_size, int(urllib.parse.parse_qs(query).get("cursor", ["0"])[0])
        link = {}
        if first + size < len(entries):
            link = {"Link": f'<{self.hub.url}{path}?recursive=true&cursor={first + size}>; rel="next"'}
        self.json(entries[first : first + size], link)

    def resolve(self, repo, commit, path, token):
        if repo.gated:
            return self.refuse(403 if token else 401, "GatedRepo", f"Access to model {repo.name} is restricted")
        content = repo.commits[commit].get(path)
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if repo.etag:
            return self.answer(200, {**headers, "ETag": f'"{repo.etag}"'}, content, ranged=True)
        if len(content) < repo.large_from:  # the hub keeps these in a cache of its own
            if "/resolve-cache/" not in self.path:
                there = f"/api/resolve-cache/models/{repo.name}/{commit}/{urllib.parse.quote(path)}?etag=x"
                return self.answer(307, {**headers, "X-Linked-Etag": f'"{git_sha1(content)}"', "X-Linked-Size": str(len(content)), "Location": there})
            if self.fault and self.fault.content:
                content = self.fault.content(content)
            return self.answer(200, {**headers, "ETag": f'"{git_sha1(content)}"'}, content, ranged=True)
        digest = sha256(content)
        self.hub.blobs[digest] = content
        self.answer(302, {**headers, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "Location": f"{self.hub.cdn_url}/blob/{digest}?signature=x"})

    def blob(self, digest):
        content = self.hub.blobs.get(digest)
        if content is None:
            return self.answer(403, {}, b"expired")
        if self.fault and self.fault.content:
            content = self.fault.content(content)
        self.answer(200, {"ETag": f'"{digest[:32]}"', "Accept-Ranges": "bytes"}, content, ranged=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)  # else: a client that was killed, or does not trust the certificate


class Hub:
    def __init__(self, certificate=None):  # a certificate's and its key's file: https
        self.repos, self.revisions, self.blobs, self.log, self.faults = {}, {}, {}, [], []
        self.page_size = 50
        self.lock = threading.Lock()
        self.servers = [self.listen("127.0.0.1", "hub", certificate), self.listen("127.0.0.2", "cdn", certificate)]
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.servers[0].server_port}"
        self.cdn_url = f"{scheme}://127.0.0.2:{self.servers[1].server_port}"

    def listen(self, host, where, certificate):
        server = Server((host, 0), type("Handler", (Handler,), {"hub": self, "where": where}))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def repo(self, name, files, **options):
        self.repos[name] = Repo(name, files, **options)
        self.repos[name].publish()
        return self.repos[name]

    def fault(self, path, **what):
        self.faults.append(Fault(path, **what))
        return self.faults[-1]

    def requests(self, where, holding=""):
        with self.lock:
            return [r for r in self.log if r.where == where and holding in r.path]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.servers:
            s.shutdown()
            s.server_close()
