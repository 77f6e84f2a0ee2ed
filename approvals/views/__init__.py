"""What people open: the inbox, one request, the decision."""

from .change import change
from .decide import decide
from .detail import context, detail
from .inbox import inbox, live
from .talk import comment, evidence

__all__ = ["change", "comment", "context", "decide", "detail", "evidence", "inbox", "live"]
