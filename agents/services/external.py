"""The external OPA of an organization: set it, remove it."""

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents.addresses import BadAddress, check_url
from agents.models import ExternalOpa
from agents.opa.client import BadCredentials, Credentials, ask_once
from agents.opa.gate import Gate, OpaSaid
from agents.services.by import Who, person
from agents.services.two import check_alone
from agents.services.versions import changing
from agents.services.writing import write_event
from audit.canonical import canonical
from audit.clock import database_now

ALONE = (
    "Here it takes two people to change the policy: propose another external OPA, or none, under Permissions → In Git."
)
FIELDS = ("url", "timeout_ms", "token_file", "ca_file", "certificate_file", "key_file")


def set_opa(*, organization: Organization, by: Who, **values: object) -> ExternalOpa:
    """Has it asked from the commit on, in every process: `url`, and those of FIELDS that are not to be as a new one has
    them. Where changing the policy takes two, one person may add it, for it only tightens, and not change it.

    Raises Refused, ValidationError.
    """
    with transaction.atomic():
        organization = lock(organization)
        former = ExternalOpa.objects.filter(organization=organization).first()
        row = ExternalOpa(organization=organization, set_at=database_now(), set_by=person(by), **values)
        check_setting(row)
        before, after = former and former.facts.content, row.facts.content
        if former and before == after:
            return former
        if former:
            _check_two(organization, by)
        with changing(organization=organization, by=by, alone=True) as change:
            change.summary = f"External OPA: {row.url}"
            row.save(force_insert=former is None, force_update=former is not None)
            data = {"url": row.url, "before": before, "after": after}
            write_event(verb="set", row=row, by=by, organization_id=organization.pk, data=data)
    return row


def check_setting(row: ExternalOpa) -> None:
    """Raises ValidationError for what could not be asked: the address, the names of files, what they hold."""
    row.clean_fields(exclude=["organization", "set_at", "set_by"])
    if row.key_file and not row.certificate_file:
        raise ValidationError({"key_file": "A key without its certificate."})
    try:
        check_url(row.url)
    except BadAddress as error:
        raise ValidationError({"url": str(error)}) from error
    try:
        Credentials(row.facts)
    except BadCredentials as error:
        raise ValidationError({NON_FIELD_ERRORS: str(error)}) from error


def remove_opa(*, organization: Organization, by: Who) -> None:
    """Nothing is asked any more. Raises Refused."""
    _check_two(organization, by)
    with changing(organization=organization, by=by, alone=True) as change:
        row = ExternalOpa.objects.select_for_update().filter(organization=organization).first()
        if row is not None:
            change.summary = "No external OPA any more"
            data = {"url": row.url, "before": row.facts.content}
            write_event(verb="remove", row=row, by=by, organization_id=organization.pk, data=data)
            row.delete()


def _check_two(organization: Organization, by: Who) -> None:
    """Raises Refused where one person alone would loosen what takes two: by whatever OPA, it may be looser after."""
    try:
        check_alone(organization, by)
    except Refused as why_not:
        raise Refused(ALONE) from why_not


async def try_opa(opa: Gate) -> OpaSaid:
    """What it says of a question that means nothing, to see whether it can be asked at all."""
    asked = {"organization": opa.folder, "mode": "test", "agent": "warden", "action": "warden.try", "context": {}}
    return await ask_once(opa, canonical({"input": asked}))
