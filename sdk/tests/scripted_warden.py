"""A real HTTP server on this machine that answers exactly as it was told, badly where it was told to."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ALLOWED = {"allowed": True, "requires_approval": False, "reason": None, "policy_version": "v1"}
DENIED = {"allowed": False, "requires_approval": False, "reason": "No permission for action 'x.y'"}
PENDING = {
    "allowed": False,
    "requires_approval": True,
    "reason": "This action requires human approval",
    "approval_id": "apr_1",
    "decision_id": "dec_1",
    "approval_url": "https://warden.example.com/approvals/apr_1",
}
LOGGED = {
    "id": "log_1",
    "agent_id": "bot",
    "organization_id": "org_1",
    "action": "x.y",
    "status": "success",
    "context": None,
    "created_at": "2025-01-02T03:04:05.678Z",
}


def approval(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "apr_1", "status": status, "decision": {"status": status}, "context": {}, "claim": None, **more}


def claimed(effective_context: Mapping[str, Any] | None = None) -> dict[str, Any]:
    claim = {"claimed_at": "2025-01-02T03:04:05Z", "deadline_at": "2025-01-02T03:09:05Z", "digest": "d" * 64}
    about = {"action": "x.y", "agent_id": "bot", "effective_context": effective_context}
    return {"id": "apr_1", "status": "approved", "claim": claim, **about}


@dataclass
class Reply:
    """One answer. `body` is sent as JSON unless it is bytes; `cut` bytes of it are promised and never sent."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0  # seconds before the answer
    drip: float = 0  # seconds between single bytes
    cut: int = 0
    hang_up: bool = False  # close the connection without a word


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: Any
    at: float
    connection: int


Script = Reply | Callable[[Seen], Reply]


class ScriptedWarden:
    """Replies in order; the last one is repeated. Requests to `/sdk/log` have a script of their own."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.logs: list[Seen] = []
        self._script: deque[Script] = deque()
        self._log_script: deque[Script] = deque([Reply(body=LOGGED)])
        self._lock = threading.Lock()
        warden = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                warden._serve(self)

            do_POST = do_GET

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]  # clients hang up in these tests
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def script(self, *replies: Script) -> None:
        with self._lock:
            self._script = deque(replies)

    def script_logs(self, *replies: Script) -> None:
        with self._lock:
            self._log_script = deque(replies)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = urlsplit(handler.path)
        seen = Seen(
            handler.command,
            url.path,
            parse_qs(url.query),
            {name.lower(): value for name, value in handler.headers.items()},
            json.loads(raw) if raw else None,
            time.monotonic(),
            handler.client_address[1],
        )
        with self._lock:
            is_log = url.path.endswith("/sdk/log")
            (self.logs if is_log else self.seen).append(seen)
            script = self._log_script if is_log else self._script
            reply = script.popleft() if len(script) > 1 else script[0]
        self._reply(handler, reply if isinstance(reply, Reply) else reply(seen))

    def _reply(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        time.sleep(reply.delay)
        if reply.hang_up:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        length = {"Content-Length": str(len(body) + reply.cut)}
        for name, value in {
            "Content-Type": "application/json",
            "X-Request-ID": "req-7",
            **length,
            **reply.headers,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        if reply.drip:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(reply.drip)
        else:
            handler.wfile.write(body)
        if reply.cut:
            handler.close_connection = True


def closed_port() -> str:
    """The URL of a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
