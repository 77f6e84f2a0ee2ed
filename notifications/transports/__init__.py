"""Ways to reach people. Each is one module with `send(delivery)`, which returns the other side's answer in a few words
once the message is handed over, or raises TransportError."""

from .errors import TransportError

__all__ = ["TransportError"]
