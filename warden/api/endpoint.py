"""How a function becomes an address of /api: its signature says what it takes and gives, for the document too."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import getdoc, signature
from typing import Any, get_type_hints

import msgspec
import structlog
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from accounts.models import AccessToken, Membership, Organization
from accounts.tokens import authenticate_token, token_may
from agents.models.key import PREFIXES
from gateway.parse import Malformed, read
from warden.api.errors import Failure, failure, missing

log = structlog.get_logger(__name__)
encode = msgspec.json.Encoder(decimal_format="number").encode
REALM = {"WWW-Authenticate": 'Bearer realm="Warden"'}
BROKEN = Failure(500, "Something went wrong here. The request id leads to the log.")


@dataclass(slots=True)
class Call:
    """One authenticated request: whose token, and further headers for the answer."""

    token: AccessToken
    request: HttpRequest
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def membership(self) -> Membership:
        return self.token.membership

    @property
    def organization(self) -> Organization:
        return self.token.organization


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one address."""

    method: str
    path: str  # agents/{agent_id}
    scope: str
    status: int
    run: Callable[..., Any]
    body: type[Any] | None
    query: type[Any] | None
    answer: Any
    arguments: tuple[str, ...]

    @property
    def tag(self) -> str:
        return self.path.partition("/")[0]

    @property
    def summary(self) -> str:
        return self._words[0].removesuffix(".")

    @property
    def description(self) -> str:
        return self._words[1]

    @property
    def _words(self) -> tuple[str, str]:
        """The first sentence of the docstring, and the others."""
        first, _, others = " ".join((getdoc(self.run) or "").split()).partition(". ")
        return first, others

    @property
    def operation(self) -> str:
        return self.run.__name__


ENDPOINTS: list[Endpoint] = []


def endpoint[F: Callable[..., Any]](method: str, where: str, scope: str, status: int = 200) -> Callable[[F], F]:
    """Puts a function at `/api/<where>`. It gets the Call, what stands in {braces}, `body` and `query` as it asks."""

    def register(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        ENDPOINTS.append(
            Endpoint(
                method,
                where,
                scope,
                status,
                function,
                hints.get("body"),
                hints.get("query"),
                hints["return"],
                tuple(re.findall(r"{(\w+)}", where)),
            )
        )
        asked = set(signature(function).parameters) - {"call", "body", "query"}
        if asked != set(ENDPOINTS[-1].arguments):
            raise TypeError(f"{function.__name__} does not take what {where} names")
        return function

    return register


def authenticate(request: HttpRequest, scope: str) -> AccessToken:
    """The token of this request, if it opens `scope` now (empty: any will do).

    Raises Failure: 401, or 403 that says what is missing.
    """
    scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
    raw = raw.strip()
    if raw.startswith(tuple(PREFIXES.values())) or (not raw and "X-API-Key" in request.headers):
        raise Failure(401, "This is an agent's key. /api takes people's access tokens (wpat_…) only", **REALM)
    if scheme.lower() != "bearer" or not raw:
        raise Failure(401, "Send an access token: Authorization: Bearer wpat_…", **REALM)
    token = authenticate_token(raw)
    if token is None:
        raise Failure(401, "This access token is unknown, has expired or was revoked", **REALM)
    if not scope:
        return token
    if scope not in token.scopes:
        raise Failure(403, f"This token does not have the scope {scope}")
    if not token_may(token, scope):
        role = token.membership.get_role_display().lower()
        raise Failure(403, f"Your role, {role}, does not include {scope}")
    return token


def read_query[T](request: HttpRequest, form: type[T]) -> T:
    """The query string as a `form`. Raises Malformed for what is unknown, given twice, or no value of its kind."""
    for name, values in request.GET.lists():
        if len(values) > 1:
            raise Malformed(f"{name}: given twice")
        if "\0" in values[0]:
            raise Malformed(f"{name}: holds U+0000, which nothing does")
    try:
        return msgspec.convert(request.GET.dict(), form, strict=False)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise Malformed(f"{place.rstrip('`')}: {message}" if place else message) from error


def answer(found: Endpoint, request: HttpRequest, arguments: dict[str, str]) -> HttpResponse:
    """Authenticates, reads, runs, writes."""
    call = Call(authenticate(request, found.scope), request)
    if any("\0" in value for value in arguments.values()):
        raise missing("This")
    given: dict[str, Any] = dict(arguments)
    if found.query:
        given["query"] = read_query(request, found.query)
    elif request.GET:
        raise Malformed(f"{next(iter(request.GET))}: this address takes no query")
    if found.body:
        given["body"] = read(request.body or b"{}", found.body)
    result = found.run(call, **given)
    content = b"" if found.status == 204 else encode(result)
    return HttpResponse(content, "application/json", found.status, headers=call.headers)


def refuse(error: Failure) -> HttpResponse:
    body = {"detail": error.detail} | ({"code": error.code} if error.code else {})
    return HttpResponse(encode(body), "application/json", error.status, headers=error.headers)


def view(endpoints: dict[str, Endpoint]) -> Callable[..., HttpResponse]:
    """The Django view of one address: no session, no cookie, hence no forgery to protect from."""

    @csrf_exempt
    @login_not_required
    def dispatch(request: HttpRequest, **arguments: str) -> HttpResponse:
        found = endpoints.get("GET" if request.method == "HEAD" else request.method or "")
        try:
            if found is None:
                allowed = ", ".join(sorted(endpoints))
                raise Failure(405, f"Use {allowed}", Allow=allowed)
            response = answer(found, request, arguments)
        except Exception as error:
            known = failure(error)
            if known is None:
                log.exception("api.failed", path=request.path)
            response = refuse(known or BROKEN)
        response["Cache-Control"] = "no-store"
        return response

    return dispatch


@csrf_exempt
@login_not_required
def nothing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """What is at no address of /api."""
    return refuse(Failure(404, "Not found: /api/docs lists what there is"))


def addresses() -> list[URLPattern]:
    """One URL for each path."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for each in ENDPOINTS:
        paths.setdefault(each.path, {})[each.method] = each
    return [path(re.sub(r"{(\w+)}", r"<str:\1>", where), view(methods)) for where, methods in paths.items()]
