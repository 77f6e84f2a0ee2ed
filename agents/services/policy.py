"""Policy as code, made so: a document is planned against what there is, and applied as a whole or not at all."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents import policy
from agents.code import diff as differing
from agents.code import scenarios
from agents.code.compiled import compile_state
from agents.code.diff import Change
from agents.code.document import Read, convert, references
from agents.code.reading import Broken, File, Problem, read
from agents.code.state import State, channels, current, desired, in_order, owned_by
from agents.models import Agent, AppliedPolicy, ApprovalRule, Permission
from agents.services.agents import change_agent, create_agent, delete_agent, set_status
from agents.services.by import Who, person
from agents.services.errors import Conflict
from agents.services.external import remove_opa, set_opa
from agents.services.permissions import change_permission, create_permission, delete_permission
from agents.services.rules import change_rule, create_rule, delete_rule
from agents.services.versions import changing
from agents.services.writing import write_event
from audit.canonical import canonical
from audit.leaf import SYSTEM

SHOWN = 50  # changes that the record tells one by one
ORDER = {  # what must be there before something else can name it, and go after it
    ("rule", "add"): 0,
    ("rule", "change"): 1,
    ("agent", "add"): 2,
    ("agent", "change"): 3,
    ("tier", "remove"): 4,
    ("tier", "change"): 5,
    ("tier", "add"): 6,
    ("external_opa", "add"): 7,
    ("external_opa", "change"): 7,
    ("external_opa", "remove"): 7,
    ("channel", "add"): 8,
    ("channel", "change"): 9,
    ("channel", "remove"): 10,
    ("agent", "remove"): 11,
    ("rule", "remove"): 12,
}
TEXTS = ("currency", "environment", "condition", "callee", "notes")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a document would change. `digest` names exactly these changes to exactly what there was."""

    digest: str
    read: Read
    before: State
    after: State
    changes: tuple[Change, ...]

    @property
    def words(self) -> str:
        return differing.written(self.changes) or "Nothing to change."

    @property
    def summary(self) -> str:
        """`2 to add, 1 to change, 0 to remove`."""
        counts = {kind: sum(each.kind == kind for each in self.changes) for kind in ("add", "change", "remove")}
        return ", ".join(f"{number} to {kind}" for kind, number in counts.items())

    @property
    def unmanaged(self) -> list[str]:
        """What there is that the document does not name: agents, rules, channels."""
        sections: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
            ("agent", self.read.agents, self.after.agents),
            ("rule", self.read.rules, self.after.rules),
            ("channel", self.read.channels, self.after.channels),
        ]
        return [
            f"{kind} {name}"
            for kind, known, there in sections
            for name in there
            if f"{kind}s" in self.read.sections and name not in known
        ]


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done. `secrets` are those of new webhooks, by channel: nobody can read them again."""

    plan: Plan
    secrets: Mapping[str, str]


def plan(
    organization: Organization, files: Iterable[File], *, values: Mapping[str, str] | None = None, prune: bool = False
) -> Plan:
    """What the files would change now. Raises Broken, with file, line and column, for what could not be applied."""
    files = list(files)
    document = convert(read(files))
    with transaction.atomic():
        made = _plan(lock(organization), document, values or {}, prune=prune)
        with _undone():
            problems = list(_problems(organization, made, SYSTEM, {}))
    if problems:
        raise Broken(problems)
    return made


def proposed(
    organization: Organization, files: Iterable[File], *, values: Mapping[str, str] | None = None, prune: bool = False
) -> tuple[Plan, policy.Policy]:
    """What the files would make, as a plan and as the policy that would decide: to ask it, not to apply it.

    An address that is named counts as unknown: it decides nothing. Raises Broken.
    """
    document = convert(read(files))
    known = {f"{kind}:{name}": "" for kind, name in references(document)} | dict(values or {})
    made = _plan(organization, document, known, prune=prune)
    try:
        return made, compile_state(organization, made.after)
    except ValueError as error:
        raise Broken([Problem(document.tree.mark.file, 0, 0, f"{error}.")]) from error


def run_tests(
    organization: Organization, files: Iterable[File], *, now: datetime, prune: bool = False
) -> scenarios.Report:
    """Runs the files' scenarios on what they would make, or on what there is where they hold nothing else."""
    made, compiled = proposed(organization, files, prune=prune)
    return scenarios.run(made.read, made.after, compiled, now)


def apply(
    *,
    organization: Organization,
    by: Who,
    files: Iterable[File],
    expected: str,
    values: Mapping[str, str] | None = None,
    prune: bool = False,
    source: str = "",
) -> Applied:
    """Applies what was planned: everything, or nothing. Where there is nothing to change, nothing changes.

    `expected` is the digest of the plan; `source` is where the files come from, such as a commit. Raises Broken,
    Refused, and Conflict where something changed since it was planned.
    """
    files = list(files)
    document = convert(read(files))
    secrets: dict[str, str] = {}
    with changing(organization=organization, by=by) as change:
        made = _plan(organization, document, values or {}, prune=prune)
        if made.changes and made.digest != expected:
            raise Conflict("What there is, or the files, are not what was planned. Nothing was changed: plan again.")
        problems = list(_problems(organization, made, by, secrets))
        if problems:
            raise Broken(problems)
        _keep(organization, by, files, made, source=source, prune=prune)
        change.summary = f"Applied {files[-1].name}{f' of {source}' if source else ''}: {made.summary}"
    return Applied(made, secrets)


def _plan(organization: Organization, document: Read, values: Mapping[str, str], *, prune: bool) -> Plan:
    before = current(organization)
    after = desired(document, before, values, prune=prune)
    changes = tuple(differing.diff(before, after))
    digest = hashlib.sha256(canonical([before.digest, after.digest]).encode()).hexdigest()
    return Plan(digest, document, before, after, changes)


def _keep(organization: Organization, by: Who, files: list[File], made: Plan, *, source: str, prune: bool) -> None:
    """Says who applied what, unless it is what was applied last and changed nothing."""
    texts = [{"name": file.name, "text": file.text} for file in files]
    last = AppliedPolicy.objects.filter(organization=organization).first()
    if last and not made.changes and (last.files, last.prune, last.source) == (texts, prune, source):
        return
    row = AppliedPolicy.objects.create(
        organization=organization,
        applied_by=person(by),
        files=texts,
        source=source,
        prune=prune,
        digest=made.digest,
        summary=made.summary,
    )
    lines = [f"{each.section} {each.key}: {differing.SIGNS[each.kind]} {each.words}" for each in made.changes[:SHOWN]]
    write_event(
        verb="apply",
        row=row,
        by=by,
        organization_id=organization.pk,
        data={"source": source, "plan": made.digest, "summary": made.summary, "changes": lines},
    )


@contextmanager
def _undone() -> Iterator[None]:
    """A transaction that is rolled back whatever happens in it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _problems(organization: Organization, made: Plan, by: Who, secrets: dict[str, str]) -> Iterator[Problem]:
    """Makes each change, in order; what a service refuses is a problem at its place in the files."""
    tiers = {
        slug: [
            row.pk
            for row in in_order(
                Permission.objects.filter(agent__organization=organization, agent__slug=slug, agent__deleted_at=None)
            )
        ]
        for slug in made.before.tiers
    }
    failed: set[str] = set()
    with changing(organization=organization, by=by):
        for change in sorted(made.changes, key=lambda each: ORDER[each.section, each.kind]):
            if change.section == "tier" and f"agent {change.key}" in failed:
                continue  # its agent could not be made, which is said
            try:
                with transaction.atomic():
                    _make(organization, change, by, tiers, secrets)
            except ValidationError as error:
                yield from _placed(made.read, change, error)
                failed.add(f"{change.section} {change.key}")
            except Refused as error:
                yield made.read.problem(change.path, f"{change.key}: {error}")
                failed.add(f"{change.section} {change.key}")
    if not failed:  # what is kept must be what was planned, letter by letter
        for change in differing.diff(current(organization), made.after):
            yield made.read.problem(change.path, f"This would be kept differently: {change.words}")


def _placed(document: Read, change: Change, error: ValidationError) -> Iterator[Problem]:
    """What a service says is wrong with a field, at that field."""
    known = {"owner_user": "owner", "approval_rule": "rule", "is_default": "default"}
    said = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    for name, messages in said.items():
        field = "" if name == NON_FIELD_ERRORS else known.get(name, name)
        path = (*change.path, field) if field not in ("", "action") else change.path
        label = f"{field}: " if field else ""
        yield document.problem(path, f"{change.action or change.key}: {label}{' '.join(messages)}")


def _make(
    organization: Organization, change: Change, by: Who, tiers: Mapping[str, list[Any]], secrets: dict[str, str]
) -> None:
    match change.section:
        case "rule":
            _make_rule(organization, change, by)
        case "agent":
            _make_agent(organization, change, by)
        case "tier":
            _make_tier(organization, change, by, tiers)
        case "channel":
            _make_channel(organization, change, by, secrets)
        case "external_opa" if change.after:
            set_opa(organization=organization, by=by, **change.after)
        case "external_opa":
            remove_opa(organization=organization, by=by)


def _make_rule(organization: Organization, change: Change, by: Who) -> None:
    fields = dict(change.after or {})
    default = fields.pop("default", False)
    if change.kind == "add":
        create_rule(organization=organization, by=by, name=change.key, is_default=default, **fields)
        return
    row = ApprovalRule.objects.select_related("organization").get(organization=organization, name=change.key)
    if change.kind == "remove":
        delete_rule(rule=row, by=by)
        return
    fields = {name: fields[name] for name, _, _ in change.fields if name != "default"}
    if default:  # which unsets the one before; a rule is not unset by itself
        fields["is_default"] = True
    if fields:
        change_rule(rule=row, by=by, **fields)


def _make_agent(organization: Organization, change: Change, by: Who) -> None:
    if change.kind == "remove":
        delete_agent(agent=_agent(organization, change.key), by=by)
        return
    fields = dict(change.after or {})
    status = fields.pop("status")
    owners = owned_by(organization, fields)
    fields = {name: value for name, value in fields.items() if name not in ("owner", "owner_team")}
    if change.kind == "add":
        row = create_agent(organization=organization, by=by, slug=change.key, **fields, **owners)
    else:
        row = _agent(organization, change.key)
        changed = {name for name, _, _ in change.fields}
        given = {name: value for name, value in fields.items() if name in changed}
        if changed & {"owner", "owner_team"}:
            given |= owners
        if given:
            row = change_agent(agent=row, by=by, **given)
    if row.status != status:
        set_status(agent=row, by=by, status=status, reason="By the policy's file")


def _make_tier(organization: Organization, change: Change, by: Who, tiers: Mapping[str, list[Any]]) -> None:
    if change.kind == "remove":
        delete_permission(permission=_tier(tiers, change), by=by)
        return
    wanted = differing.permission(change.after or {})
    after = change.after or {}
    fields: dict[str, Any] = {name: after[name] for name in TEXTS} | {
        "effect": after["effect"],
        "risk": after["risk"],
        "max_amount": wanted.max_amount,
        "expires_at": wanted.expires_at,
        "limits": after["limits"],
        "approval_rule": None,
    }
    if after["rule"]:
        fields["approval_rule"] = ApprovalRule.objects.filter(organization=organization, name=after["rule"]).first()
    if change.kind == "add":
        create_permission(agent=_agent(organization, change.key), by=by, action=after["action"], **fields)
        return
    changed = {name for name, _, _ in change.fields}
    given = {name: value for name, value in fields.items() if {"approval_rule": "rule"}.get(name, name) in changed}
    change_permission(permission=_tier(tiers, change), by=by, **given)


def _make_channel(organization: Organization, change: Change, by: Who, secrets: dict[str, str]) -> None:
    if change.kind == "add":
        secret = channels().create(organization, by, change.key, change.after or {})
        if secret:
            secrets[change.key] = secret
    elif change.kind == "change":
        channels().change(organization, by, change.key, change.after or {})
    else:
        channels().delete(organization, by, change.key)


def _agent(organization: Organization, slug: str) -> Agent:
    row = Agent.objects.select_related("organization").filter(organization=organization, slug=slug, deleted_at=None)
    found = row.first()
    if found is None:
        raise Refused("This agent could not be made.")
    return found


def _tier(tiers: Mapping[str, list[Any]], change: Change) -> Permission:
    return Permission.objects.select_related("agent__organization").get(pk=tiers[change.key][change.number])
