"""Approval rules in words, for those who write them and those who decide under them."""

from collections.abc import Mapping, Sequence
from typing import Any

from accounts.roles import ROLES


def rule_sentence(rule: Mapping[str, Any]) -> str:
    """What a rule's snapshot says, as people would: who decides, how many must, what they must give, how long it waits.

    `An owner, admin or approver decides. One approval is enough; one denial ends it. …`
    """
    deciders = [name.lower() for role, name in ROLES.items() if role in rule["roles"]]
    article = "An" if deciders[:1] and deciders[0][0] in "aeiou" else "A"
    approvals, denials = int(rule["approvals"]), int(rule["denials"])
    enough = "One approval is enough" if approvals == 1 else f"{_count(approvals).capitalize()} approvals are needed"
    ends = "one denial ends it" if denials == 1 else f"{_count(denials)} denials end it"
    steps = "".join(map(step_sentence, rule.get("escalation", ())))
    return (
        f"{article} {join(deciders, 'or')} decides. {enough}; {ends}. {_reason(rule)} "
        f"{steps}Undecided, it expires after {duration(int(rule['minutes']))}."
    )


def step_sentence(step: Mapping[str, Any]) -> str:
    """`After 30 minutes owners and the team finance may decide too. `"""
    who = [f"{ROLES[role].lower()}s" for role in step["roles"]]
    who += [f"the team {team['slug']}" for team in step["teams"]]
    who += [person["email"] for person in step["people"]]
    return f"After {duration(int(step['after_minutes']))} {join(who, 'and')} may decide too. "


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
