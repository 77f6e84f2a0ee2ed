"""The other end of Socket Mode: RFC 6455 as far as slack-sdk's built-in client speaks it."""

import base64
import hashlib
import json
import queue
import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import Any

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Line:
    """One connection: `push` sends an envelope, `acknowledged` waits for its answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.is_closed = False

    def push(self, kind: str, envelope: str, payload: dict[str, Any]) -> None:
        message = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        self._send(TEXT, json.dumps(message).encode())

    def acknowledged(self, seconds: float = 10.0) -> dict[str, Any]:
        """The next answer. Raises queue.Empty where none comes in time."""
        return self._answers.get(timeout=seconds)

    def refresh(self) -> None:
        """Slack wants the line opened anew, as it does every few hours."""
        self._send(TEXT, json.dumps({"type": "disconnect", "reason": "refresh_requested"}).encode())

    def hold(self) -> None:
        """Says hello, then reads until the client goes."""
        self._send(TEXT, json.dumps({"type": "hello", "num_connections": 1}).encode())
        try:
            while True:
                kind, body = self._read()
                if kind == TEXT:
                    self._answers.put(json.loads(body))
                elif kind == PING:
                    self._send(PONG, body)
                elif kind == CLOSE:
                    return
        except (ConnectionError, OSError):
            return
        finally:
            self.is_closed = True

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._socket.close()

    def _send(self, kind: int, body: bytes) -> None:
        size = bytes([len(body)]) if len(body) < 126 else b"\x7e" + struct.pack("!H", len(body))
        self._socket.sendall(bytes([0x80 | kind]) + size + body)

    def _read(self) -> tuple[int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._exactly(2))[0]
        mask = self._exactly(4) if second & 0x80 else b"\0\0\0\0"
        body = self._exactly(size)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._socket.recv(count - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found


def shake_hands(request: BaseHTTPRequestHandler) -> Line:
    """Answers the upgrade."""
    key = request.headers["Sec-WebSocket-Key"]
    accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
    request.send_response(101)
    for name, value in {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.flush()
    return Line(request.connection)
