"""Why a change was not made, besides ValidationError (a wrong value) and Refused of accounts.rules (it may not be)."""


class Conflict(Exception):
    """Somebody else changed or deleted it since it was read. Nothing was changed; the message says what to do."""
