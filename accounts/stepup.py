"""A fresh second factor: whether this session gave one just now, and where to. The proof is django-allauth's."""

import uuid
from collections.abc import Collection
from datetime import datetime

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

FRESH_SECONDS = 300
PROOFS = {"webauthn", "totp"}  # a recovery code is for who lost these: it proves less
AHEAD = 30  # seconds by which the clock of this machine may be before the database's


def is_fresh(request: HttpRequest, now: datetime) -> bool:
    """Whether a passkey or a code of an authenticator app was given in this session, and how long before `now`, the
    database's clock: FRESH_SECONDS at most.
    """
    records = get_authentication_records(request, request.user)
    given = [each for each in records if each.get("method") == "mfa" and each.get("type") in PROOFS]
    return any(-AHEAD <= now.timestamp() - float(each["at"]) <= FRESH_SECONDS for each in given)


def those_with(people: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these people who have a second factor to give."""
    return set(Authenticator.objects.filter(user__in=people, type__in=PROOFS).values_list("user_id", flat=True))


def way_to(request: HttpRequest, back: str) -> str:
    """Where this person gives a fresh one and comes back to the path `back`; empty where they have none yet."""
    kinds = set(Authenticator.objects.filter(user=request.user, type__in=PROOFS).values_list("type", flat=True))
    if not kinds:
        return ""
    name = "mfa_reauthenticate_webauthn" if "webauthn" in kinds else "mfa_reauthenticate"
    return f"{reverse(name)}?{urlencode({'next': back})}"
