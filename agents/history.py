"""What differs between two policy versions, in words: pure, over their contents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents import policy

LABELS = {
    "action": "name",
    "effect": "effect",
    "max_amount": "maximum",
    "currency": "currency",
    "environment": "environment",
    "condition": "condition",
    "callee": "callee",
    "risk": "risk",
    "approval_rule": "approval rule",
    "expires_at": "expires",
    "limits": "budget",
    "slug": "name",
    "status": "status",
    "spiffe_id": "SPIFFE ID",
}
NOTHING = {
    "max_amount": "any amount",
    "expires_at": "never",
    "approval_rule": "the default",
    "condition": "none",
    "limits": "none",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is new, gone or other than before. `fields` are (what, before, after)."""

    kind: str  # added, removed, changed
    agent: str
    what: str
    fields: tuple[tuple[str, str, str], ...] = ()


def differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any], *, rules: Mapping[str, str], agent: str = ""
) -> list[Difference]:
    """What changed from one content to the next, of one agent (by id) or of all. `rules` are names by id."""
    found = [] if agent else list(_organization(before or {}, after))
    old = {each["id"]: each for each in (before or {}).get("agents", ())}
    new = {each["id"]: each for each in after["agents"]}
    for key in sorted(old.keys() | new.keys(), key=lambda each: (new.get(each) or old[each])["slug"]):
        if not agent or key == agent:
            found += _agent(old.get(key), new.get(key), rules)
    return found


def _organization(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    was, now = _stops(before), _stops(after)
    for words in sorted(now - was):
        yield Difference("added", "", f"Stop of {words}")
    for words in sorted(was - now):
        yield Difference("removed", "", f"Stop of {words}")
    old, new = before.get("environments", after["environments"]), after["environments"]
    if old != new:
        yield Difference("changed", "", "Environments", (("environments", ", ".join(old), ", ".join(new)),))


def _stops(content: Mapping[str, Any]) -> set[str]:
    """What the kill switch held, in words."""
    slugs = {agent["id"]: agent["slug"] for agent in content.get("agents", ())}
    return {
        " of ".join(filter(None, (stop["pattern"] or "everything", slugs.get(stop["agent"], stop["agent"]))))
        for stop in content.get("stops", ())
    }


def _agent(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, rules: Mapping[str, str]
) -> Iterator[Difference]:
    slug = (new or old or {})["slug"]
    if old is None:
        yield Difference("added", slug, f"Agent {slug}")
    elif new is None:
        yield Difference("removed", slug, f"Agent {slug}")
    elif fields := tuple(_fields(old, new, ("slug", "status", "spiffe_id", "limits"), rules)):
        yield Difference("changed", slug, f"Agent {slug}", fields)
    was = {each["id"]: each for each in (old or {}).get("permissions", ())}
    now = {each["id"]: each for each in (new or {}).get("permissions", ())}
    for key in sorted(was.keys() | now.keys(), key=lambda each: (now.get(each) or was[each])["action"]):
        if key not in was:
            yield Difference("added", slug, policy.describe(_permission(now[key])))
        elif key not in now:
            yield Difference("removed", slug, policy.describe(_permission(was[key])))
        elif was[key] != now[key]:
            names = tuple(name for name in LABELS if name in now[key])
            fields = tuple(_fields(was[key], now[key], names, rules))
            yield Difference("changed", slug, policy.describe(_permission(now[key])), fields)


def _fields(
    old: Mapping[str, Any], new: Mapping[str, Any], names: tuple[str, ...], rules: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for name in names:
        if old.get(name) != new.get(name):
            yield LABELS[name], _show(name, old.get(name), rules), _show(name, new.get(name), rules)


def _show(name: str, value: Any, rules: Mapping[str, str]) -> str:
    if value in (None, "", []):
        return NOTHING.get(name, "any")
    if name == "approval_rule":
        return rules.get(value, "a rule that is gone")
    if name == "limits":
        return ", ".join(f"{most} {unit or 'requests'} per {span}" for span, most, unit in value)
    if name == "expires_at":
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M} UTC"
    return str(value)


def _permission(content: Mapping[str, Any]) -> policy.Permission:
    maximum, expires_at = content["max_amount"], content["expires_at"]
    return policy.Permission(
        **{
            **content,
            "max_amount": None if maximum is None else Decimal(maximum),
            "expires_at": None if expires_at is None else datetime.fromisoformat(expires_at),
            "limits": tuple(policy.Limit(span, Decimal(most), unit) for span, most, unit in content.get("limits", ())),
        }
    )
