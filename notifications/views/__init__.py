from .channels import (
    channel,
    channel_delete,
    channel_edit,
    channel_new,
    channel_rotate,
    channel_switch,
    channel_test,
    channels,
)
from .log import deliveries, delivery, delivery_retry
from .mail import mail
from .preferences import preferences, unsubscribe

__all__ = [
    "channel",
    "channel_delete",
    "channel_edit",
    "channel_new",
    "channel_rotate",
    "channel_switch",
    "channel_test",
    "channels",
    "deliveries",
    "delivery",
    "delivery_retry",
    "mail",
    "preferences",
    "unsubscribe",
]
