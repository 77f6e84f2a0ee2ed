from .alert import Alert, AlertRule
from .channel import TRANSPORTS, Channel
from .delivery import WAYS, Announcement, Attempt, Delivery
from .preference import Preference
from .publication import Publication, TimeStamp
from .slack import SlackApp, SlackCall, SlackLink, SlackPost
from .stream import Position, Stream

__all__ = [
    "TRANSPORTS",
    "WAYS",
    "Alert",
    "AlertRule",
    "Announcement",
    "Attempt",
    "Channel",
    "Delivery",
    "Position",
    "Preference",
    "Publication",
    "SlackApp",
    "SlackCall",
    "SlackLink",
    "SlackPost",
    "Stream",
    "TimeStamp",
]
