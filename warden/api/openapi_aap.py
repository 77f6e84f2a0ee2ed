"""The addresses of /aap in /api/openapi.json, as gateway.aap.routes serves them."""

from dataclasses import dataclass, field
from typing import Any

from gateway.aap import bodies as aap

ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Wait for the decision so long, 30s at most.",
    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,5}[smh]$", "examples": ["30s"]},
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same key with the same fields is the same operation; with others it is refused: 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]*$"},
}
FAILURES = {
    400: "The request is malformed, or a field of it",
    401: "No valid token",
    403: "The token is of the other kind, or lacks the scope",
    404: "Not there, or another's",
    408: "The body did not arrive in time",
    409: "Something was decided, consumed or sent before; `code` says what",
    413: "The body is too large",
    422: "The receiver could not be verified",
    429: "Too many requests: `Retry-After` says when to go on",
    503: "Nothing was decided; try again after `Retry-After`",
}
ALWAYS = (401, 403, 429, 503)


@dataclass(frozen=True, slots=True)
class AapRoute:
    """One address. `answers`: the status of each success, and what it holds."""

    method: str
    path: str
    operation: str
    summary: str
    answers: dict[int, Any]
    errors: tuple[int, ...]
    body: Any = None
    parameters: list[dict[str, Any]] = field(default_factory=list)

    @property
    def security(self) -> str:
        """Whose token it takes."""
        return "provisionerToken" if self.path.startswith("/aap/v1/instances") else "agentBearer"


REQUEST, INSTANCE = "/aap/v1/requests/{id}", "/aap/v1/instances/{id}"
WRITTEN = (400, 408, 413)
CALL = {200: aap.CallAnswer}
MADE = {200: aap.ProvisionedAnswer, 201: aap.ProvisionedAnswer}
SHOWN = {200: aap.InstanceAnswer}
AAP_ROUTES = [
    AapRoute(
        "POST",
        "/aap/v1/requests",
        "create_tool_call",
        "Ask whether one call of a tool may run",
        {200: aap.CallAnswer, 201: aap.CallAnswer},
        (*WRITTEN, 409),
        aap.CallBody,
        [KEY],
    ),
    AapRoute("GET", REQUEST, "get_tool_call", "Look at a request, or wait for it", CALL, (400, 404), None, [ID, WAIT]),
    AapRoute("DELETE", REQUEST, "cancel_tool_call", "Give a request up", CALL, (400, 404, 409), None, [ID]),
    AapRoute(
        "POST",
        f"{REQUEST}/consume",
        "consume_tool_call",
        "Take an approval, once, before the call runs",
        CALL,
        (*WRITTEN, 404, 409),
        None,
        [ID, KEY],
    ),
    AapRoute(
        "POST",
        f"{REQUEST}/outcome",
        "report_tool_call",
        "Say what came of the call",
        CALL,
        (*WRITTEN, 404, 409),
        aap.OutcomeBody,
        [ID],
    ),
    AapRoute(
        "POST",
        "/aap/v1/instances",
        "provision_instance",
        "Make an instance and its credential",
        MADE,
        (*WRITTEN, 409, 422),
        aap.InstanceBody,
        [KEY],
    ),
    AapRoute("GET", INSTANCE, "get_instance", "Look at an instance", SHOWN, (400, 404, 408, 413), None, [ID]),
    AapRoute(
        "PATCH",
        INSTANCE,
        "change_instance",
        "Give an instance another name or receiver",
        SHOWN,
        (*WRITTEN, 404, 409, 422),
        aap.InstanceChange,
        [ID, KEY],
    ),
    AapRoute(
        "DELETE", INSTANCE, "retire_instance", "Retire an instance", {204: None}, (400, 404, 408, 413), None, [ID]
    ),
]


def operation(route: AapRoute, schemas: dict[Any, Any]) -> dict[str, Any]:
    """One operation of the document."""
    headers = {"X-Request-ID": {"required": True, "schema": {"type": "string", "format": "uuid"}}}
    failed = {"application/json": {"schema": schemas[aap.Failure]}}
    answers: dict[str, Any] = {}
    for status, answer in route.answers.items():
        answers[str(status)] = {"description": "OK", "headers": headers}
        if answer is not None:
            answers[str(status)]["content"] = {"application/json": {"schema": schemas[answer]}}
    for status in sorted({*ALWAYS, *route.errors}):
        answers[str(status)] = {"description": FAILURES[status], "headers": headers, "content": failed}
    made: dict[str, Any] = {
        "operationId": route.operation,
        "tags": ["aap"],
        "summary": route.summary,
        "description": "",
        "parameters": route.parameters,
        "security": [{route.security: []}],
        "responses": answers,
    }
    if route.body:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[route.body]}}}
    return made
