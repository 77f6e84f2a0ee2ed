"""The dialog that asks for a reason."""

from collections.abc import Mapping
from typing import Any

from approvals import rules
from approvals.models import Approval
from approvals.slack.card import APPROVE, DENY, LIMIT, sentence_of, value_of
from notifications.slack.cards import section

REASON = "reason"


def dialog(approval: Approval, verdict: rules.Verdict) -> dict[str, Any]:
    """The view; it carries the id and the digest that the card's button carried, and who sends it is asked again."""
    needed = rules.Rule.read(approval.rule).needs_reason(verdict)
    word = "Approve" if verdict == "approve" else "Deny"
    return {
        "type": "modal",
        "callback_id": APPROVE if verdict == "approve" else DENY,
        "private_metadata": value_of(approval),
        "title": _plain(f"{word} this?"),
        "submit": _plain(word),
        "close": _plain("Not yet"),
        "blocks": [
            section(sentence_of(approval)[:LIMIT]),
            {
                "type": "input",
                "block_id": REASON,
                "optional": not needed,
                "label": _plain("Why? The agent and the record keep it."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON,
                    "multiline": True,
                    "max_length": rules.REASON_LIMIT,
                },
            },
        ],
    }


def reason_of(view: Mapping[str, Any]) -> str:
    """What was typed; empty for anything else."""
    at: Any = view
    for name in ("state", "values", REASON, REASON, "value"):
        at = at.get(name) if isinstance(at, dict) else None
    return at.encode(errors="replace").decode() if isinstance(at, str) else ""


def refused(why: str) -> dict[str, Any]:
    """The dialog stays, with what was typed, and says why not."""
    return {"response_action": "errors", "errors": {REASON: why}}


def said(text: str) -> dict[str, Any]:
    """The dialog gives way to what came of it."""
    view = {"type": "modal", "title": _plain("Warden"), "close": _plain("Close"), "blocks": [section(text)]}
    return {"response_action": "update", "view": view}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
