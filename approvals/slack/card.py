"""The card: one request as Block Kit, drawn from the database as it is at this moment.

All that an agent wrote stands in plain_text, escaped, with hidden characters spelled out: no markup, no mention, no
link. Who clicks has seen the whole request, or gets no button: what does not fit is decided in Warden.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from agents.assurance import SLACK
from agents.policy.money import show
from approvals import rules, states
from approvals.models import Approval, Review
from approvals.rows import who_may
from approvals.sentence import sentence
from approvals.slack.text import drawn, laid_out
from audit.clock import database_now
from audit.ids import read_id
from notifications.models import Announcement
from notifications.slack.cards import Card, section

LIMIT = 3_000  # characters of a text object
FIELD = 2_000  # of one in a list of fields
MESSAGE = 12_000  # of all blocks as JSON: Slack, which does not say so, refuses more than about 13,000
SHORT = 300  # of what is told beside the request, or of its parts where the whole does not fit
CONFIRM = 300  # of the text of a confirmation
APPROVE, DENY, OPEN = "warden_approve", "warden_deny", "warden_open"
VERDICTS: dict[str, rules.Verdict] = {APPROVE: "approve", DENY: "deny"}


def card(announcement: Announcement) -> Card:
    """The card of an announcement's request. Raises Approval.DoesNotExist."""
    approval_id = read_id("apr", announcement.target)
    if approval_id is None:
        raise ValueError(f"{announcement.target!r} names no approval")
    approval = Approval.objects.get(id=approval_id, organization_id=announcement.organization_id)
    return card_of(approval, database_now())


def card_of(approval: Approval, now: datetime) -> Card:
    """The card as of `now`, the database's clock."""
    state = rules.current_state(approval.state, approval.deadline, now)
    is_open = state == states.PENDING
    facts, what = _facts(approval), sentence_of(approval)
    whole, ended = _whole(approval, what, facts), [] if is_open else [_small(end) for end in endings(approval, state)]
    fits = _fits([*whole, *ended]) and not approval.is_covered
    if fits:
        blocks = whole
    else:
        length = f"Too long for Slack ({len(approval.context):,} characters): read it whole in Warden."
        why = "Values of it are withheld or encrypted: read it in Warden." if approval.is_covered else length
        short = [field | {"text": _cut(field["text"], SHORT)} for field in facts]
        blocks = [section(_cut(what, 2 * SHORT)), {"type": "section", "fields": short}, _small(why)]
    if is_open:
        here = fits and not _decided_elsewhere(approval)
        if fits and not here:
            blocks.append(_small("Its rule wants it decided in Warden."))
        blocks.append({"type": "actions", "elements": [*(_buttons(approval) if here else []), _open(approval)]})
    else:
        blocks += ended
    return Card(text=_line(approval, state), blocks=blocks, is_open=is_open)


def sentence_of(approval: Approval) -> str:
    """`support-bot wants to refund $500.00 to cus_ABC123`, drawn and escaped."""
    what = sentence(approval.action, approval.amount, approval.context_data).plain(amount_of(approval))
    test = "[Test] " if approval.mode == "test" else ""
    return drawn(f"{test}{approval.agent_slug} wants to {what}")


def amount_of(approval: Approval) -> str:
    return show(approval.amount, approval.currency or None) if approval.amount is not None else ""


def value_of(approval: Approval) -> str:
    """What a button carries: which request, and the digest of what is shown."""
    return f"{approval.approval_id} {approval.digest}"


def read_value(value: object) -> tuple[str, str]:
    """The two again; empty where it is no value of ours."""
    parts = value.split(" ") if isinstance(value, str) else []
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


def url_of(approval: Approval) -> str:
    """The page of the request."""
    return settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id])


def endings(approval: Approval, state: str) -> list[str]:
    """How it ended: who, when, why; and whether the agent took it. Drawn."""
    at = clock(approval.decided_at or approval.expires_at)
    if state == states.EXPIRED:
        return [f"Expired at {at}: nobody decided in time."]
    if state == states.CANCELLED:
        return [f"Cancelled at {at}. {drawn(approval.reason) or 'The agent gave it up'}."]
    word = "approve" if state == states.APPROVED else "deny"
    said = [f"{states.STATES[state]} by {drawn(approval.decided_by_label)} at {at}."]
    counted = Review.objects.filter(approval=approval, verdict=word, voided_at=None)
    for review in counted.select_related("user").order_by("id")[:10]:
        if review.reason:
            said.append(f"{drawn(review.user.email)}: {_cut(drawn(review.reason), SHORT)}")
    if approval.claimed_at:
        said.append(f"The agent took it at {clock(approval.claimed_at)}.")
    return said


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC on {moment.astimezone(UTC):%Y-%m-%d}"


def _facts(approval: Approval) -> list[dict[str, Any]]:
    rule = rules.Rule.read(approval.rule).widened(approval.escalated)
    facts = {
        "Agent": approval.agent_slug,
        "Action": approval.action,
        "Amount": amount_of(approval),
        "Risk": approval.risk,
        "Environment": approval.environment,
        "Calls": approval.callee,
        "Rule": f"{rule.name}: {_ways(rule)}",
        "Decide by": clock(approval.expires_at),
    }
    return [_plain(f"{name}\n{drawn(value)}") for name, value in facts.items() if value]


def _ways(rule: rules.Rule) -> str:
    """`2 approvals, by admin or owner; or 1, by member of directors`."""
    ways = [f"{way.approvals}, by {who_may(way.who)}" for way in rule.ways]
    number, _, by = ways[0].partition(", ")
    return "; or ".join([f"{number} approval{'s' * (rule.approvals > 1)}, {by}", *ways[1:]])


def _decided_elsewhere(approval: Approval) -> bool:
    """Whether its rule wants more than a click in Slack can give."""
    rule = rules.Rule.read(approval.rule)
    return rule.assurance != SLACK or rule.needs_typing(approval.risk) or bool(rule.reading_seconds(approval.risk))


def _reasoning(approval: Approval) -> str:
    if not approval.reasoning:
        return ""
    return f"Why, in the agent's own words, unverified:\n{drawn(approval.reasoning, lines=True)}"


def _buttons(approval: Approval) -> list[dict[str, Any]]:
    approve: dict[str, Any] = {
        "type": "button",
        "action_id": APPROVE,
        "text": _plain("Approve"),
        "style": "primary",
        "value": value_of(approval),
    }
    if not rules.Rule.read(approval.rule).needs_reason("approve"):  # else a dialog asks for the reason
        approve["confirm"] = {
            "title": _plain("Approve this?"),
            "text": _plain(_cut(sentence_of(approval), CONFIRM)),
            "confirm": _plain("Approve"),
            "deny": _plain("Not yet"),
        }
    deny = {
        "type": "button",
        "action_id": DENY,
        "text": _plain("Deny"),
        "style": "danger",
        "value": value_of(approval),
    }
    return [approve, deny]


def _open(approval: Approval) -> dict[str, Any]:
    return {"type": "button", "action_id": OPEN, "text": _plain("Open in Warden"), "url": url_of(approval)}


def _line(approval: Approval, state: str) -> str:
    """For notifications: our own words and what the admins named, nothing an agent could put a link into."""
    if state == states.PENDING:
        return f"{approval.agent_slug} waits for a decision ({approval.risk} risk)"
    return f"{approval.agent_slug}: {states.STATES[state].lower()}"


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _whole(approval: Approval, what: str, facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of the request, and nothing cut."""
    context, reasoning = drawn(laid_out(approval.context), lines=True), _reasoning(approval)
    blocks = [section(what), {"type": "section", "fields": facts}]
    blocks += [section(reasoning)] if reasoning else []
    return [*blocks, _small("The request, exactly:"), section(context)]


def _fits(blocks: list[dict[str, Any]]) -> bool:
    """Whether Slack takes them, beside a line and the buttons."""
    texts = [(block["text"]["text"], LIMIT) for block in blocks if "text" in block]
    texts += [(field["text"], FIELD) for block in blocks for field in block.get("fields", ())]
    short = all(_length(text) <= limit for text, limit in texts)
    return short and _length(json.dumps(blocks, ensure_ascii=False)) <= MESSAGE


def _length(text: str) -> int:
    """Its characters, where one outside the first 65,536 counts for two: so that it is never more than Slack counts."""
    return len(text) + sum(character > "\uffff" for character in text)


def _small(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(_cut(text, FIELD))]}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
