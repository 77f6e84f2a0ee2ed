"""The kill switch's verbs: stop, ask for the release, take that back, release. Each is one transaction and one event.

A stop holds from its commit on, in every process: it is part of the policy, and the epoch moves with it.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction

from accounts.by import By, actor_of, check_by, lock
from accounts.models import Membership, Organization, User
from accounts.rules import Refused
from agents import policy
from agents.models import Agent, Stop
from agents.services.versions import keep_version
from approvals.stops import freezing
from audit.clock import database_now
from audit.record import record
from notifications import hints
from notifications.outbox import announce
from notifications.registry import members_who

ABILITY = "settings:write"
REASON = 500  # characters


def stop(*, organization: Organization, by: By, reason: str, agent: Agent | None = None, pattern: str = "") -> Stop:
    """Holds every action, or those of `pattern` (a name or a wildcard), of every agent or of one.

    What is stopped already stays as it is, and a release that was asked for is taken back. Raises Refused, also
    without a reason, and ValidationError for a pattern that is none.
    """
    reason, pattern = _reason(reason, "Say why: everybody sees it while this stands still."), pattern.strip()
    if pattern and not policy.is_permission_name(pattern):
        raise ValidationError({"pattern": "Name an action such as 'stripe.refund', or a wildcard such as 'stripe.*'."})
    if agent and agent.organization_id != organization.pk:
        raise ValidationError({"agent": "The agent must be one of the organization."})
    with transaction.atomic():
        check_by(by, lock(organization), ABILITY)
        row = freezing.active(organization).filter(agent=agent, pattern=pattern).first()
        if row is not None:
            return _keep(row, by) if row.asked_at else row
        row = Stop.objects.create(
            organization=organization,
            agent=agent,
            pattern=pattern,
            reason=reason,
            stopped_at=database_now(),
            stopped_by=_person(by),
            stopped_by_label=actor_of(by).label,
        )
        _tell("start", row, by, "stop.started", reason=reason)
        _version(row, by, f"Stopped {row.words}: {reason}")
        _freeze(organization)
    hints.poke()
    return row


def ask(*, stop: Stop, by: By, reason: str) -> Stop:
    """The first of the two steps to release a stop. Asking again changes nothing. Raises Refused."""
    reason = _reason(reason, "Say why it can go on: whoever confirms reads it.")
    with transaction.atomic():
        row = _locked(stop, by)
        if row.asked_at is None:
            row.asked_at, row.asked_by, row.asked_by_label = database_now(), _person(by), actor_of(by).label
            row.release_reason = reason
            row.save(update_fields=["asked_at", "asked_by", "asked_by_label", "release_reason"])
            _tell("ask", row, by, "stop.release_asked", reason=reason)
    hints.poke()
    return row


def keep(*, stop: Stop, by: By) -> Stop:
    """Takes back that its release was asked for. Raises Refused."""
    with transaction.atomic():
        row = _locked(stop, by)
        return _keep(row, by) if row.asked_at else row


def release(*, stop: Stop, by: By, typed: str = "") -> Stop:
    """The second step: another owner or admin confirms, or, where there is nobody else, whoever asked types what it is
    that goes on (Stop.confirmation); so does the command line, which is nobody. All deadlines it held move by as long
    as they stood still. Raises Refused.
    """
    with transaction.atomic():
        row = _locked(stop, by)
        check_release(row, by, typed)
        freezing.freeze(row.organization)  # what was made while the stop began
        now = database_now()
        row.released_at, row.released_by, row.released_by_label = now, _person(by), actor_of(by).label
        row.save(update_fields=["released_at", "released_by", "released_by_label"])
        resumed = freezing.thaw(row.organization, now)
        seconds = round((now - row.stopped_at).total_seconds())
        _tell("release", row, by, "stop.released", asked_by=row.asked_by_label, seconds=seconds, resumed=resumed)
        _version(row, by, f"Released {row.words}, stopped for {seconds} s")
    hints.poke()
    return row


def check_release(stop: Stop, by: By, typed: str) -> None:
    """Whether `by` may take the second step. Raises Refused with what to do instead."""
    if stop.asked_at is None:
        raise Refused("Two steps release a stop: ask for it first, and say why it can go on.")
    if others := others_than_asked(stop, by):
        raise Refused(f"You asked for it yourself: another owner or admin confirms it. There is {', '.join(others)}.")
    if needs_typing(stop, by) and typed.strip() != stop.confirmation:
        raise Refused(f"Type {stop.confirmation} to confirm.")


def others_than_asked(stop: Stop, by: By) -> list[str]:
    """Who else can confirm, where `by` asked for it; nobody where `by` did not, or is alone."""
    if not isinstance(by, Membership) or stop.asked_by_id != by.user_id:
        return []
    return [
        member.user.email for member in members_who(stop.organization, ABILITY) if member.user_id != stop.asked_by_id
    ]


def needs_typing(stop: Stop, by: By) -> bool:
    """Whether `by` has to type what goes on: as no second person confirms."""
    return not isinstance(by, Membership) or stop.asked_by_id in (None, by.user_id)


def _reason(given: str, missing: str) -> str:
    reason = given.strip()[:REASON]
    if not reason:
        raise Refused(missing)
    return reason


def _person(by: By) -> User | None:
    return by.user if isinstance(by, Membership) else None


def _locked(stop: Stop, by: By) -> Stop:
    check_by(by, lock(stop.organization), ABILITY)
    row = Stop.objects.select_for_update(of=("self",)).select_related("agent", "organization").get(pk=stop.pk)
    if row.released_at:
        raise Refused(f"It was released already, by {row.released_by_label}.")
    return row


def _keep(row: Stop, by: By) -> Stop:
    asked_by = row.asked_by_label
    row.asked_at, row.asked_by, row.asked_by_label, row.release_reason = None, None, "", ""
    row.save(update_fields=["asked_at", "asked_by", "asked_by_label", "release_reason"])
    _tell("keep", row, by, "", asked_by=asked_by)
    return row


def _freeze(organization: Organization) -> None:
    """Freezes at once, unless somebody holds a request for longer than a moment: the stop itself waits for nobody."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
            freezing.freeze(organization)
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError:  # a lock, or a deadlock: the sweep freezes as of the same moment
        return


def _version(row: Stop, by: By, summary: str) -> None:
    keep_version(
        organization_id=row.organization_id,
        by=by if isinstance(by, Membership) else None,
        summary=summary,
        agent=row.agent,
    )


def _tell(verb: str, row: Stop, by: By, event: str, **data: Any) -> None:
    """The record, and the news for those who configure the organization."""
    actor = actor_of(by)
    record(
        kind=f"{actor.type}:stop:{verb}",
        organization_id=row.organization_id,
        actor=actor,
        agent=row.agent.slug if row.agent else "",
        action=row.pattern,
        target=row.stop_id,
        data={"what": row.words, **data},
    )
    if event:
        announce([(row.organization_id, "live", event, row.stop_id)])
