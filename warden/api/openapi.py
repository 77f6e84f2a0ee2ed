"""/api/openapi.json: made of the very structs that requests are read with and answers written from: it cannot drift."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.models import SCOPES
from gateway import bodies as sdk
from gateway.aap.bodies import Failure
from warden.api import (  # noqa: F401 - they register themselves
    absences,
    agents,
    alerts,
    approvals,
    break_glass,
    channels,
    external_opa,
    grants,
    habits,
    identities,
    keys,
    organization,
    policy,
    policy_proposals,
    policy_shadow,
    policy_trials,
    privacy,
    proofs,
    record,
    reviews,
    rules,
    slack,
    stops,
    streams,
    whoami,
)
from warden.api.endpoint import ENDPOINTS, Endpoint
from warden.api.openapi_aap import AAP_ROUTES
from warden.api.openapi_aap import operation as aap_operation

TEMPLATE = "#/components/schemas/{name}"
TAGS = {
    "sdk": "What agents speak, with their keys.",
    "aap": "What clients of the Agent Approval Protocol speak, with keys of scope aap and provisioner tokens.",
    "authz": "What OPA clients speak, with keys that have the scope authz:query.",
    "agents": "Agents and their permissions.",
    "permissions": "Tiers: what one agent may do, up to how much, and whether a person is asked.",
    "policy": "Agents, permissions, rules and channels as files.",
    "permission-reviews": "What each agent may do, looked at once a quarter.",
    "keys": "Agents' keys.",
    "slack": "The Slack workspace that is connected.",
    "privacy-rules": "What of requests is stored only withheld or encrypted.",
    "subjects": "Whose encrypted values nobody shall read any more.",
    "external-opa": "An OPA that is asked after the policy, and can only tighten.",
    "banned-identities": "SPIFFE IDs by which, and to which, nothing is allowed.",
    "approval-rules": "Who may decide, and how many must.",
    "absences": "Who is away, and who decides in their name.",
    "approvals": "What waits for people, and their decisions.",
    "break-glass": "What somebody allowed outside its rule, and its sign-off by owners.",
    "habits": "How people decide: how long they take, and what they approve in a row.",
    "grants": "More of the same kind, allowed with an approval.",
    "logs": "What agents say they did.",
    "events": "The record: everything that was asked, decided and changed.",
    "record": "The order of the record: logs, signed checkpoints, proofs, keys.",
    "alert-rules": "What fires when it is above its threshold, and who is told.",
    "alerts": "What fires now, and what did.",
    "organization": "Settings, the organization's key.",
    "stops": "The kill switch: what stands still, and its release in two steps.",
    "members": "People and their roles.",
    "invitations": "How people come in.",
    "teams": "Some members, by a name.",
    "whoami": "Whose token this is.",
    "channels": "Where the organization hears of things: mail, Slack, signed webhooks.",
    "streams": "Where the record flows to, by syslog or webhook, and how far each is.",
    "deliveries": "What was sent, and what came of it.",
}
ERRORS = {
    401: "No valid credential",
    403: "The credential, or the person's role, does not include this",
    404: "Not there, or another organization's",
    408: "The body did not arrive in time",
    409: "Somebody was faster, or the state of things forbids it",
    413: "The body is too large",
    422: "Something in the request is wrong; `detail` names the field",
    429: "Too many requests: `Retry-After` says when to go on",
    503: "Nothing was changed and nothing is allowed; try again after `Retry-After`",
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key always gets the same answer. The same key with another body is refused: 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]*$"},
}
WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Wait for the decision so long, 30s at most.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,6}s?$", "examples": ["30s"]},
}
COMMENTS = {
    "name": "comments",
    "in": "query",
    "description": "How many comments you have: the wait ends when there are more, too.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,6}$", "examples": ["0"]},
}


@dataclass(frozen=True, slots=True)
class AgentRoute:
    """One address of /sdk, as gateway.routes serves it."""

    method: str
    path: str
    operation: str
    summary: str
    description: str
    answer: Any
    errors: tuple[int, ...]
    body: Any = None
    parameters: list[dict[str, Any]] = field(default_factory=list)
    media_type: str = "application/json"
    tag: str = "sdk"
    failure: Any = sdk.ErrorAnswer


APPROVAL_ID = {"name": "approval_id", "in": "path", "required": True, "schema": {"type": "string"}}
AGENT_ROUTES = [
    AgentRoute(
        "POST",
        "/sdk/check",
        "check",
        "Ask whether an agent may do something now",
        "Act only on a 200 whose `allowed` is true. While a person is asked, repeating the identical check is a way to"
        " wait: it never makes a second request, and once approved it is allowed once.",
        sdk.CheckAnswer,
        (401, 403, 404, 408, 409, 413, 422, 429, 503),
        sdk.CheckBody,
        [IDEMPOTENCY],
    ),
    AgentRoute(
        "POST",
        "/sdk/log",
        "log",
        "Say what came of an action",
        "With `approval_id` or `decision_id` it is shown beside that decision.",
        sdk.LogAnswer,
        (401, 403, 404, 408, 413, 422, 429, 503),
        sdk.LogBody,
        [IDEMPOTENCY],
    ),
    AgentRoute(
        "GET",
        "/sdk/whoami",
        "whoami",
        "Whose key this is",
        "Its agent, mode and environment.",
        sdk.WhoamiAnswer,
        (401, 403, 429, 503),
    ),
    AgentRoute(
        "GET",
        "/sdk/approvals/{approval_id}",
        "wait_for_approval",
        "Look at an approval, or wait for its decision",
        "An agent sees its own approvals only.",
        sdk.ApprovalAnswer,
        (401, 403, 404, 422, 429, 503),
        None,
        [APPROVAL_ID, WAIT, COMMENTS],
    ),
    AgentRoute(
        "GET",
        "/sdk/approvals/{approval_id}/events",
        "stream_approval",
        "The same as server-sent events",
        "One event for each state and each comment, named after the state; `data` is the approval as JSON. It ends with"
        " the final state.",
        sdk.ApprovalAnswer,
        (401, 403, 404, 429, 503),
        None,
        [APPROVAL_ID],
        "text/event-stream",
    ),
    AgentRoute(
        "POST",
        "/sdk/approvals/{approval_id}/claim",
        "claim",
        "Take an approval, once, before acting on it",
        "`code` of a 409 is already_claimed, not_approved, approval_expired or policy_changed.",
        sdk.ApprovalAnswer,
        (401, 403, 404, 408, 409, 413, 422, 429, 503),
        sdk.ClaimBody,
        [APPROVAL_ID, IDEMPOTENCY | {"required": True}],
    ),
    AgentRoute(
        "POST",
        "/sdk/approvals/{approval_id}/cancel",
        "cancel",
        "Give a request up: nobody is asked any more",
        "",
        sdk.ApprovalAnswer,
        (401, 403, 404, 408, 409, 413, 429, 503),
        None,
        [APPROVAL_ID],
    ),
    AgentRoute(
        "POST",
        "/sdk/approvals/{approval_id}/comments",
        "comment",
        "Answer a question of the people who decide",
        "While it is pending. They see it marked as unverified: written by the agent.",
        sdk.CommentAnswer,
        (401, 403, 404, 408, 409, 413, 422, 429, 503),
        sdk.CommentBody,
        [APPROVAL_ID, IDEMPOTENCY],
    ),
    AgentRoute(
        "POST",
        "/v1/data/{path}",
        "query_policy",
        "Ask as an OPA is asked",
        "`agentweave/authz` gives an object, `agentweave/authz/allow` a boolean; so do further paths that the"
        " organization names. Act only on a 200 whose `result` (or `result.allow`) is true. Errors are"
        ' {"code", "message"}, as an OPA says them. HTTP Basic with the key as its password is accepted too.',
        sdk.DataAnswer,
        (400, 401, 403, 404, 408, 413, 429, 503),
        sdk.DataBody,
        [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}],
        tag="authz",
        failure=sdk.DataError,
    ),
]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of /sdk, /aap and /api."""
    schemas, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in AGENT_ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _agent_operation(route, schemas)
    for call in AAP_ROUTES:
        paths.setdefault(call.path, {})[call.method.lower()] = aap_operation(call, schemas)
    for each in ENDPOINTS:
        paths.setdefault(f"/api/{each.path}", {})[each.method.lower()] = _operation(each, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Warden",
            "version": "1",
            "description": "Human approval for the actions of AI agents. /sdk and /aap are for agents and their keys,"
            " /api for people's scripts and their access tokens; neither takes the other's. Every answer has"
            " X-Request-ID."
            f" Scopes of access tokens: {'; '.join(f'{name} ({words.lower()})' for name, words in SCOPES.items())}.",
        },
        "servers": [{"url": settings.SITE_URL}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(status): _error(words) for status, words in ERRORS.items()},
            "securitySchemes": {
                "agentKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "ak_… or test_…"},
                "agentBearer": {"type": "http", "scheme": "bearer", "description": "The same key: ak_… or test_…"},
                "provisionerToken": {"type": "http", "scheme": "bearer", "description": "A provisioner's: wprv_…"},
                "accessToken": {"type": "http", "scheme": "bearer", "description": "A person's token: wpat_…"},
            },
        },
    }


def _types() -> Iterator[Any]:
    yield sdk.ErrorAnswer
    yield Failure
    for call in AAP_ROUTES:
        yield from (kind for kind in (call.body, *call.answers.values()) if kind)
    for route in AGENT_ROUTES:
        yield from (kind for kind in (route.body, route.answer, route.failure) if kind)
    for each in ENDPOINTS:
        yield from (kind for kind in (each.body, each.query, each.answer) if kind and kind is not type(None))


def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type, and the components they refer to."""
    types = list(dict.fromkeys(_types()))
    found, components = msgspec.json.schema_components(types, ref_template=TEMPLATE)
    sent = {each.body.__name__ for each in ENDPOINTS if each.body}
    for name, schema in components.items():
        # Decimals leave as numbers, exactly; they come as numbers or, where a double would not do, as strings.
        _decimals(schema, ["number", "string"] if name in sent else "number")
    queries = {each.query.__name__ for each in ENDPOINTS if each.query}
    schemas = dict(zip(types, found, strict=True))
    for kind in types:
        if getattr(kind, "__name__", "") in queries:
            schemas[kind] = components[kind.__name__]
    return schemas, {name: schema for name, schema in sorted(components.items()) if name not in queries}


def _decimals(schema: Any, kind: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema["type"] = kind
        for inner in schema.values():
            _decimals(inner, kind)
    elif isinstance(schema, list):
        for inner in schema:
            _decimals(inner, kind)


def _error(words: str) -> dict[str, Any]:
    return {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": TEMPLATE.format(name="ErrorAnswer")}}},
    }


def _references(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _json(schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": schema}}


def _agent_operation(route: AgentRoute, schemas: dict[Any, Any]) -> dict[str, Any]:
    success = {"description": "OK", "content": _json(schemas[route.answer], route.media_type)}
    errors = _references(route.errors)
    if route.failure is not sdk.ErrorAnswer:
        words = {400: "The request is malformed, or a field of it"} | ERRORS
        failed = _json(schemas[route.failure])
        errors = {str(status): {"description": words[status], "content": failed} for status in route.errors}
    operation = {
        "operationId": route.operation,
        "tags": [route.tag],
        "summary": route.summary,
        "description": route.description,
        "parameters": route.parameters,
        "security": [{"agentKey": []}, {"agentBearer": []}],
        "responses": {"200": success, **errors},
    }
    if route.body:
        needed = any(field.required for field in msgspec.structs.fields(route.body))
        operation["requestBody"] = {"required": needed, "content": _json(schemas[route.body])}
    return operation


def _operation(each: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in each.arguments
    ]
    if each.query:
        query = schemas[each.query]
        for name, schema in query["properties"].items():
            words = schema.get("description") or ""
            told = {"description": words} if words else {}
            parameters.append({"name": name, "in": "query", "schema": schema, **told})
    writes = each.method != "GET"
    errors = (401, 403, *((404,) if each.arguments else ()), *((409,) if writes else ()))
    errors += ((413,) if each.body else ()) + ((422,) if each.body or each.query else ()) + (503,)
    success: dict[str, Any] = {"description": "OK" if each.status == 200 else "Made" if each.status == 201 else "Gone"}
    if each.status != 204:
        success["content"] = _json(schemas[each.answer])
    operation = {
        "operationId": each.operation,
        "tags": [each.tag],
        "summary": each.summary,
        "description": f"{each.description} Scope: {each.scope or 'any'}.".strip(),
        "parameters": parameters,
        "security": [{"accessToken": [each.scope] if each.scope else []}],
        "responses": {str(each.status): success, **_references(errors)},
    }
    if each.body:
        needed = bool(components[each.body.__name__].get("required"))
        operation["requestBody"] = {"required": needed, "content": _json(schemas[each.body])}
    return operation


@require_safe
@login_not_required
def openapi(request: HttpRequest) -> HttpResponse:
    """The document: it holds nothing secret, and tools fetch it without a person."""
    return HttpResponse(msgspec.json.encode(document()), "application/json")
