"""An ingest without broker or database, in a thread: it answers callouts as the contract says.

It asks for what a test puts into `open`, oldest first, until the org has acknowledged it.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_REQUESTS: Final = 10
SECRET: Final = "whsec_c2lnbnMgY2FsbG91dHMgb2YgdGVzdHM="


@dataclass(frozen=True)
class Asked:
    """A callout: what follows the org's address, and the JSON."""

    path: str
    body: Any


@dataclass(frozen=True)
class Reply:
    """An answer in the place of the usual one."""

    status: int
    body: Any = None
    retry_after_s: int | None = None


class PlainIngest(ThreadingHTTPServer):
    """Notes what it was asked, and what it was told of each request.

    `replies` are given first, each once; `conditions` are (version, objects).
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.open: dict[int, dict[str, Any]] = {}
        self.acknowledged: list[int] = []
        self.conditions: tuple[int, dict[str, list[str]]] = (1, {})
        self.replies: list[Reply] = []
        self.most_body_bytes = 12 * 1024 * 1024
        # Whether a request that was begun is handed out with how far it came.
        self._after: dict[int, str] = {}
        self._withdrawn: set[int] = set()
        # Whether answers to callouts of records carry requests, as those to heartbeats do.
        self.asks_in_every_answer = True

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def ask(self, kind: str, object_name: str, **more: Any) -> int:
        """Ask the org for something; return the request's id."""
        request_id = 1 + max([*self.open, *self.acknowledged], default=0)
        request = {"id": request_id, "kind": kind, "object": object_name, **more}
        self.open[request_id] = request
        return request_id

    def withdraw(self, request_id: int) -> None:
        """Ask for something no more."""
        del self.open[request_id]
        self._withdrawn.add(request_id)

    def bodies(self, path: str) -> list[Any]:
        """Return the JSON of the accepted callouts to a path, in their order."""
        return [asked.body for asked in self.asked if asked.path == path]

    def snapshots(self) -> dict[str, list[dict[str, Any]]]:
        """Return the records that loads sent, by object, in their order."""
        records: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for body in self.bodies("/changes"):
            if body["operation"] == "snapshot":
                records[body["object"]] += [
                    each["new"] for each in body["changes"] if each["new"] is not None
                ]
        return dict(records)

    def absent(self) -> dict[str, str]:
        """Return what resends said of records that are not there, by id."""
        olds = [
            each["old"]
            for body in self.bodies("/changes")
            for each in body["changes"]
            if each["old"] and "absent" in each["old"]
        ]
        return {each["Id"]: each["absent"] for each in olds}

    def answer(self, path: str, raw: bytes) -> Reply:
        """Answer one callout."""
        if self.replies:
            return self.replies.pop(0)
        if len(raw) > self.most_body_bytes:
            return Reply(413, {"detail": "too large"})
        if path == "/conditions":
            version, objects = self.conditions
            return Reply(200, {"version": version, "objects": objects})
        body = json.loads(raw)
        self.asked.append(Asked(path, body))
        known: dict[str, Any] = {"conditions_version": self.conditions[0]}
        if path == "/handshake":
            return Reply(200, {"secret": SECRET, **known})
        if path == "/heartbeat":
            for each in body["acknowledged"]:
                self.acknowledged.append(each)
                self.open.pop(each, None)
            return Reply(200, {**known, "requests": self._requests()})
        self._note(path, body)
        if self.asks_in_every_answer:
            known["requests"] = self._requests()
        if {body.get("request_id"), body.get("audit_id")} & self._withdrawn:
            known["withdrawn"] = True
        return Reply(202, {"accepted": 1, **known})

    def _requests(self) -> list[dict[str, Any]]:
        """Return the oldest requests, each with how far it came."""
        return [
            {**each, "after": self._after.get(request_id, each.get("after"))}
            for request_id, each in list(self.open.items())[:_MOST_REQUESTS]
        ]

    def _note(self, path: str, body: dict[str, Any]) -> None:
        """Note how far a load or an audit has come."""
        if path == "/audit" and body["to_id"] is not None:
            self._after[body["audit_id"]] = body["to_id"]
        elif "request_id" in body and body["changes"][-1]["new"] is not None:
            self._after[body["request_id"]] = body["changes"][-1]["new"]["Id"]


class _Handler(BaseHTTPRequestHandler):
    server: PlainIngest
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take JSON, compressed or not."""
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Content-Encoding"] == "gzip":
            raw = gzip.decompress(raw)
        self._answer(raw)

    def do_GET(self) -> None:
        """Take a question without a body."""
        self._answer(b"")

    def _answer(self, raw: bytes) -> None:
        path = "/" + self.path.rpartition("/")[2]
        reply = self.server.answer(path, raw)
        body = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(body)))
        if reply.retry_after_s is not None:
            self.send_header("Retry-After", str(reply.retry_after_s))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def plain_ingest() -> Iterator[PlainIngest]:
    """Run one for the length of a block."""
    with PlainIngest() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
