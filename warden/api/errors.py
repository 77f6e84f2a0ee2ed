"""Every error is {"detail": "…"} and, where programs tell cases apart, "code"."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from accounts.rules import Refused
from agents.code.reading import Broken
from approvals import rules
from gateway.parse import Malformed


class Failure(Exception):
    """An answer other than a success. `detail` is for a person."""

    def __init__(self, status: int, detail: str, code: str | None = None, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code, self.headers = status, detail, code, headers


def missing(what: str) -> Failure:
    """What is not there, or belongs to another organization: the two look the same."""
    return Failure(404, f"{what} not found")


def _fields(error: ValidationError) -> str:
    """`max_amount: Ensure this value is greater than 0.`, for each field."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        " ".join(messages) if field == NON_FIELD_ERRORS else f"{field}: {' '.join(messages)}"
        for field, messages in error.message_dict.items()
    )


UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)
AWAY = Failure(503, "The database cannot be reached. Nothing was changed; try again.", **{"Retry-After": "1"})
KNOWN: list[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], Failure]]] = [
    (Failure, lambda error: error),
    (Malformed, lambda error: Failure(422, str(error))),
    (Broken, lambda error: Failure(422, str(error), "policy_broken")),
    (RequestDataTooBig, lambda _: Failure(413, "The body is too large")),
    (ValidationError, lambda error: Failure(422, _fields(error))),
    (rules.Refused, lambda error: Failure(error.status, error.reason, error.code)),
    (Refused, lambda error: Failure(409, str(error))),
    (IntegrityError, lambda _: Failure(409, "Somebody else changed this at the same moment. Nothing was changed.")),
    (UNREACHABLE, lambda _: AWAY),
]


def failure(error: Exception) -> Failure | None:
    """The answer to `error`, or None where it is a mistake of ours."""
    return next((tell(error) for kinds, tell in KNOWN if isinstance(error, kinds)), None)
