"""What Slack tells us people did: a click, a dialog sent, a command. Decides through the same ladder as the browser.

Everything here runs inside one transaction; `Reply.after` once it is committed, and before Slack is answered.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from accounts.models import User
from agents.assurance import SLACK
from approvals import rules, services, states
from approvals.case import case_of
from approvals.inbox import Desk, Filters
from approvals.models import Approval
from approvals.slack import modals
from approvals.slack.card import VERDICTS, clock, read_value, sentence_of, url_of
from approvals.slack.verify import slack_id
from approvals.slack.whisper import whisper, words
from approvals.slack.who import Clicker, Unable, at_the_desk, membership, person
from audit.clock import database_now
from audit.ids import read_id
from notifications.models import SlackApp
from notifications.slack import apps, cards
from notifications.slack.client import AT_ONCE, SlackError, call, token_of

LISTED = 10
_TS = re.compile(r"[0-9]{1,16}\.[0-9]{1,12}", re.ASCII)  # Slack's name of a message in its channel
UNLINKED = "Warden does not know any more who you are. Click the button on the card again: you get a link to log in by."
ELSEWHERE = "This request is not in Warden any more."


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to Slack: JSON, or nothing. `after` must be quick: Slack waits for three seconds in all."""

    body: dict[str, Any] | None = None
    after: Callable[[], None] | None = None


def interaction(app: SlackApp, payload: Mapping[str, Any]) -> Reply:
    """A click on a card, or a dialog that was sent; anything else is none of ours and is acknowledged."""
    match payload.get("type"):
        case "block_actions":
            return _clicked(app, payload)
        case "view_submission":
            return _submitted(app, payload)
    return Reply()


def command(app: SlackApp, payload: Mapping[str, Any]) -> Reply:
    """/warden: what waits for the person who typed it, soonest deadline first."""
    try:
        member = membership(app, person(app, Clicker.of(payload)))
    except Unable as unable:
        return Reply(words(unable.text, unable.url))
    desk = Desk(member, "live", database_now(), Filters("mine"))
    waiting = list(desk.of_view("mine").order_by("expires_at", "id")[: LISTED + 1])
    if not waiting:
        return Reply(words("Nothing waits for your decision."))
    blocks = [_listed(approval) for approval in waiting[:LISTED]]
    if len(waiting) > LISTED:
        blocks.append(cards.section("There are more in Warden."))
    text = f"{min(len(waiting), LISTED)} waiting for you"
    return Reply({"response_type": "ephemeral", "text": text, "blocks": blocks})


def event(app: SlackApp, payload: Mapping[str, Any]) -> Reply:
    """The app was removed, or its token revoked: nothing is sent any more, and the admins see why."""
    told = payload.get("event")
    told = told if isinstance(told, dict) else {}
    tokens = told.get("tokens")
    if told.get("type") == "app_uninstalled":
        apps.disable(app, "The app was removed from the workspace. Connect Slack again.")
    elif told.get("type") == "tokens_revoked" and isinstance(tokens, dict) and tokens.get("bot"):
        apps.disable(app, "The bot token was revoked in Slack. Connect Slack again.")
    return Reply()


def _clicked(app: SlackApp, payload: Mapping[str, Any]) -> Reply:
    actions = payload.get("actions")
    clicks = [each for each in actions if isinstance(each, dict)] if isinstance(actions, list) else []
    click = next((each for each in clicks if str(each.get("action_id")) in VERDICTS), None)
    if click is None:
        return Reply()  # "Open in Warden": the browser does it
    verdict = VERDICTS[str(click["action_id"])]
    approval, digest = _named(app, click.get("value"))
    if approval is None:
        return Reply(after=partial(whisper, app, payload, ELSEWHERE))
    _adopt(approval, payload)
    try:
        user = person(app, Clicker.of(payload))
        if verdict == "deny" or rules.Rule.read(approval.rule).needs_reason("approve"):
            case = case_of(approval, app.organization)
            rules.check_change(case, database_now())
            rules.check_person(case, at_the_desk(app, user))
            rules.check_assurance(case, SLACK)
            rules.check_shown(case, digest)
            return Reply(after=partial(_open, app, payload, modals.dialog(approval, verdict)))
        approval = _review(app, approval, user, verdict, "", digest)
    except Unable as unable:
        return Reply(after=partial(whisper, app, payload, unable.text, unable.url))
    except rules.Refused as refused:
        return Reply(after=partial(whisper, app, payload, refused.reason))
    return Reply(after=partial(whisper, app, payload, _came_to(approval, verdict)))


def _submitted(app: SlackApp, payload: Mapping[str, Any]) -> Reply:
    view = payload.get("view")
    if not isinstance(view, dict) or str(view.get("callback_id")) not in VERDICTS:
        return Reply()
    verdict = VERDICTS[str(view["callback_id"])]
    approval, digest = _named(app, view.get("private_metadata"))
    if approval is None:
        return Reply(modals.refused(ELSEWHERE))
    try:
        user = person(app, Clicker.of(payload))
        approval = _review(app, approval, user, verdict, modals.reason_of(view), digest)
    except Unable as unable:
        return Reply(modals.refused(UNLINKED if unable.url else unable.text))
    except rules.Refused as refused:
        return Reply(modals.refused(refused.reason))
    return Reply(modals.said(_came_to(approval, verdict)))


def _review(
    app: SlackApp, approval: Approval, user: User, verdict: rules.Verdict, reason: str, digest: str
) -> Approval:
    return services.review(
        approval_id=approval.id,
        by=user,
        organization=app.organization,
        verdict=verdict,
        reason=reason,
        digest=digest,
        via="slack",
    )


def _named(app: SlackApp, value: object) -> tuple[Approval | None, str]:
    """The request of this organization that a button or a dialog names, and the digest it carries."""
    name, digest = read_value(value)
    approval_id = read_id("apr", name)
    if approval_id is None:
        return None, digest
    return Approval.objects.filter(id=approval_id, organization=app.organization).first(), digest


def _adopt(approval: Approval, payload: Mapping[str, Any]) -> None:
    place = payload.get("container")
    if isinstance(place, dict):
        channel, ts = slack_id(place.get("channel_id")), place.get("message_ts")
        if channel and isinstance(ts, str) and _TS.fullmatch(ts):
            cards.adopt(approval.organization_id, approval.approval_id, channel, ts)


def _open(app: SlackApp, payload: Mapping[str, Any], view: dict[str, Any]) -> None:
    try:
        call(token_of(app), "views.open", timeout=AT_ONCE, trigger_id=str(payload.get("trigger_id", "")), view=view)
    except SlackError:
        whisper(app, payload, "Slack did not open the dialog. Click again, or decide in Warden.")


def _listed(approval: Approval) -> dict[str, Any]:
    label = {"type": "plain_text", "text": "Open", "emoji": False}
    button = {"type": "button", "action_id": "warden_open", "text": label, "url": url_of(approval)}
    text = f"{sentence_of(approval)[:1_000]}\n{approval.risk} risk, decide by {clock(approval.expires_at)}"
    return cards.section(text) | {"accessory": button}


def _came_to(approval: Approval, verdict: rules.Verdict) -> str:
    if approval.state == states.PENDING:
        word = "approval" if verdict == "approve" else "denial"
        return f"Your {word} is recorded. Others have to decide too before it counts."
    return f"{states.STATES[approval.state]}. The agent is told."
