"""What people say about an approval: comments to each other, and questions that its agent reads and may answer.

Comments are for people only; of all that is said, an agent sees the questions and its own answers (approvals.thread).
"""

import hashlib
import re
import uuid
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import F

from accounts import roles
from accounts.models import Membership, Organization, User
from approvals import rules, states
from approvals.case import person_of
from approvals.models import Approval, Comment
from approvals.services import CHANNEL
from audit.clock import database_now
from audit.leaf import Entry, Mode
from audit.record import record_all
from notifications import hints
from notifications.outbox import announce

ABILITY = "approvals:comment"
TEXT_LIMIT = 4_000  # characters
EVIDENCE_LIMIT = 65_536  # bytes of UTF-8
NAME_LIMIT = 100  # characters
AT_MOST = 200  # comments on one approval, by people
MENTION = re.compile(r"(?<![\w@.])@([\w.%+-]+(?:@[\w-]+(?:\.[\w-]+)+)?)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A text file."""

    name: str
    text: str

    @classmethod
    def read(cls, name: str, content: bytes) -> "Evidence":
        """Raises rules.Incomplete where it is no text, empty, or too large."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise rules.Incomplete("Evidence is a text file in UTF-8; this is something else.", "evidence") from None
        return cls.of(name, text)

    @classmethod
    def of(cls, name: str, text: str) -> "Evidence":
        """Raises rules.Incomplete as read() does."""
        size = len(text.encode())
        if size > EVIDENCE_LIMIT:
            raise rules.Incomplete(f"Evidence has at most {EVIDENCE_LIMIT:,} bytes; this has {size:,}.", "evidence")
        if "\0" in text or not text.strip():
            raise rules.Incomplete("Evidence is a text file with something in it.", "evidence")
        return cls(name.strip()[:NAME_LIMIT] or "evidence.txt", text)

    def facts(self) -> dict[str, object]:
        """What the record keeps of it."""
        return {
            "name": self.name,
            "bytes": len(self.text.encode()),
            "sha256": hashlib.sha256(self.text.encode()).hexdigest(),
        }


def why_not(role: str | None) -> str:
    """Why somebody of that role cannot comment, as a sentence; empty when they can."""
    if role is None:
        return "You are not a member of this organization."
    if roles.may(role, ABILITY):
        return ""
    return f"Your role is {roles.ROLES[role].lower()}: you can read what is said, and say nothing."


def comment(
    *,
    approval_id: uuid.UUID,
    by: User,
    organization: Organization,
    text: str,
    question: bool = False,
    evidence: Evidence | None = None,
    via: str,
) -> Comment:
    """Adds what a person says, tells whom they mention, and wakes the agent where it is asked something.

    Raises Approval.DoesNotExist for what is not this organization's; rules.Refused, Conflict or Incomplete.
    """
    text = text.strip()
    with transaction.atomic():
        approval = Approval.objects.select_for_update(of=("self",)).get(id=approval_id, organization=organization)
        now = database_now()
        if reason := why_not(person_of(organization.id, by.id).role):
            raise rules.Refused(reason, "role")
        if question and rules.current_state(approval.state, approval.deadline, now) != states.PENDING:
            raise rules.Conflict("This request has ended: its agent answers no more questions.", "ended")
        _check_text(text)
        if approval.comments.exclude(kind="answer").count() >= AT_MOST:
            raise rules.Conflict(f"There are {AT_MOST} comments here already; no more fit.", "too_many")
        told = mentioned(text, organization, but=by)
        said = Comment.objects.create(
            approval=approval,
            user=by,
            author=by.email,
            kind="question" if question else "comment",
            text=text,
            mentions=[member.user_id for member in told],
            evidence=evidence.text if evidence else "",
            evidence_name=evidence.name if evidence else "",
            created_at=now,
        )
        record_all([_entry(approval, said, evidence, via, told)], at=now)
        if told:
            announce([(organization.id, approval.mode, "comment.mentioned", said.comment_id)])
            hints.poke()
        if question:
            Approval.objects.filter(id=approval.id).update(told=F("told") + 1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(approval.id)])
    return said


def mentioned(text: str, organization: Organization, *, but: User) -> list[Membership]:
    """The active members that `@ann@example.com`, or `@ann` where only one is called that, names."""
    names = {name.lower().rstrip(".") for name in MENTION.findall(text)}
    if not names:
        return []
    found: dict[str, list[Membership]] = {}
    members = Membership.objects.filter(organization=organization, user__is_active=True).exclude(user=but)
    for member in members.select_related("user").order_by("user__email"):
        for name in {member.user.email, member.user.email.partition("@")[0]} & names:
            found.setdefault(name, []).append(member)
    certain = {each[0].user_id: each[0] for each in found.values() if len(each) == 1}
    return sorted(certain.values(), key=lambda member: member.user.email)


def _check_text(text: str) -> None:
    if not text:
        raise rules.Incomplete("Write something first.", "text_required")
    if len(text) > TEXT_LIMIT:
        raise rules.Incomplete(
            f"A comment has at most {TEXT_LIMIT:,} characters; this has {len(text):,}. Attach the rest.", "text_long"
        )
    if "\0" in text:
        raise rules.Incomplete("A comment cannot hold the character U+0000.", "text_nul")


def _entry(approval: Approval, said: Comment, evidence: Evidence | None, via: str, told: list[Membership]) -> Entry:
    mode: Mode = "test" if approval.mode == "test" else "live"
    assert said.user is not None
    return Entry(
        kind=f"person:comment:{said.kind}",
        organization_id=approval.organization_id,
        mode=mode,
        actor=said.user.actor,
        agent=approval.agent_slug,
        action=approval.action,
        target=approval.approval_id,
        data={
            "comment": said.comment_id,
            "text": said.text,
            "via": via,
            "mentioned": [member.user.email for member in told],
            **({"evidence": evidence.facts()} if evidence else {}),
        },
    )
