"""What `warden.yaml` may hold: these types read it, and its published JSON Schema is made of them."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from agents.code.reading import Broken, Mark, Path, Problem, Value

Effect = Literal["allow", "ask", "deny"]
Risk = Literal["low", "medium", "high", "critical"]
Role = Literal["owner", "admin", "approver", "auditor", "viewer"]
PLAIN = r"^[^\x00\r\n]*$(?!\n)"
Line = Annotated[str, Meta(max_length=2_048, pattern=PLAIN)]
Text = Annotated[str, Meta(max_length=50_000, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset.")]
Amount = Annotated[Decimal, Meta(description="A number; what it says is kept exactly.")]
SECRETS = re.compile(r"(?:^|_)(?:password|passwd|secret|token|api_?key|private_?key|credentials?)$")


Count = Annotated[int, Meta(ge=0, lt=10**15)]


class Limits(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Budgets, counted per hour, day and month of the calendar (UTC). What is left out is not limited."""

    count_per_hour: Count | None = None
    count_per_day: Count | None = None
    count_per_month: Count | None = None
    total_per_hour: Amount | None = None
    total_per_day: Amount | None = None
    total_per_month: Amount | None = None


class Permission(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One tier."""

    effect: Effect
    max_amount: Amount | None = None
    currency: Annotated[Line, Meta(description="ISO 4217; empty: any.")] = ""
    environment: Annotated[Line, Meta(description="Empty: every one.")] = ""
    condition: Annotated[Text, Meta(description="CEL; empty: always.")] = ""
    callee: Annotated[Line, Meta(description="SPIFFE ID; empty: any.")] = ""
    risk: Risk = "low"
    rule: Annotated[Line, Meta(description="The approval rule of this name; empty: the default.")] = ""
    limits: Annotated[Limits | None, Meta(description="Its budgets; totals are in its currency.")] = None
    expires_at: Moment | None = None
    notes: Line = ""


Tiers = Effect | Permission | Annotated[list[Permission], Meta(min_length=1)]


class Agent(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One agent, and everything it may do: a tier that is not here is not there."""

    name: Annotated[Line, Meta(description="Empty: its slug.")] = ""
    purpose: Line = ""
    owner: Annotated[Line, Meta(description="E-mail of the member who owns it.")] = ""
    owner_team: Annotated[Line, Meta(description="Slug of the team that owns it.")] = ""
    notes: Text = ""
    documentation: Annotated[Text, Meta(description="Markdown.")] = ""
    spiffe_id: Line = ""
    limits: Annotated[Limits | None, Meta(description="Budgets over all its tiers.")] = None
    limit_currency: Annotated[Line, Meta(description="ISO 4217; of the totals among `limits`.")] = ""
    max_pending: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        Meta(description="Requests that may wait for people at once. Left out: whatever it is."),
    ] = None
    status: Annotated[
        Literal["active", "suspended", "banned"] | None, Meta(description="Left out: whatever it is.")
    ] = None
    permissions: Annotated[
        dict[Annotated[str, Meta(description="service.resource.operation")], Tiers],
        Meta(description="By action: an effect, a tier, or several tiers."),
    ] = {}


class Way(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Another way to satisfy a rule."""

    approvals: Annotated[int, Meta(ge=1, le=10)] = 1
    roles: list[Role] = []
    teams: Annotated[list[Line], Meta(description="Slugs.")] = []
    people: Annotated[list[Line], Meta(description="E-mail addresses of members.")] = []


class Step(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Who else may decide, after how long."""

    after_minutes: Annotated[int, Meta(ge=1)]
    roles: list[Role] = []
    teams: list[Line] = []
    people: list[Line] = []


class Rule(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One approval rule."""

    default: bool = False
    roles: Annotated[
        list[Role] | None, Meta(description="Left out: owner, admin and approver, unless teams or people are named.")
    ] = None
    teams: Annotated[list[Line], Meta(description="Slugs.")] = []
    people: Annotated[list[Line], Meta(description="E-mail addresses of members.")] = []
    approvals: Annotated[int, Meta(ge=1, le=10)] = 1
    alternatives: list[Way] = []
    denials: Annotated[int, Meta(ge=1, le=10)] = 1
    reason_to_approve: bool = False
    reason_to_deny: bool = True
    minutes: Annotated[int, Meta(ge=1, le=43_200)] = 60
    escalation: list[Step] = []
    assurance: Annotated[str, Meta(description="The least it takes: slack, browser or stepup.")] = "slack"
    confirm_critical: bool = True
    edits_allowed: bool = False
    edit_fields: list[Line] = []
    grants_allowed: bool = False
    critical_seconds: Annotated[int, Meta(ge=0, le=3_600)] = 0


class Channel(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One channel. Its address is written here, or named: a variable of the environment, or a file."""

    transport: Literal["email", "slack", "webhook"]
    name: Annotated[Line, Meta(description="Empty: its key.")] = ""
    mode: Literal["live", "test"] = "live"
    address: Line = ""
    address_env: Annotated[
        Line, Meta(description="The variable that holds the address, where the file is applied.")
    ] = ""
    address_file: Annotated[Line, Meta(description="The file that holds the address, where the file is applied.")] = ""
    events: list[Line] = []
    agents: Annotated[list[Line], Meta(description="Slugs. Empty: every agent.")] = []
    teams: list[Line] = []
    risks: list[Risk] = []
    environments: list[Line] = []


class ExternalOpa(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One more gate, which can only tighten. Its secrets are files of the server's machine, and only named here."""

    url: Annotated[Line, Meta(description="Of the rule, such as https://opa.example.com/v1/data/acme/warden.")]
    timeout_ms: Annotated[int, Meta(ge=50, le=3_000, description="No answer by then is a denial.")] = 500
    token_file: Annotated[Line, Meta(description="In OPA_CREDENTIALS_DIR: its token. Empty: none.")] = ""
    ca_file: Annotated[Line, Meta(description="There: authorities that may have issued its certificate, as PEM.")] = ""
    certificate_file: Annotated[Line, Meta(description="There: our certificate, as PEM, where it wants one.")] = ""
    key_file: Annotated[Line, Meta(description="There: its key. Empty: it is in the certificate's file.")] = ""


class Scenario(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A check that is made up, and what must come of it."""

    name: Line
    agent: Line
    action: Line
    expect: Effect
    context: dict[str, Any] = {}
    environment: Line = ""
    callee: Line = ""
    permission: Annotated[Line, Meta(description="The tier that must decide.")] = ""
    code: Annotated[Line, Meta(description="Why, in the words of the agent API.")] = ""
    now: Annotated[Moment | None, Meta(description="When it is asked; left out: now.")] = None


class Document(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`warden.yaml`. A section that is left out is left alone."""

    version: Literal[1]
    agents: Annotated[dict[str, Agent], Meta(description="By slug.")] = {}
    rules: Annotated[dict[str, Rule], Meta(description="By name.")] = {}
    channels: Annotated[dict[str, Channel], Meta(description="By name.")] = {}
    external_opa: Annotated[
        ExternalOpa | Literal["none"] | None, Meta(description="One more gate. none: no external OPA is asked.")
    ] = None
    tests: list[Scenario] = []


KEYED: dict[str, type[Struct]] = {"agents": Agent, "rules": Rule, "channels": Channel}


class Read(Struct):
    """A document as it was read: its parts, which sections it has, and where everything stands."""

    agents: dict[str, Agent]
    permissions: dict[str, dict[str, list[Permission]]]
    rules: dict[str, Rule]
    channels: dict[str, Channel]
    external_opa: ExternalOpa | None
    tests: list[Scenario]
    sections: frozenset[str]
    tree: Value

    def problem(self, path: Path, message: str) -> Problem:
        """What is wrong at a place of the document."""
        return _at(self.tree.at(path), message)


def convert(tree: Value) -> Read:
    """The document in a tree of values. Raises Broken, with everything that is wrong rather than the first of it."""
    found: dict[str, Any] = {name: {} for name in KEYED}
    permissions: dict[str, dict[str, list[Permission]]] = {}
    tests: list[Scenario] = []
    problems = list(_secrets(tree))
    known = set(Document.__struct_fields__)
    for key, (mark, _) in tree.entries.items():
        if key not in known:
            problems.append(_at(mark, f"'{key}' is unknown here. There are: {', '.join(sorted(known))}."))
    if "version" not in tree.entries:
        problems.append(_at(tree.mark, "Say which form this is: version: 1"))
    elif tree.entries["version"][1].content != 1:
        problems.append(_at(tree.at(("version",)), "The version is 1."))
    for section, kind in KEYED.items():
        for key, value in _mapping(tree, section, problems):
            if section == "agents":
                value, tiers = _split(value)
                permissions[key] = _permissions(tree, key, tiers, problems)
            made = _one(tree, (section, key), value, kind, problems)
            if made is not None:
                found[section][key] = made
    opa = _external_opa(tree, problems)
    given = tree.entries["tests"][1] if "tests" in tree.entries else Value(tree.mark, [])
    if not isinstance(given.content, list):
        problems.append(_at(given.mark, "tests: a list of scenarios."))
    else:
        for number, value in enumerate(given.content):
            made = _one(tree, ("tests", number), value, Scenario, problems)
            if made is not None:
                tests.append(made)
    if problems:
        raise Broken(sorted(set(problems), key=lambda each: (each.file, each.line, each.column, each.message)))
    return Read(
        **found,
        permissions=permissions,
        external_opa=opa,
        tests=tests,
        sections=frozenset(tree.entries),
        tree=tree,
    )


def references(document: Read) -> list[tuple[str, str]]:
    """What a document names instead of writing it down: ("env", NAME) and ("file", path)."""
    return [
        (kind, name)
        for channel in document.channels.values()
        for kind, name in (("env", channel.address_env), ("file", channel.address_file))
        if name
    ]


def _mapping(tree: Value, section: str, problems: list[Problem]) -> Iterator[tuple[str, Value]]:
    if section not in tree.entries:
        return
    value = tree.entries[section][1]
    if not isinstance(value.content, dict):
        problems.append(_at(value.mark, f"{section}: names, each with what it is."))
        return
    for key, (_, each) in value.content.items():
        yield key, each


def _split(value: Value) -> tuple[Value, Value | None]:
    """An agent without its permissions, and these."""
    if "permissions" not in value.entries:
        return value, None
    rest = {key: each for key, each in value.entries.items() if key != "permissions"}
    return Value(value.mark, rest), value.entries["permissions"][1]


def _permissions(tree: Value, agent: str, value: Value | None, problems: list[Problem]) -> dict[str, list[Permission]]:
    found: dict[str, list[Permission]] = {}
    if value is None:
        return found
    if not isinstance(value.content, dict):
        problems.append(_at(value.mark, "permissions: actions, each with an effect or its tiers."))
        return found
    for action, (_, each) in value.content.items():
        path: Path = ("agents", agent, "permissions", action)
        if isinstance(each.content, str) and each.content in get_args(Effect):
            found[action] = [Permission(each.content)]  # type: ignore[arg-type]
        elif isinstance(each.content, list):
            if not each.content:
                problems.append(_at(each.mark, "A tier at least; to permit nothing, leave the action out."))
            rows = [_one(tree, (*path, number), row, Permission, problems) for number, row in enumerate(each.content)]
            found[action] = [row for row in rows if row is not None]
        elif isinstance(each.content, dict):
            row = _one(tree, path, each, Permission, problems)
            found[action] = [row] if row is not None else []
        else:
            problems.append(_at(each.mark, "Say allow, ask or deny, or describe the tier."))
    return found


def _external_opa(tree: Value, problems: list[Problem]) -> ExternalOpa | None:
    value = tree.entries["external_opa"][1] if "external_opa" in tree.entries else None
    if value is None or value.content == "none":
        return None
    if not isinstance(value.content, dict):
        problems.append(_at(value.mark, "external_opa: say none, or its url and what else it takes."))
        return None
    return _one(tree, ("external_opa",), value, ExternalOpa, problems)


def _one[T: Struct](tree: Value, path: Path, value: Value, kind: type[T], problems: list[Problem]) -> T | None:
    try:
        return msgspec.convert(value.plain(), kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        inner: Path = tuple(int(part) if part.isdecimal() else part for part in re.findall(r"[\w-]+", where))
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
        if unknown:
            fields = ", ".join(kind.__struct_fields__) if not inner else ""
            there = f" There are: {fields}." if fields else ""
            mark = value.key_at((*inner, unknown[1]))
            problems.append(_at(mark, f"'{unknown[1]}' is unknown here.{there}"))
        else:
            name = ".".join(str(part) for part in (inner or path[-1:]))
            mark = value.at(inner)
            problems.append(_at(mark, f"{name}: {message}."))
        return None


def _at(mark: Mark, message: str) -> Problem:
    return Problem(mark.file, mark.line, mark.column, message)


def _secrets(value: Value) -> Iterator[Problem]:
    """Secrets have no place in a file: what is named like one, and holds something, is refused by its name."""
    if isinstance(value.content, list):
        for each in value.content:
            yield from _secrets(each)
    for key, (mark, each) in value.entries.items():
        if key == "context":  # of a scenario: made up
            continue
        if SECRETS.search(key.lower()) and isinstance(each.content, str):
            said = f"Secrets do not belong into files: name where it is, as {key}_env or {key}_file."
            yield _at(mark, said)
        yield from _secrets(each)


def _numbers(schema: Any) -> Any:
    """An exact number may be written as one, or as text."""
    if isinstance(schema, list):
        return [_numbers(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {**schema, "type": ["number", "string"]}
    return {key: _numbers(each) for key, each in schema.items()}


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a file (2020-12), for editors and for `agentwarden validate`."""
    made = _numbers(msgspec.json.schema(Document))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "warden.yaml",
        **made,
    }
