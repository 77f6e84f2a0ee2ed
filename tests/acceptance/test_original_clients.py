"""The clients 0.1.1 and 0.1.2 as they are on PyPI, with only `base_url` changed; and our own, woken by a person."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentwarden import AgentWarden

from accounts.secrets import new_secret
from approvals.models import Approval
from audit.models import Event
from tests.acceptance.original import Original, Raised, install
from tests.acceptance.person import Browser
from tests.gateway.conftest import World, make_key

pytestmark = pytest.mark.django_db(transaction=True)
BOT, REFUND = "support-bot", "stripe.refund"


@pytest.fixture(scope="session", params=["0.1.1", "0.1.2"])
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one release in it."""
    folder = tmp_path_factory.mktemp(f"agentwarden-{request.param}-")
    install(request.param, folder)
    return folder


@pytest.fixture
def guard(release: Path, world: World) -> Iterator[Original]:
    """The client, with a key that may speak for every agent of the organization."""
    with Original(release, world.server.url, make_key(world.acme)) as client:
        yield client


def statuses() -> list[str]:
    return list(Event.objects.filter(kind="agent:action:log").order_by("id").values_list("result", flat=True))


def test_a_small_and_a_medium_refund_are_allowed(guard: Original) -> None:
    for amount in (25, 49.99, 50, 150, 200):
        result = guard.check(BOT, REFUND, {"amount": amount, "customer_id": "cus_1"})
        assert (result["allowed"], result["requires_approval"]) == (True, False)


def test_a_large_refund_waits_for_a_person_with_the_words_of_the_contract(guard: Original) -> None:
    result = guard.check(BOT, REFUND, {"amount": 500})
    assert result == {"allowed": False, "requires_approval": True, "reason": "This action requires human approval"}


def test_a_refund_above_every_maximum_is_denied_with_the_amounts(guard: Original) -> None:
    result = guard.check(BOT, REFUND, {"amount": 1500})
    assert (result["allowed"], result["requires_approval"]) == (False, False)
    assert result["reason"] == "Amount 1500.00 exceeds maximum allowed 1000.00"
    result = guard.check(BOT, "stripe.refund.small", {"amount": 150})
    assert result["reason"] == "Amount 150.00 exceeds maximum allowed 50.00"


def test_an_unknown_action_is_denied(guard: Original) -> None:
    result = guard.check(BOT, "x.y")
    assert result == {"allowed": False, "requires_approval": False, "reason": "No permission for action 'x.y'"}


def test_an_unknown_agent_is_not_found(guard: Original) -> None:
    with pytest.raises(Raised) as caught:
        guard.check("nobody", REFUND, {"amount": 25})
    assert caught.value.name == "AgentNotFoundError"
    assert caught.value.about["agent_id"] == "nobody"


def test_a_bad_key_is_an_authentication_error(release: Path, world: World) -> None:
    for key in ("nonsense", new_secret("ak_")):
        with Original(release, world.server.url, key) as guard:
            with pytest.raises(Raised) as checked:
                guard.check(BOT, REFUND, {"amount": 25})
            with pytest.raises(Raised) as logged:
                guard.log(BOT, REFUND, "success")
        assert (checked.value.name, logged.value.name) == ("AuthenticationError", "AuthenticationError")
    assert not Event.objects.exists()


def test_log_answers_what_was_logged(guard: Original, world: World) -> None:
    result = guard.log(BOT, REFUND, "success", {"amount": 25, "note": "für Zoë"})
    assert result["id"].startswith("log_")
    assert result["organization_id"] == str(world.acme.id)
    assert (result["agent_id"], result["action"], result["status"]) == (BOT, REFUND, "success")
    assert result["context"] == {"amount": 25, "note": "für Zoë"}
    assert statuses() == ["success"]


def test_execute_acts_and_logs_what_came_of_it(guard: Original) -> None:
    assert guard.execute(BOT, REFUND, "succeed", {"amount": 25}) == "acted"
    with pytest.raises(Raised) as caught:
        guard.execute(BOT, REFUND, "fail", {"amount": 25})
    assert caught.value.name == "RuntimeError"
    words = {"0.1.1": ["allowed", "error"], "0.1.2": ["success", "failed"]}
    assert statuses() == words[guard.version]


def test_execute_does_not_act_without_an_allow(guard: Original) -> None:
    with pytest.raises(Raised) as denied:
        guard.execute(BOT, "x.y", "succeed")
    assert denied.value.name == "PermissionDeniedError"
    assert denied.value.about["reason"] == "No permission for action 'x.y'"
    with pytest.raises(Raised) as waits:
        guard.execute(BOT, REFUND, "succeed", {"amount": 500})
    # 0.1.1 has no class for it: it looks at `allowed` first.
    errors = {"0.1.1": ("PermissionDeniedError", "blocked"), "0.1.2": ("ApprovalRequiredError", "pending_approval")}
    name, status = errors[guard.version]
    assert waits.value.name == name
    assert "requires human approval" in str(waits.value)
    assert statuses() == ["blocked", status]


def test_after_a_person_approves_in_the_browser_the_identical_check_is_allowed_once(
    guard: Original, world: World, browser: Browser
) -> None:
    context = {"amount": 500, "customer_id": "cus_1"}
    assert guard.check(BOT, REFUND, context)["requires_approval"] is True
    assert guard.check(BOT, REFUND, context)["requires_approval"] is True
    approval = Approval.objects.get()
    browser.approve(world.approver, f"{world.server.url}/approvals/{approval.approval_id}", "known customer")
    assert guard.check(BOT, REFUND, context | {"amount": 501})["allowed"] is False
    taken = guard.check(BOT, REFUND, context)
    assert (taken["allowed"], taken["requires_approval"]) == (True, False)
    assert taken["reason"] == f"Approved by {world.approver.email}: known customer"
    for _ in range(3):
        again = guard.check(BOT, REFUND, context)
        assert (again["allowed"], again["requires_approval"]) == (False, True)
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1
    approval.refresh_from_db()
    assert (approval.state, approval.decided_by) == ("approved", world.approver)
    assert approval.claimed_at is not None


def test_our_client_waits_is_woken_by_the_person_and_acts_once(world: World, browser: Browser) -> None:
    acted: list[dict[str, Any]] = []
    results: list[Any] = []

    def refund(context: dict[str, Any]) -> str:
        acted.append(context)
        return "refunded"

    def agent() -> None:
        with AgentWarden(world.key, world.server.url, timeout=60) as warden:
            results.append(warden.execute(BOT, REFUND, refund, {"amount": 500}, wait=True, wait_timeout=120))

    waiting = threading.Thread(target=agent)
    waiting.start()
    deadline = time.monotonic() + 30
    while not Approval.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    approval = Approval.objects.get()
    browser.approve(world.approver, f"{world.server.url}/approvals/{approval.approval_id}")
    waiting.join(60)
    assert results == ["refunded"]
    assert acted == [{"amount": 500}]
    approval.refresh_from_db()
    assert (approval.state, approval.outcome) == ("approved", "success")
    assert approval.claimed_at is not None
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1
