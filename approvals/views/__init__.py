"""What people open: the inbox, one request, the decision."""

from .change import change
from .decide import decide
from .detail import context, detail, grant_words
from .inbox import inbox, live
from .talk import comment, evidence
from .together import decide_together

__all__ = [
    "change",
    "comment",
    "context",
    "decide",
    "decide_together",
    "detail",
    "evidence",
    "grant_words",
    "inbox",
    "live",
]
