"""What is different between two states, change by change, in words that read like a review: pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from agents import policy
from agents.code.reading import Path
from agents.code.state import Fields, State
from agents.policy import budgets

Kind = Literal["add", "change", "remove"]
STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}
SECTIONS = {"agent": "agent", "rule": "rule", "channel": "channel", "external_opa": "external OPA"}
SIGNS = {"add": "+", "change": "~", "remove": "-"}
LONG = 120


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that comes, changes or goes. `key` is the agent's slug, the rule's or the channel's name, or the URL of
    the external OPA; `number` the place of a tier among those there are; `path` the place in the document, for what is
    wrong with it."""

    kind: Kind
    section: Literal["agent", "tier", "rule", "channel", "external_opa"]
    key: str
    before: Fields | None
    after: Fields | None
    path: Path
    number: int = -1

    @property
    def fields(self) -> list[tuple[str, Any, Any]]:
        """What differs: name, before, after. Of what comes or goes, everything that is set."""
        one, two = self.before or {}, self.after or {}
        names = [name for name in {**one, **two} if name != "action"]
        return [(name, one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)]

    @property
    def action(self) -> str:
        return str((self.after or self.before or {}).get("action", ""))

    @property
    def direction(self) -> Literal["widens", "narrows", ""]:
        """Whether more, or less, may be done afterwards without anybody being asked or refused."""
        if self.section == "agent" and self.before and self.after:
            more, less = _budgets(self.before, self.after, "limit_currency")
            return "widens" if more else "narrows" if less else ""
        if self.section == "external_opa":
            return _gate(self.before, self.after)
        return _direction(self.before, self.after) if self.section == "tier" else ""

    @property
    def words(self) -> str:
        """The line of the plan."""
        if self.section == "tier":
            one, two = _tier(self.before), _tier(self.after)
            said = f"{one} → {two}" if one and two and one != two else two or one
            if self.kind != "change":
                limits = (self.after or self.before or {})["limits"]
                return said + (f"; limits {_value(limits)}" if limits else "")
            rest = [each for each in self.fields if each[0] in ("risk", "rule", "limits", "notes")]
            return said + "".join(f"; {_field(*each)}" for each in rest)
        name = f"{SECTIONS[self.section]} {self.key}"
        if self.kind == "change":
            return f"{name}: {'; '.join(_field(*each) for each in self.fields)}"
        if self.section == "external_opa":
            kept = [(each, value) for each, value in (self.after or self.before or {}).items() if each != "url"]
            return "; ".join((name, *(f"{each.replace('_', ' ')} {value}" for each, value in kept if value)))
        return name


def diff(before: State, after: State) -> list[Change]:
    """Everything that has to be done to come from one state to the other, agent by agent."""
    found = [
        change
        for section, one, two in (
            ("rules", before.rules, after.rules),
            ("agents", before.agents, after.agents),
            ("channels", before.channels, after.channels),
        )
        for change in _named(section, one, two)
    ]
    for slug in sorted({*before.tiers, *after.tiers}):
        if slug in after.agents:  # with an agent that goes, its tiers go
            found += _tiers(slug, before.tiers.get(slug, []), after.tiers.get(slug, []))
    if before.external_opa != after.external_opa:
        found.append(_opa(before.external_opa, after.external_opa))
    return found


def _opa(before: Fields | None, after: Fields | None) -> Change:
    kind: Kind = "add" if before is None else "remove" if after is None else "change"
    url = (before or after or {})["url"]
    return Change(kind, "external_opa", url, before, after, ("external_opa",))


def _named(section: str, before: Mapping[str, Fields], after: Mapping[str, Fields]) -> Iterator[Change]:
    one: Any = section.removesuffix("s")
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            kind: Kind = "add" if old is None else "remove" if new is None else "change"
            yield Change(kind, one, key, old, new, (section, key))


def _tiers(slug: str, before: Sequence[Fields], after: Sequence[Fields]) -> Iterator[Change]:
    """Tiers are paired with what they were: the same first, then those of the same place, then in order. What stays in
    place keeps its identity, and with it what waits for people."""
    olds: dict[str, list[tuple[int, Fields]]] = defaultdict(list)
    news: dict[str, list[tuple[Path, Fields]]] = defaultdict(list)
    for number, fields in enumerate(before):
        olds[fields["action"]].append((number, fields))
    for fields in after:
        action = fields["action"]
        news[action].append((("agents", slug, "permissions", action, len(news[action])), fields))
    for action in sorted({*olds, *news}):
        old, new = olds[action], news[action]
        for names in (
            tuple(fields_of(old, new)),
            ("environment", "callee", "condition"),
            ("environment", "callee"),
            (),
        ):
            for place, fields in list(new):
                match = next((each for each in old if all(each[1][name] == fields[name] for name in names)), None)
                if match is None:
                    continue
                old.remove(match)
                new.remove((place, fields))
                if match[1] != fields:
                    yield Change("change", "tier", slug, match[1], fields, place, match[0])
        for number, fields in old:
            yield Change("remove", "tier", slug, fields, None, ("agents", slug, "permissions"), number)
        for place, fields in new:
            yield Change("add", "tier", slug, None, fields, place)


def fields_of(old: list[tuple[int, Fields]], new: list[tuple[Path, Fields]]) -> list[str]:
    """The names of a tier's fields."""
    return list((old[0] if old else new[0])[1])


def permission(fields: Fields, id_: str = "") -> policy.Permission:
    """A tier as the pure policy takes it. Raises ValueError for an amount or a moment that is none."""
    maximum, expires_at = fields["max_amount"], fields["expires_at"]
    return policy.Permission(
        id=id_,
        action=fields["action"],
        effect=fields["effect"],
        max_amount=None if maximum is None else Decimal(maximum),
        currency=fields["currency"] or None,
        environment=fields["environment"] or None,
        condition=fields["condition"],
        callee=fields["callee"] or None,
        risk=fields["risk"],
        approval_rule=fields["rule"] or None,
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        limits=budgets.limits_of(fields["limits"], fields["currency"] or None),
    )


def _tier(fields: Fields | None) -> str:
    return policy.describe(permission(fields)) if fields else ""


def _direction(before: Fields | None, after: Fields | None) -> Literal["widens", "narrows", ""]:
    if before is None or after is None:
        present = before or after or {}
        grants = present["effect"] != "deny"
        return "widens" if grants == (before is None) else "narrows"
    more, less = _budgets(before, after, "currency")
    wider = [
        more,
        STRICTNESS[after["effect"]] < STRICTNESS[before["effect"]],
        _height(after) > _height(before),
        *(bool(before[name]) and not after[name] for name in ("currency", "environment", "condition", "callee")),
        before["expires_at"] is not None
        and (after["expires_at"] is None or after["expires_at"] > before["expires_at"]),
    ]
    narrower = [
        less,
        STRICTNESS[after["effect"]] > STRICTNESS[before["effect"]],
        _height(after) < _height(before),
        *(bool(after[name]) and not before[name] for name in ("currency", "environment", "condition", "callee")),
        after["expires_at"] is not None
        and (before["expires_at"] is None or after["expires_at"] < before["expires_at"]),
    ]
    moved = any(
        before[name] and after[name] and before[name] != after[name] for name in ("environment", "callee", "condition")
    )
    denies = before["effect"] == after["effect"] == "deny"
    if any(wider) or moved:
        return "narrows" if denies and not moved else "widens"
    if any(narrower):
        return "widens" if denies else "narrows"
    return ""


def _gate(before: Fields | None, after: Fields | None) -> Literal["widens", "narrows"]:
    """An external OPA only tightens. One that is asked in another way, or is another, may tighten less; given less
    time, it only fails more often."""
    if before is None or after is None:
        return "narrows" if before is None else "widens"
    sooner = after["timeout_ms"] < before["timeout_ms"]
    return "narrows" if sooner and after == before | {"timeout_ms": after["timeout_ms"]} else "widens"


def _budgets(before: Fields, after: Fields, currency: str) -> tuple[bool, bool]:
    """Whether budgets let more pass afterwards, and whether they let less. Another currency may be either."""
    one, two = before["limits"], after["limits"]
    more, less = one.keys() - two.keys(), two.keys() - one.keys()
    both = [(Decimal(one[name]), Decimal(two[name])) for name in one.keys() & two.keys()]
    moved = before[currency] != after[currency] and any(name.startswith("total") for name in one.keys() & two.keys())
    wider, narrower = any(new > old for old, new in both), any(new < old for old, new in both)
    return bool(more) or moved or wider, bool(less) or narrower


def _height(fields: Fields) -> Decimal:
    return Decimal("Infinity") if fields["max_amount"] is None else Decimal(fields["max_amount"])


def _field(name: str, before: Any, after: Any) -> str:
    return f"{name.replace('_', ' ')} {_value(before)} → {_value(after)}"


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, dict):
        return " ".join(f"{name} {_value(each)}" for name, each in value.items() if each)
    text = " ".join(str(value).split())
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def written(changes: Sequence[Change]) -> str:
    """All changes as text: what happens to each agent stands together."""
    lines: list[str] = []
    for slug in dict.fromkeys(each.key for each in changes if each.section in ("agent", "tier")):
        mine = [each for each in changes if each.key == slug and each.section in ("agent", "tier")]
        whole = next((each for each in mine if each.section == "agent"), None)
        lines.append(_line(whole, "") if whole else f"  agent {slug}")
        lines += [_line(each, "    ") for each in mine if each.section == "tier"]
    lines += [_line(each, "") for each in changes if each.section in ("rule", "channel", "external_opa")]
    return "\n".join(lines)


def _line(change: Change, indent: str) -> str:
    mark = f"  ({change.direction})" if change.direction else ""
    return f"{indent}{SIGNS[change.kind]} {change.words}{mark}"
