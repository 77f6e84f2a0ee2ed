"""The record of a test of the mail server."""

from django.db import transaction

from accounts.by import By, tell
from accounts.models import Organization


def tested(*, organization: Organization, by: By, answer: str, accepted: bool) -> None:
    """Records that somebody tested the mail server, and what it said."""
    with transaction.atomic():
        tell("mail:test", organization=organization, by=by, answer=answer, accepted=accepted)
