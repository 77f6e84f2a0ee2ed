"""What people open: the inbox, one request, the decision."""

from .decide import decide
from .detail import context, detail
from .inbox import inbox, live
from .talk import comment, evidence

__all__ = ["comment", "context", "decide", "detail", "evidence", "inbox", "live"]
