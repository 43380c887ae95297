"""The part of the Hugging Face hub that a download needs, over folders of this machine."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LARGE = (".safetensors", ".bin")


class Hub:
    """Repositories by id, what was asked for, and what is to go wrong."""

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.requests: list[str] = []
        self.fetched: list[str] = []
        """Files whose bytes were sent, in order."""
        self.status: int | None = None
        """What every request is answered with; None to answer it."""
        self.absent: str | None = None
        """A file that is listed and not there."""
        self.cut: str | None = None
        """A file of which no byte behind its middle is sent: the connection ends there."""
        self.held: str | None = None
        """A file of which nothing comes after the first half, over a connection that stays open."""
        self.let_go = Event()
        self.lies = False
        """Whether large files are announced with another SHA-256 than theirs."""
        self.gated = False
        self.endpoint = ""


@contextmanager
def serve() -> Iterator[Hub]:
    """Answer on a port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        self.hub.requests.append(format % args)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.hub.status is not None:
            self._send(self.hub.status, b"", {})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._list(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._file(match[1], match[2], with_body=with_body)
        else:
            self._send(404, b"", {})

    def _list(self, repository: str, revision: str) -> None:
        if repository not in self.hub.repositories:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"main", COMMIT}:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif self.hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            files = [
                _entry(self.hub, self.hub.repositories[repository], path)
                for path in _files(self.hub, repository)
            ]
            info = {"id": repository, "sha": COMMIT, "siblings": files}
            self._send(200, json.dumps(info).encode(), {})

    def _file(self, repository: str, name: str, *, with_body: bool) -> None:
        if name == self.hub.absent:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = (self.hub.repositories[repository] / name).read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        sent = content if with_body else b""
        if with_body:
            self.hub.fetched.append(name)
        if is_broken := with_body and name in {self.hub.cut, self.hub.held}:
            sent = content[: len(content) // 2]
        self._send(200, sent, headers, announced=len(content))
        if is_broken:
            if name == self.hub.held:
                self.hub.let_go.wait()
            self.close_connection = True

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, announced: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)


def _files(hub: Hub, repository: str) -> list[Path]:
    return sorted(path for path in hub.repositories[repository].rglob("*") if path.is_file())


def _entry(hub: Hub, folder: Path, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    digest = hashlib.sha256(b"another" if hub.lies else content).hexdigest()
    entry: dict[str, Any] = {
        "rfilename": path.relative_to(folder).as_posix(),
        "size": len(content),
        "blobId": hashlib.sha256(content).hexdigest(),
    }
    if path.suffix in _LARGE:
        entry["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
    return entry
