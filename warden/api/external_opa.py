"""/api/external-opa: one more gate, which can only tighten."""

from typing import Annotated

from msgspec import Meta, Struct, structs

from agents.models import ExternalOpa
from agents.services import external as services
from warden.api.answers import Moment
from warden.api.bodies import PLAIN, Line
from warden.api.endpoint import Call, endpoint
from warden.api.errors import missing

FileName = Annotated[str, Meta(max_length=100, pattern=PLAIN, description="In OPA_CREDENTIALS_DIR; empty: none.")]


class SetExternalOpa(Struct, forbid_unknown_fields=True):
    url: Line
    timeout_ms: Annotated[int, Meta(ge=50, le=3_000)] = 500
    token_file: FileName = ""
    ca_file: FileName = ""
    certificate_file: FileName = ""
    key_file: FileName = ""


class AnsweredExternalOpa(Struct):
    """What is asked, and with which files of the machine. What they hold nobody can read here."""

    url: str
    timeout_ms: int
    token_file: str
    ca_file: str
    certificate_file: str
    key_file: str
    set_at: Moment
    set_by: str | None


def _answer(row: ExternalOpa) -> AnsweredExternalOpa:
    return AnsweredExternalOpa(**row.facts.content, set_at=row.set_at, set_by=row.set_by.email if row.set_by else None)


@endpoint("GET", "external-opa", "agents:read")
def get_external_opa(call: Call) -> AnsweredExternalOpa:
    """Get the external OPA that is asked about all that would be allowed or asked."""
    row = ExternalOpa.objects.filter(organization=call.organization).select_related("set_by", "organization").first()
    if row is None:
        raise missing("External OPA")
    return _answer(row)


@endpoint("PUT", "external-opa", "agents:write")
def set_external_opa(call: Call, body: SetExternalOpa) -> AnsweredExternalOpa:
    """Have an external OPA asked from now on. It can turn an allow into an ask or a denial, and never the other way."""
    return _answer(services.set_opa(organization=call.organization, by=call.membership, **structs.asdict(body)))


@endpoint("DELETE", "external-opa", "agents:write", 204)
def remove_external_opa(call: Call) -> None:
    """Ask no external OPA any more."""
    services.remove_opa(organization=call.organization, by=call.membership)
