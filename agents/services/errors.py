"""Why a change was not made, besides ValidationError (a wrong value) and Refused (it may not be)."""

from accounts.rules import Refused


class Conflict(Refused):
    """Somebody else changed or deleted it since it was read. Nothing was changed; the message says so."""
