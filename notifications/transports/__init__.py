"""Ways to reach people. Each is one module with `send(delivery)`, which returns when the message is handed over or
raises TransportError."""

from .errors import TransportError

__all__ = ["TransportError"]
