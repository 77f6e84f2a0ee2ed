"""Why a change was not made. A wrong value is a ValidationError, a change that may not be is Refused (accounts.rules)."""


class Conflict(Exception):
    """Somebody else changed or deleted it since it was read. Nothing was changed; the message says what to do."""
