"""/api/policy: the policy as files. What they change is planned first, and applied as a whole or not at all."""

import json
from typing import Annotated, Any, Literal

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe
from msgspec import Meta, Struct

from agents.code.diff import Change
from agents.code.document import schema
from agents.code.reading import Broken, File
from agents.code.state import current
from agents.code.writing import write
from agents.services import drift
from agents.services import policy as services
from warden.api.answers import Moment
from warden.api.bodies import PLAIN, Line
from warden.api.endpoint import Call, endpoint

Content = Annotated[str, Meta(max_length=1_048_576, description="YAML.", examples=["version: 1\nagents: {}\n"])]


class PolicyFile(Struct, forbid_unknown_fields=True):
    """One file. Its name is what problems are told by."""

    text: Content
    name: Line = "warden.yaml"


class PolicyFiles(Struct, forbid_unknown_fields=True):
    """Files, each laid over those before it."""

    files: Annotated[list[PolicyFile], Meta(min_length=1, max_length=20)]
    values: Annotated[
        dict[str, str], Meta(description='What `address_env` and `address_file` name: {"env:NAME": …, "file:PATH": …}.')
    ] = {}
    prune: Annotated[bool, Meta(description="Whether what the files' sections do not name is deleted.")] = False


class ApplyPolicy(PolicyFiles, forbid_unknown_fields=True, kw_only=True):
    """`plan` is the digest of the plan that somebody looked at."""

    plan: Line
    source: Annotated[
        str, Meta(max_length=200, pattern=PLAIN, description="Where the files come from, such as a commit.")
    ] = ""


class PolicyProblem(Struct):
    """What is wrong, and where. Line 0: with the file as a whole."""

    file: str
    line: int
    column: int
    message: str


class PolicyValidity(Struct):
    valid: bool
    problems: list[PolicyProblem]


class FieldChange(Struct):
    name: str
    before: Any
    after: Any


class PolicyChange(Struct):
    """One thing that comes, changes or goes. `direction`: whether it lets more pass afterwards, or less."""

    kind: Literal["add", "change", "remove"]
    section: Literal["agent", "tier", "rule", "channel", "external_opa"]
    name: str
    action: str
    words: str
    direction: Literal["widens", "narrows", ""]
    fields: list[FieldChange]


class PolicyPlan(Struct):
    """What would be changed. `digest` names exactly this; `text` reads like a review."""

    digest: str
    summary: str
    text: str
    changes: list[PolicyChange]
    unmanaged: Annotated[list[str], Meta(description="What there is and no file names.")]


class AppliedPolicy(Struct):
    """What was changed. `secrets` are those of new webhooks, by channel: this is the only time they are shown."""

    digest: str
    summary: str
    changed: bool
    secrets: dict[str, str]


class PolicyExport(Struct):
    text: str


class PolicyDrift(Struct):
    """What was applied last, and how what there is differs from it now; `changes` would bring it back."""

    applied_at: Moment | None
    applied_by: str | None
    source: str
    summary: str
    text: str
    changes: list[PolicyChange]


def files_of(body: PolicyFiles) -> list[File]:
    return [File(each.name, each.text) for each in body.files]


def change_of(change: Change) -> PolicyChange:
    return PolicyChange(
        change.kind,
        change.section,
        change.key,
        change.action,
        change.words,
        change.direction,
        [FieldChange(*each) for each in change.fields],
    )


@endpoint("POST", "policy/validate", "agents:read")
def validate_policy(call: Call, body: PolicyFiles) -> PolicyValidity:
    """Check files against what there is, and change nothing. Every problem is told with its place."""
    try:
        services.plan(call.organization, files_of(body), values=body.values, prune=body.prune)
    except Broken as broken:
        return PolicyValidity(
            valid=False,
            problems=[PolicyProblem(each.file, each.line, each.column, each.message) for each in broken.problems],
        )
    return PolicyValidity(valid=True, problems=[])


@endpoint("POST", "policy/plan", "agents:read")
def plan_policy(call: Call, body: PolicyFiles) -> PolicyPlan:
    """Say what files would change now, and change nothing."""
    made = services.plan(call.organization, files_of(body), values=body.values, prune=body.prune)
    return PolicyPlan(made.digest, made.summary, made.words, [change_of(each) for each in made.changes], made.unmanaged)


@endpoint("POST", "policy/apply", "agents:write")
def apply_policy(call: Call, body: ApplyPolicy) -> AppliedPolicy:
    """Apply what was planned, all of it or nothing. 409 where what there is, or the files, are not what was planned.
    Applying what is so already changes nothing. Channels need settings:write of your role as well.
    """
    done = services.apply(
        organization=call.organization,
        by=call.membership,
        files=files_of(body),
        expected=body.plan,
        values=body.values,
        prune=body.prune,
        source=body.source,
    )
    return AppliedPolicy(done.plan.digest, done.plan.summary, bool(done.plan.changes), dict(done.secrets))


@endpoint("GET", "policy/export", "agents:read")
def export_policy(call: Call) -> PolicyExport:
    """Get everything there is as one file. Applied elsewhere, it makes the same."""
    return PolicyExport(exported(call))


@endpoint("GET", "policy/diff", "agents:read")
def diff_policy(call: Call) -> PolicyDrift:
    """Say how what there is differs from what was applied last."""
    found = drift.drift(call.organization)
    last = found.last
    return PolicyDrift(
        applied_at=last.applied_at if last else None,
        applied_by=last.applied_by.email if last and last.applied_by else None,
        source=last.source if last else "",
        summary=found.summary,
        text=found.words,
        changes=[change_of(each) for each in found.changes],
    )


def exported(call: Call) -> str:
    return write(current(call.organization), schema_url=settings.SITE_URL + reverse("api:policy_schema"))


@login_not_required
@require_safe
def policy_schema(request: HttpRequest) -> HttpResponse:
    """The JSON Schema of `warden.yaml`, for editors."""
    response = HttpResponse(json.dumps(schema(), ensure_ascii=False), content_type="application/schema+json")
    response["Cache-Control"] = "public, max-age=3600"
    response["Access-Control-Allow-Origin"] = "*"
    return response
