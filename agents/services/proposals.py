"""Four eyes on the policy: one person proposes files, another has exactly what was shown applied."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents.code.document import convert, references
from agents.code.reading import File, read
from agents.code.state import State
from agents.code.writing import write
from agents.models import PolicyProposal
from agents.services import policy as policies
from agents.services.by import Who, check, person
from agents.services.errors import Conflict
from agents.services.two import agreed
from agents.services.writing import write_event
from agents.signals import proposal_moved
from audit.clock import database_now

Progress = PolicyProposal.State


def propose(
    *, organization: Organization, by: Who, files: Iterable[File], source: str = "", prune: bool = False
) -> PolicyProposal:
    """Files for somebody else to apply. Raises Broken, Refused where there is nothing to change or nobody proposes."""
    files = list(files)
    if references(convert(read(files))):
        raise Refused("Addresses that are named, not written, cannot be proposed: nobody could see where they lead.")
    made = policies.plan(organization, files, prune=prune)
    if not made.changes:
        raise Refused("This changes nothing.")
    with transaction.atomic():
        _entered(organization, by)
        row = PolicyProposal.objects.create(
            organization=organization,
            files=[{"name": file.name, "text": file.text} for file in files],
            source=source,
            prune=prune,
            digest=made.digest,
            summary=made.summary,
            words=made.words,
            proposed_by=person(by),
        )
        _tell("propose", row, by)
    return row


def propose_opa(*, organization: Organization, by: Who, content: Mapping[str, Any] | None) -> PolicyProposal:
    """Another external OPA, or none, as the file that says so. Raises as `propose` does."""
    text = write(State(external_opa=dict(content))) if content else "version: 1\nexternal_opa: none\n"
    return propose(organization=organization, by=by, files=[File("external-opa.yaml", text)])


@transaction.atomic
def accept(*, proposal: PolicyProposal, by: Who, digest: str) -> PolicyProposal:
    """Applies what was proposed, if it is what `by` was shown and still does what it did then; in one transaction.

    Raises Refused for who proposed it, and Conflict where it, or what there is, is another by now.
    """
    _entered(proposal.organization, by)
    row = _waiting(proposal)
    if row.digest != digest:
        raise Conflict("This is not the proposal that you were shown. Look at it again.")
    if row.proposed_by_id == getattr(person(by), "pk", None):
        raise Refused("You proposed this yourself: it takes somebody else.")
    with agreed():
        policies.apply(
            organization=row.organization,
            by=by,
            files=[File(each["name"], each["text"]) for each in row.files],
            expected=row.digest,
            prune=row.prune,
            source=row.source,
        )
    return _decided(row, by, Progress.APPLIED, "accept", "")


@transaction.atomic
def reject(*, proposal: PolicyProposal, by: Who, reason: str) -> PolicyProposal:
    """Applies nothing; whoever proposed it may withdraw it so too. Raises ValidationError without a reason."""
    _entered(proposal.organization, by)
    row = _waiting(proposal)
    if not reason.strip():
        raise ValidationError({"reason": "Say why."})
    return _decided(row, by, Progress.REJECTED, "reject", reason.strip()[:500])


def _decided(row: PolicyProposal, by: Who, state: str, verb: str, reason: str) -> PolicyProposal:
    row.state, row.reason, row.decided_at, row.decided_by = state, reason, database_now(), person(by)
    row.save(update_fields=["state", "reason", "decided_at", "decided_by"])
    _tell(verb, row, by)
    return row


def _entered(organization: Organization, by: Who) -> None:
    if person(by) is None:
        raise Refused("It takes people: say on whose behalf.")
    check(by, lock(organization))


def _waiting(proposal: PolicyProposal) -> PolicyProposal:
    rows = PolicyProposal.objects.select_for_update(of=("self",)).select_related("organization")
    row = rows.get(pk=proposal.pk)
    if row.state != Progress.WAITING:
        raise Conflict(f"Somebody was faster: this is {row.state} already.")
    return row


def _tell(verb: str, row: PolicyProposal, by: Who) -> None:
    data = {"plan": row.digest, "summary": row.summary, "source": row.source, "reason": row.reason}
    write_event(verb=verb, row=row, by=by, organization_id=row.organization_id, data=data)
    proposal_moved.send(PolicyProposal, proposal=row)
