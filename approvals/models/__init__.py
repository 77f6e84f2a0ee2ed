from .approval import Approval, still_waits
from .call import ToolCall
from .comment import Comment
from .glass import BreakGlass
from .grant import Grant
from .place import Place, PlaceChange
from .review import Edit, Review

__all__ = [
    "Approval",
    "BreakGlass",
    "Comment",
    "Edit",
    "Grant",
    "Place",
    "PlaceChange",
    "Review",
    "ToolCall",
    "still_waits",
]
