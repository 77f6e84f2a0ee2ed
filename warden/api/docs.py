"""/api/docs: the OpenAPI document as a page for people."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from warden.api.openapi import ERRORS, TAGS, document

LONG = 2_048  # characters: a limit this large says nothing to a reader
BODIES = {"application/json": "", "text/event-stream": "server-sent events of "}


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a table: a parameter, or a field of a body or an answer."""

    name: str
    kind: str
    required: bool
    words: str
    place: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: list[Field]
    body: list[Field]
    status: str
    answer: str
    answer_link: str
    errors: list[tuple[str, str]]
    example: str

    @property
    def steps(self) -> list[str]:
        """The parts of the path, between which a narrow page may break it."""
        return self.path.strip("/").split("/")


def kind_of(schema: dict[str, Any]) -> tuple[str, str]:
    """What a value is, in a word or two, and the schema it is one of, if any."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name, name
    if "anyOf" in schema:
        told = [kind_of(each) for each in schema["anyOf"]]
        return " or ".join(dict.fromkeys(words for words, _ in told)), next((link for _, link in told if link), "")
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"])), ""
    if schema.get("type") == "array":
        words, link = kind_of(schema.get("items", {}))
        return f"list of {words}", link
    if schema.get("format") in ("date-time", "decimal"):
        return {"date-time": "date-time", "decimal": "decimal"}[schema["format"]], ""
    kind = schema.get("type", "any JSON")
    return (" or ".join(kind) if isinstance(kind, list) else str(kind)), ""


def bounds(schema: dict[str, Any]) -> str:
    """What a number or a length may be."""
    inner = next((each for each in schema.get("anyOf", []) if each.get("type") != "null"), schema)
    words = []
    if "minimum" in inner or "maximum" in inner:
        words.append(f"from {inner.get('minimum', '…')} to {inner.get('maximum', '…')}")
    if inner.get("maxLength", LONG) < LONG:
        words.append(f"at most {inner['maxLength']:,} characters")
    if schema.get("default") not in (None, "", [], {}):
        words.append(f"{json.dumps(schema['default'])} if left out")
    return "; ".join(words)


def fields(schema: dict[str, Any], components: dict[str, Any]) -> list[Field]:
    """The fields of an object."""
    schema = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    required = set(schema.get("required", []))
    return [_field(name, each, name in required) for name, each in schema.get("properties", {}).items()]


def _field(name: str, schema: dict[str, Any], required: bool, place: str = "", words: str = "") -> Field:
    kind, link = kind_of(schema)
    words = words or next(
        (each["description"] for each in (schema, *schema.get("anyOf", ())) if "description" in each), ""
    )
    told = " ".join(part for part in (words, _sentence(bounds(schema))) if part)
    return Field(name, kind, required, told, place, link)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def example(method: str, path: str, operation: dict[str, Any], components: dict[str, Any]) -> str:
    """A curl command that works once the token is yours."""
    is_agent = path.startswith("/sdk")
    header = "X-API-Key: $AGENTWARDEN_API_KEY" if is_agent else "Authorization: Bearer $WARDEN_TOKEN"
    lines = ["curl" + (f" -X {method}" if method != "GET" else ""), f'  -H "{header}"']
    if any(each["name"] == "Idempotency-Key" and each.get("required") for each in operation["parameters"]):
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = json.dumps(sample(components[schema["$ref"].rpartition("/")[2]]), ensure_ascii=False)
        lines += ['  -H "Content-Type: application/json"', f"  -d '{body}'"]
    return " \\\n".join([*lines, f"  {settings.SITE_URL}{path}"])


SAMPLES = {
    "action": "stripe.refund.small",
    "agent_id": "support-bot",
    "context": {"amount": 49.5, "currency": "USD"},
    "reason": "Checked with the customer",
}


def sample(schema: dict[str, Any]) -> dict[str, Any]:
    """A small body: what is required, and what has an example."""
    required = schema.get("required", [])
    body: dict[str, Any] = {}
    for name, each in schema.get("properties", {}).items():
        if name in SAMPLES and (name in required or name in ("context", "reason")):
            body[name] = SAMPLES[name]
        elif "examples" in each:
            body[name] = each["examples"][0]
        elif name in required:
            body[name] = each["enum"][0] if "enum" in each else name
    return body


def operations() -> Iterator[tuple[str, str, list[Operation]]]:
    """Every tag with its words and its operations."""
    made = document()
    components = made["components"]["schemas"]
    for tag, words in TAGS.items():
        found = [
            _told(method.upper(), path, operation, components)
            for path, methods in made["paths"].items()
            for method, operation in methods.items()
            if operation["tags"] == [tag]
        ]
        yield tag, words, found


def _told(method: str, path: str, operation: dict[str, Any], components: dict[str, Any]) -> Operation:
    status, success = next(iter(operation["responses"].items()))
    media_type, content = next(iter(success.get("content", {}).items()), ("", None))
    kind, link = kind_of(content["schema"]) if content else ("nothing", "")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    scopes = operation["security"][0].get("accessToken", [])
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation["description"].replace(f"Scope: {''.join(scopes)}.", "").strip(),
        scope="".join(scopes),
        parameters=[
            _field(each["name"], each["schema"], each.get("required", False), each["in"], each.get("description", ""))
            for each in operation["parameters"]
        ],
        body=fields(body, components) if body else [],
        status=status,
        answer=BODIES.get(media_type, "") + kind,
        answer_link=link,
        errors=[
            (code, said.get("description") or ERRORS[int(code)])
            for code, said in operation["responses"].items()
            if code >= "400"
        ],
        example=example(method, path, operation, components),
    )


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Every address, what it takes and what it gives."""
    components = document()["components"]["schemas"]
    shown = [(name, schema.get("description", ""), fields(schema, components)) for name, schema in components.items()]
    return render(request, "api/docs.html", {"sections": list(operations()), "schemas": shown, "nav": "settings"})
