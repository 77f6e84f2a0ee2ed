"""Whatever is sent to the agents' door, it is answered, never with a 500, and never with an allow nobody granted."""

import json
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Agent, Permission
from approvals.models import Approval
from audit.models import Event
from tests.gateway.conftest import World, make_key

pytestmark = pytest.mark.django_db(transaction=True)
IDLE = "idle-bot"  # may do nothing without a person
lots = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

names = st.sampled_from(["stripe.refund", "stripe.refund.large", "email.send", "deploy.now", "email.*"]) | st.text()
numbers = st.integers() | st.floats() | st.sampled_from([0.1, 1e22, 1e-7, 2**53, 2**63, -0.0, 5e-324])
exact = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)


def json_of(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves | st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )


def contexts(of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = ["amount", "currency", "environment", "agent_id", "allowed", "__class__"]
    return st.dictionaries(st.sampled_from(known) | st.text(), of, max_size=6)


values = json_of(numbers)
right = st.fixed_dictionaries(
    {"agent_id": st.just(IDLE), "action": names, "status": st.sampled_from(["success", "failed", "denied"])},
    optional={
        "context": contexts(json_of(exact)) | st.none(),
        "reasoning": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        "idempotency_key": st.text(string.ascii_letters, min_size=1, max_size=2),
        "expires_in": st.integers(1, 100),
        "ip_address": st.just("::1"),
        "allowed": st.booleans(),
    },
)
fields = ["agent_id", "action", "status", "context", "reasoning", "idempotency_key", "expires_in", "approval_id"]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies that are right, wrong in one field, or broken in the middle; JSON of any kind; bytes of any kind."""
    kind = draw(st.sampled_from(["right", "right", "right", "wrong", "wrong", "broken", "json", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    value: Any = draw(values if kind == "json" else right)
    if kind == "wrong":
        value |= {draw(st.sampled_from(fields)): draw(values | contexts(values))}
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    body = text.encode("utf-8" if kind != "json" else draw(st.sampled_from(["utf-8", "utf-16"])), "surrogatepass")
    if kind == "broken":
        place = draw(st.integers(0, len(body) - 1))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 3)) :]
    return body


headers = st.dictionaries(
    st.sampled_from([b"Idempotency-Key", b"X-Request-ID", b"Content-Type", b"Accept-Encoding", b"X-Forwarded-For"]),
    st.text(string.printable.strip() + "éß\xa0", max_size=20).map(lambda text: text.strip().encode("latin-1")),
)


@pytest.fixture
def idle(world: World) -> Iterator[httpx.Client]:
    """A client whose key may speak for every agent, in a world where the idle one has no allow at all."""
    bot = Agent.objects.create(organization=world.acme, slug=IDLE, name="Idle", owner_user=world.owner)
    Permission.objects.create(agent=bot, action="stripe.refund.large", effect="ask", max_amount=1000)
    Permission.objects.create(agent=bot, action="deploy.*", effect="ask")
    Permission.objects.create(agent=bot, action="email.send", effect="deny")
    Agent.objects.exclude(id=bot.id).update(status="suspended")
    with httpx.Client(base_url=world.server.url, headers={"X-API-Key": make_key(world.acme)}, timeout=60) as client:
        yield client


def sane(response: httpx.Response) -> dict[str, Any]:
    """The answer, which is one that the contract knows, and no allow."""
    assert response.status_code in (200, 401, 403, 404, 405, 409, 413, 422), (response.status_code, response.text)
    answer: dict[str, Any] = response.json()
    assert answer.get("allowed") is not True
    assert b'"allowed":true' not in response.content.replace(b" ", b"")
    assert response.status_code == 200 or isinstance(answer["detail"], str)
    assert response.headers["X-Request-ID"]
    return answer


def test_any_body_to_check_and_log_is_answered_and_allows_nothing(idle: httpx.Client) -> None:
    @lots
    @given(path=st.sampled_from(["/sdk/check", "/sdk/check", "/sdk/log"]), body=bodies(), more=headers)
    def send(path: str, body: bytes, more: dict[bytes, bytes]) -> None:
        answer = sane(idle.post(path, content=body, headers=more))
        if "audit" in answer:  # what was answered as a decision is in the record
            assert Event.objects.filter(body__contains=answer["audit"]["event_id"]).exists()

    send()
    assert not Event.objects.filter(result="allow").exists()


def test_any_path_and_any_verb_under_approvals_is_answered(idle: httpx.Client, world: World) -> None:
    waiting = idle.post("/sdk/check", json={"agent_id": IDLE, "action": "deploy.now"}).json()["approval_id"]
    ids = st.sampled_from([waiting, waiting.lower(), waiting[:-1] + "U", "apr_", "apr_" + "Z" * 26]) | st.text()
    tails = st.sampled_from(["", "/claim", "/cancel?x=1", "/claim/", "/events/", "//claim"]) | st.text().map(quote)
    verbs = st.sampled_from(["GET", "GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"])
    waits = st.text(alphabet=st.characters(exclude_categories=["Nd", "Cs"])) | st.sampled_from(["-1", "1e9", "٣", "0s"])

    @lots
    @given(verb=verbs, asked=ids, tail=tails, wait=waits, body=bodies(), more=headers)
    def send(verb: str, asked: str, tail: str, wait: str, body: bytes, more: dict[bytes, bytes]) -> None:
        if asked.upper() == waiting.upper() and (verb, tail) == ("POST", "/cancel?x=1"):
            return
        path = f"/sdk/approvals/{quote(asked, safe='', errors='replace')}{tail}"
        if {".", ".."} & set(path.split("/")):
            return  # the client folds dots before it sends: another path
        parameters = {"wait": wait} if verb == "GET" else None
        response = idle.request(verb, path, content=body, headers=more, params=parameters)
        if verb == "HEAD":
            assert response.status_code in (404, 405)
        else:
            sane(response)

    send()
    approval = Approval.objects.get()
    assert (approval.state, approval.claimed_at) == ("pending", None)


def test_any_key_opens_nothing(world: World) -> None:
    body = {"agent_id": "support-bot", "action": "email.send"}
    letters = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=60)
    changed = st.tuples(st.integers(0, 39), st.sampled_from(string.ascii_letters + string.digits)).map(
        lambda change: world.key[: change[0]] + change[1] + world.key[change[0] + 1 :]
    )

    @lots
    @given(secret=(letters | changed).filter(lambda secret: secret != world.key), bearer=st.booleans())
    def send(secret: str, bearer: bool) -> None:
        header = {"Authorization": f"Bearer {secret}"} if bearer else {"X-API-Key": secret}
        response = world.client.post("/sdk/check", json=body, headers=header)
        assert (response.status_code, response.json()) == (401, {"detail": "Invalid API key"})

    send()
    assert not Event.objects.exists()
