"""A server that answers as OPA's Data API does, over HTTP or TLS, and notes what it was asked."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rule = Callable[[dict[str, Any]], Any]
PATH = "/v1/data/acme/warden"
UNDEFINED = object()


class Opa:
    """`rule(input)` is what PATH is defined as; UNDEFINED where it is not. With `token`, nobody else is answered."""

    def __init__(self, rule: Rule, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.rule = rule
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self.delay = 0.0
        self.raw: bytes | None = None  # answered in place of what an OPA says
        self.status = 200
        opa = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                opa.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if token and self.headers["Authorization"] != f"Bearer {token}":
                    self._answer(401, b'{"code": "unauthorized", "message": "request rejected"}')
                    return
                asked = json.loads(body)["input"]
                opa.asked.append(asked)
                time.sleep(opa.delay)
                said = opa.rule(asked) if self.path == PATH else UNDEFINED
                self._answer(opa.status, opa.raw or json.dumps({} if said is UNDEFINED else {"result": said}).encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.scheme = "http"
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.server.server_port}{PATH}"

    def __enter__(self) -> "Opa":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
