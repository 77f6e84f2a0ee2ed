from .alert import Alert, AlertRule
from .channel import TRANSPORTS, Channel
from .delivery import WAYS, Announcement, Attempt, Delivery
from .preference import Preference
from .slack import SlackApp, SlackCall, SlackLink, SlackPost

__all__ = [
    "TRANSPORTS",
    "WAYS",
    "Alert",
    "AlertRule",
    "Announcement",
    "Attempt",
    "Channel",
    "Delivery",
    "Preference",
    "SlackApp",
    "SlackCall",
    "SlackLink",
    "SlackPost",
]
