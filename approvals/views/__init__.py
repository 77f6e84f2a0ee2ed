"""What people open: the inbox, one request, the decision."""

from .decide import decide
from .detail import context, detail
from .inbox import inbox, live

__all__ = ["context", "decide", "detail", "inbox", "live"]
