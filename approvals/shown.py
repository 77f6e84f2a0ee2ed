"""Since when a person has had a request before them: what the server signs into the page it shows, and reads back.

It names the request, its digest and the person, so that it says nothing of another; the moment is the database's.
"""

import uuid
from datetime import datetime

from django.core.signing import BadSignature, Signer

from approvals.models import Approval

_SIGNER = "approvals.shown"


def seal(approval: Approval, user_id: uuid.UUID, since: datetime) -> str:
    """What the page carries."""
    said = [str(approval.id), approval.digest, str(user_id), since.isoformat()]
    return Signer(salt=_SIGNER).sign_object(said)


def read(sealed: str, approval: Approval, user_id: uuid.UUID) -> datetime | None:
    """Since when; None where it is not ours, or of another request, digest or person."""
    try:
        said = Signer(salt=_SIGNER).unsign_object(sealed)
    except BadSignature:
        return None
    *about, since = said
    return datetime.fromisoformat(since) if about == [str(approval.id), approval.digest, str(user_id)] else None
