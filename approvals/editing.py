"""What of a request may be changed before it is approved, and what a change comes to: pure, over plain data.

Only fields that the rule names, that the agent gave, and that are a text, a number or a yes or no; the kind stays. An
amount may only go down. The currency stays: another one would make the amount another sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agents.policy.money import AmountError, parse_amount
from approvals import rules
from approvals.rule import Rule

LONGEST = 2_000  # characters of a text
NEVER = frozenset({"currency"})


@dataclass(frozen=True, slots=True)
class Change:
    """One field, before and after."""

    field: str
    before: Any
    after: Any


def fields(rule: Rule, context: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that may be changed, with what they are."""
    return {
        name: value
        for name, value in context.items()
        if name in rule.editable - NEVER and isinstance(value, str | int | float) and "\0" not in str(value)
    }


def read(value: Any, typed: str) -> Any:
    """What was typed for a field that holds `value`, as the same kind. Raises rules.Incomplete."""
    if isinstance(value, bool):
        return bool(typed)
    if isinstance(value, str):
        return typed
    try:
        number = Decimal(typed.strip())
    except ArithmeticError:
        raise rules.Incomplete(f"“{typed[:60]}” is not a number.", "edit_field") from None
    if not number.is_finite():
        raise rules.Incomplete(f"“{typed[:60]}” is not a number.", "edit_field")
    whole = number == number.to_integral_value() and abs(number) < 2**53
    exact = int(number) if whole else float(number)
    if Decimal(repr(exact)) != number:
        raise rules.Incomplete(f"{typed.strip()[:60]} has more digits than a number of JSON can hold.", "edit_field")
    return exact


def changes(rule: Rule, context: Mapping[str, Any], values: Mapping[str, Any]) -> list[Change]:
    """What `values` change of the context. Raises rules.Refused, or Incomplete where a value will not do."""
    if not rule.editable:
        raise rules.Refused("The rule of this request lets nobody change what is asked.", "edits")
    free = fields(rule, context)
    if locked := sorted(values.keys() - free.keys()):
        raise rules.Refused(
            f"{locked[0]} cannot be changed: the rule, or what the agent asked, does not let it.", "edits"
        )
    found = [Change(name, free[name], value) for name, value in values.items() if not _same(free[name], value)]
    if not found:
        raise rules.Incomplete("Nothing is changed yet.", "edit_nothing")
    for change in found:
        _check(change)
    return found


def _same(before: Any, after: Any) -> bool:
    """Whether JSON knows no difference: 49.0 is 49, but true is not 1."""
    return isinstance(before, bool) == isinstance(after, bool) and before == after


def _check(change: Change) -> None:
    name, before, after = change.field, change.before, change.after
    if _kind(before) != _kind(after):
        raise rules.Incomplete(f"{name} has to stay a {_kind(before)}.", "edit_field")
    if isinstance(after, str) and (len(after) > LONGEST or "\0" in after):
        raise rules.Incomplete(f"{name} has at most {LONGEST:,} characters, and no U+0000.", "edit_field")
    if name != "amount":
        return
    try:
        more = parse_amount(after) > parse_amount(before)
    except AmountError as problem:
        raise rules.Incomplete(f"{problem}.", "edit_field") from problem
    if more:
        raise rules.Refused("An amount can only go down: the agent did not ask for more.", "edit_up")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "yes or no"
    return "text" if isinstance(value, str) else "number"
