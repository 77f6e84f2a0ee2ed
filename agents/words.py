"""Approval rules in words, for those who write them and those who decide under them."""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.roles import ROLES
from agents.assurance import SLACK

NAMED = 8  # fields that may be changed, in a sentence


def rule_sentence(rule: Mapping[str, Any]) -> str:
    """What a rule's snapshot says, as people would: who decides, how many must, what they must give, how long it waits.

    `An owner, admin or approver decides. One approval is enough; one denial ends it. …`
    """
    approvals, denials = int(rule["approvals"]), int(rule["denials"])
    ends = "one denial ends it" if denials == 1 else f"{_count(denials)} denials end it"
    steps = "".join(map(step_sentence, rule.get("escalation", ())))
    if ways := rule.get("alternatives"):
        said = [f"{_count(approvals)} approval{'' if approvals == 1 else 's'} by {deciders(rule)}"]
        said += [f"{_count(int(way['approvals']))} by {deciders(way)}" for way in ways]
        enough = f"It takes {', or '.join(said)}"
    elif approvals == 1:
        enough = f"{_begin(deciders(rule))} decides. One approval is enough"
    else:
        enough = f"{_begin(deciders(rule))} decides. {_count(approvals).capitalize()} approvals are needed"
    return (
        f"{enough}; {ends}. {_reason(rule)} {_proof(rule)}{_also(rule)}{steps}"
        f"Undecided, it expires after {duration(int(rule['minutes']))}."
    )


def deciders(who: Mapping[str, Any]) -> str:
    """`an owner, admin, member of finance or ann@example.com`: whom a rule, or one way of it, names."""
    names = [name.lower() for role, name in ROLES.items() if role in who["roles"]]
    names += [f"member of {team['slug']}" for team in who.get("teams", ())]
    article = [("an " if names[0][0] in "aeiou" else "a ") + names[0], *names[1:]] if names else []
    return join([*article, *(person["email"] for person in who.get("people", ()))], "or") or "nobody"


def step_sentence(step: Mapping[str, Any]) -> str:
    """`After 30 minutes owners and the team finance may decide too. `"""
    who = [f"{ROLES[role].lower()}s" for role in step["roles"]]
    who += [f"the team {team['slug']}" for team in step["teams"]]
    who += [person["email"] for person in step["people"]]
    return f"After {duration(int(step['after_minutes']))} {join(who, 'and')} may decide too. "


def _begin(words: str) -> str:
    return words if "@" in words.partition(" ")[0] else words[:1].upper() + words[1:]


def _proof(rule: Mapping[str, Any]) -> str:
    """How sure it has to be who decides; nothing where Slack will do and nothing is typed."""
    match rule.get("assurance", SLACK):
        case "slack":
            said = ""
        case "browser":
            said = "It is decided in the browser only. "
        case _:
            said = "It is decided in the browser, with a fresh passkey or code. "
    said += "What is critical is approved by typing its name. " if rule.get("confirm_critical") else ""
    seconds = int(rule.get("critical_seconds", 0))
    return said + (f"What is critical is approved after {seconds} seconds on its page, no sooner. " if seconds else "")


def _also(rule: Mapping[str, Any]) -> str:
    """What else whoever decides may do; nothing where that is nothing."""
    said = ""
    if rule.get("edits_allowed") and (fields := rule.get("edit_fields")):
        named = [*fields[:NAMED], *([f"{len(fields) - NAMED} more"] if len(fields) > NAMED else [])]
        said = f"Before it is approved, {join(named, 'and')} may be changed. "
    return said + ("Approving may allow more of the same kind. " if rule.get("grants_allowed") else "")


def _reason(rule: Mapping[str, Any]) -> str:
    match rule["reason_to_approve"], rule["reason_to_deny"]:
        case True, True:
            return "A reason is required."
        case True, False:
            return "A reason is required to approve."
        case False, True:
            return "A reason is required to deny."
    return "No reason is required."


def join(words: Sequence[str], last: str) -> str:
    """`a, b or c`."""
    return f" {last} ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])


def duration(minutes: int) -> str:
    """`90 minutes`, `2 hours`, `3 days`: the largest unit that holds it without a rest."""
    for size, unit in ((1_440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            number = minutes // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    raise ValueError(minutes)


def _count(number: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[number] if number < len(words) else str(number)
