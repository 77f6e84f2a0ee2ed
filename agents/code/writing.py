"""An organization's state as the text of a `warden.yaml`: the same state is always the same text."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import yaml

from agents.code.document import Agent, Channel, ExternalOpa, Permission, Rule
from agents.code.state import TIER, Fields, State
from agents.models.agent import MAX_PENDING
from agents.models.rule import default_roles

SCHEMA = "# yaml-language-server: $schema={url}\n"


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, exact numbers as they are, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    blocked = "\n" in text and not any(ord(each) < 32 and each != "\n" for each in text) and " \n" not in text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if blocked else None)


def _number(dumper: yaml.SafeDumper, number: Decimal) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", format(number, "f"))


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Decimal, _number)


def write(state: State, *, schema_url: str = "") -> str:
    """The text. What has its default is left out; a short tier is one word."""
    document: Fields = {"version": 1}
    if state.rules:
        document["rules"] = {name: _but_defaults(Rule, _rule(fields)) for name, fields in state.rules.items()}
    if state.agents:
        document["agents"] = {slug: _agent(slug, fields, state.tiers[slug]) for slug, fields in state.agents.items()}
    if state.channels:
        document["channels"] = {
            key: _but_defaults(Channel, fields | {"name": "" if fields["name"] == key else fields["name"]})
            for key, fields in state.channels.items()
        }
    if state.external_opa:
        document["external_opa"] = _but_defaults(ExternalOpa, state.external_opa)
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return (SCHEMA.format(url=schema_url) if schema_url else "") + text


def _agent(slug: str, fields: Fields, tiers: list[Fields]) -> Fields:
    kept = fields | {
        "name": "" if fields["name"] == slug else fields["name"],
        "limits": _limits(fields["limits"]),
        "max_pending": None if fields["max_pending"] == MAX_PENDING else fields["max_pending"],
        "status": None if fields["status"] == "active" else fields["status"],
    }
    written = _but_defaults(Agent, kept)
    permissions: dict[str, Any] = {}
    for tier in tiers:
        permissions.setdefault(tier["action"], []).append(_tier(tier))
    if permissions:
        written["permissions"] = {
            action: rows[0] if len(rows) == 1 else [{"effect": row} if isinstance(row, str) else row for row in rows]
            for action, rows in permissions.items()
        }
    return written


def _tier(fields: Fields) -> Fields | str:
    maximum = fields["max_amount"]
    kept = {name: fields[name] for name in TIER} | {
        "max_amount": None if maximum is None else Decimal(maximum),
        "limits": _limits(fields["limits"]),
    }
    written = _but_defaults(Permission, kept)
    return fields["effect"] if written.keys() == {"effect"} else written


def _limits(fields: Mapping[str, str]) -> Fields | None:
    return {name: int(most) if name.startswith("count") else Decimal(most) for name, most in fields.items()} or None


def _rule(fields: Fields) -> Fields:
    usual = [] if fields["teams"] or fields["people"] else default_roles()
    return fields | {
        "roles": None if fields["roles"] == usual else fields["roles"],
        "alternatives": [_but_empty(way) for way in fields["alternatives"]],
        "escalation": [_but_empty(step) for step in fields["escalation"]],
    }


def _but_empty(fields: Mapping[str, Any]) -> Fields:
    return {name: value for name, value in fields.items() if value != []}


def _but_defaults(kind: type[msgspec.Struct], fields: Mapping[str, Any]) -> Fields:
    """In the order of the type, without what is as it would be anyway."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
    empty = {field.name: field.default_factory for field in msgspec.structs.fields(kind)}
    kept: Fields = {}
    for name in kind.__struct_fields__:
        usual = defaults[name]
        if usual is msgspec.NODEFAULT and empty[name] is not msgspec.NODEFAULT:
            usual = empty[name]()
        if name in fields and (usual is msgspec.NODEFAULT or fields[name] != usual):
            kept[name] = fields[name]
    return kept
