"""The page of one request: its order, its decision, its refusals, and whatever an agent wrote in it."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from approvals import services
from approvals.models import Approval, Review
from audit.clock import database_now
from audit.leaf import Actor, Entry
from audit.record import record_all
from tests import factories
from tests.approvals.conftest import Acme
from tests.hostile import TEXTS, problems

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
HTMX = {"HX-Request": "true"}


def page(client: Client, approval: Approval, **headers: str) -> str:
    answer = client.get(f"/approvals/{approval.approval_id}", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def decide(client: Client, approval: Approval, verdict: str = "approve", **sent: Any) -> Any:
    headers = sent.pop("headers", {})
    form = {"digest": approval.digest, "reason": "Because."} | sent
    return client.post(f"/approvals/{approval.approval_id}/{verdict}", form, headers=headers)


def test_everything_to_decide_by_is_there_in_order(acme: Acme, enter: Enter) -> None:
    for state in ("approved", "approved", "denied"):
        at = database_now() - timedelta(minutes=4)
        ended: dict[str, Any] = {"state": state, "decided_at": at + timedelta(minutes=4)}
        claim: dict[str, Any] = {"claim_until": at + timedelta(hours=1)} if state == "approved" else {}
        factories.an_approval(agent=acme.bot, now=at, **ended, **claim)
    waiting = factories.an_approval(
        agent=acme.bot, amount="500", context={"customer_id": "cus_1"}, risk="high", reasoning="Charged twice."
    )
    shown = page(enter(acme.approver), waiting)
    order = [
        "wants to",
        "$500.00",
        "Unverified: written by the agent",
        "Charged twice.",
        "Exactly what it asks",
        "&quot;customer_id&quot;",
        waiting.digest,
        "Why it waits for a person",
        "up to <b>",
        "An owner, admin or approver decides. One approval is enough",
        "What similar requests came to",
        "last 3 requests",
        "4 min",
        "Reviews",
        "Nobody has decided yet",
        "What happened",
        'data-decide="approve"',
        'data-decide="deny"',
    ]
    places = [shown.replace('"customer_id"', "&quot;customer_id&quot;").find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_the_same_address_is_a_page_or_a_fragment(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    whole, part = page(client, waiting), page(client, waiting, **HTMX)
    assert "<html" in whole
    assert "<html" not in part
    assert part.strip().startswith("<article")
    answer = client.get(f"/approvals/{waiting.approval_id}")
    assert "HX-Request" in answer["Vary"]
    assert "no-store" in answer["Cache-Control"]


def test_what_belongs_to_others_is_not_found(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    test = factories.an_approval(agent=acme.bot, mode="test")
    address = f"/approvals/{waiting.approval_id}"
    client = enter(acme.stranger)
    assert client.get(address).status_code == 404
    assert client.get(f"{address}/approve").status_code == 404
    assert client.get(f"{address}/context.json").status_code == 404
    assert decide(client, waiting).status_code == 404
    client = enter(acme.approver)
    assert client.get(f"/approvals/{test.approval_id}").status_code == 404
    assert decide(client, test).status_code == 404
    client = enter(acme.approver, "test")
    assert client.get(address).status_code == 404
    assert decide(client, waiting).status_code == 404
    assert not Review.objects.exists()
    for wrong in ("apr_", "apr_" + "Z" * 26, "x", "apr_01J", "%00"):
        assert client.get(f"/approvals/{wrong}").status_code == 404


def test_a_person_approves_in_two_steps_without_a_script(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500")
    client = enter(acme.approver)
    opened = client.get(f"/approvals/{waiting.approval_id}/approve", {"digest": waiting.digest})
    form = opened.content.decode()
    assert f'name="digest" value="{waiting.digest}"' in form
    assert f'action="/approvals/{waiting.approval_id}/approve"' in form
    waiting.refresh_from_db()
    assert waiting.state == "pending"  # nothing is decided by opening anything
    answer = client.post(
        f"/approvals/{waiting.approval_id}/approve", {"digest": waiting.digest, "reason": "Checked."}, follow=True
    )
    assert answer.redirect_chain == [(f"/approvals/{waiting.approval_id}", 302)]
    shown = answer.content.decode()
    assert "Approved. The agent may go on." in shown
    assert "Checked." in shown
    assert "data-decide" not in shown


def test_nothing_to_press_is_focused_before_the_person_opens_the_form(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    shown = page(enter(acme.approver), waiting)
    assert "autofocus" not in shown
    opened = enter(acme.approver).get(f"/approvals/{waiting.approval_id}/deny").content.decode()
    assert re.findall(r"<(\w+)[^>]*autofocus", opened) == ["textarea"]


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("owner", "You own this agent"),
        ("viewer", "your role is viewer"),
        ("auditor", "your role is auditor"),
    ],
)
def test_who_may_not_decide_reads_why_and_is_refused(acme: Acme, enter: Enter, who: str, words: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(getattr(acme, who))
    shown = page(client, waiting)
    assert words in shown
    assert shown.count("disabled") >= 2
    assert "data-decide" not in shown
    assert 'name="digest"' not in client.get(f"/approvals/{waiting.approval_id}/approve").content.decode()
    for verdict in ("approve", "deny"):
        answer = decide(client, waiting, verdict)
        assert answer.status_code == 403
        assert words in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_decision_without_the_token_of_the_page_is_refused(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = Client(enforce_csrf_checks=True)
    client.force_login(acme.approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert decide(client, waiting).status_code == 403
    assert not Review.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_who_came_second_is_told_and_keeps_what_was_typed(acme: Acme, enter: Enter, headers: dict[str, str]) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    say(waiting, acme.colleague, "approve")
    answer = decide(enter(acme.approver), waiting, "deny", reason="Typed for <nothing>?", headers=headers)
    assert answer.status_code == 409
    shown = answer.content.decode()
    assert f"already approved by {acme.colleague.email}" in shown
    assert "Typed for &lt;nothing&gt;?</textarea>" in shown
    assert Review.objects.count() == 1


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_was_not_shown_is_not_decided_and_the_answer_shows_it(
    acme: Acme, enter: Enter, headers: dict[str, str]
) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    answer = decide(enter(acme.approver), waiting, digest="0" * 64, reason="Typed.", headers=headers)
    assert answer.status_code == 409
    shown = answer.content.decode()
    assert "not the request you were shown" in shown
    assert "Typed.</textarea>" in shown
    assert f'name="digest" value="{waiting.digest}"' in shown
    opened = enter(acme.approver).get(f"/approvals/{waiting.approval_id}/approve", {"digest": "0" * 64})
    assert opened.status_code == 409
    assert 'name="reason"' not in opened.content.decode()
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_deadline_that_passed_while_typing_is_told(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot, minutes=-0.01)
    client = enter(acme.approver)
    assert "Expired" in page(client, waiting)  # before any sweep
    answer = decide(client, waiting, reason="Too late.")
    assert answer.status_code == 409
    assert "expired at" in answer.content.decode()
    assert "Too late.</textarea>" in answer.content.decode()


def test_a_missing_reason_is_asked_for_with_the_form_as_it_was(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    answer = decide(enter(acme.approver), waiting, "deny", reason=" ")
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "Say why you deny this" in shown
    assert 'aria-invalid="true"' in shown
    assert f'action="/approvals/{waiting.approval_id}/deny"' in shown


def test_a_refusal_in_a_fragment_can_be_swapped_in(acme: Acme, enter: Enter) -> None:
    """base.html swaps no 403: the person would see nothing, and lose what they typed."""
    waiting = factories.an_approval(agent=acme.bot)
    answer = decide(enter(acme.owner), waiting, reason="Mine.", headers=HTMX)
    assert answer.status_code == 409
    assert "Mine.</textarea>" in answer.content.decode()


def test_a_double_click_shows_the_same_result_twice(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    for _ in range(2):
        answer = decide(client, waiting, headers=HTMX)
        assert answer.status_code == 200
        assert "Approved. The agent may go on." in answer.content.decode()
    assert Review.objects.count() == 1


def test_in_the_inbox_the_row_changes_with_the_decision_and_the_next_is_offered(acme: Acme, enter: Enter) -> None:
    first = factories.an_approval(agent=acme.bot, minutes=10)
    second = factories.an_approval(agent=acme.bot, minutes=20)
    headers = HTMX | {"HX-Current-URL": "http://testserver/inbox/?view=mine"}
    shown = decide(enter(acme.approver), first, headers=headers).content.decode()
    assert f'id="row-{first.approval_id}" hx-swap-oob="true"' in shown
    assert f'href="/approvals/{second.approval_id}"' in shown
    assert "Next request" in shown
    shown = decide(enter(acme.approver), second, headers=headers).content.decode()
    assert "Nothing else waits for you" in shown


def test_one_of_two_needed_is_recorded_and_said(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
    client = enter(acme.approver)
    answer = decide(client, waiting, headers=HTMX).content.decode()
    assert "Your approval is recorded" in answer
    shown = page(client, waiting)
    assert "1 of 2 approvals" in shown
    assert "You have decided already" in shown
    say(waiting, acme.colleague, "approve")
    assert "Approved" in page(client, waiting)


def test_a_vote_that_no_longer_counts_is_marked(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
    say(waiting, acme.colleague, "approve")
    acme.organization.memberships.filter(user=acme.colleague).delete()
    shown = page(enter(acme.approver), waiting)
    assert "does not count any more" in shown
    assert "0 of 2 approvals" in shown


def test_what_became_of_it_is_shown(acme: Acme, enter: Enter) -> None:
    now = database_now()
    given: dict[str, Any] = {
        "state": "approved",
        "decided_at": now,
        "decided_by": acme.approver,
        "decided_by_label": "ann@example.com",
    }
    client = enter(acme.viewer)
    taken = factories.an_approval(
        agent=acme.bot, claim_until=now, claimed_at=now, outcome="failed", outcome_at=now, **given
    )
    actor = Actor("agent", "key", "support-bot")
    logged = Entry(
        kind="agent:action:log",
        organization_id=acme.organization.id,
        mode="live",
        actor=actor,
        agent="support-bot",
        action=taken.action,
        target=taken.approval_id,
        result="failed",
        data={"context": {"error": "card_declined \u202e"}},
    )
    record_all([logged], at=now)
    shown = page(client, taken)
    for words in ("Claimed", "once and for all", "failed", "card_declined", "⟨U+202E⟩"):
        assert words in shown
    lapsed = factories.an_approval(agent=acme.bot, claim_until=now, lapsed_at=now, **given)
    assert "never, and too late" in page(client, lapsed)
    open_one = factories.an_approval(agent=acme.bot, claim_until=now + timedelta(hours=1), **given)
    assert "not yet; it has until" in page(client, open_one)
    cancelled = factories.an_approval(agent=acme.bot, state="cancelled", decided_at=now, reason="The agent gave up")
    assert "The agent gave up" in page(client, cancelled)


def test_every_byte_of_the_context_can_be_had(acme: Acme, enter: Enter) -> None:
    context = {"n\x00ul": ["\u202e", 1.5, None, True, {"deep": [[[]]]}], "long": "x" * 50_000, "é": "\u200b"}
    waiting = factories.an_approval(agent=acme.bot, context=context)
    client = enter(acme.viewer)
    answer = client.get(f"/approvals/{waiting.approval_id}/context.json")
    assert answer.content.decode() == waiting.context
    assert json.loads(answer.content) == context
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"].startswith("attachment")
    shown = page(client, waiting)
    assert "x" * 50_000 in shown
    for drawn in ("⟨U+0000⟩", "⟨U+202E⟩", "⟨U+200B⟩"):
        assert drawn in shown


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_whatever_an_agent_writes_is_shown_harmless_everywhere(acme: Acme, enter: Enter, number: int) -> None:
    text = TEXTS[number]
    plain = text.replace("\x00", "")  # columns hold no NUL; the context does, escaped
    waiting = factories.an_approval(
        agent=acme.bot,
        amount="1",
        currency="<b>",
        context={"customer_id": text, text: text, "list": [text, {text: [text]}]},
        reasoning=plain,
        callee=plain[:2_000],
        environment=plain[:32],
    )
    ended: dict[str, Any] = {"state": "denied", "decided_at": database_now(), "reason": plain}
    factories.an_approval(agent=acme.bot, decided_by_label=plain[:200], **ended)
    client = enter(acme.approver)
    addresses = [
        "/inbox/",
        "/inbox/?view=all",
        "/inbox/?view=decided&facets=1",
        f"/inbox/?open={waiting.approval_id}",
        f"/approvals/{waiting.approval_id}",
        f"/approvals/{waiting.approval_id}/deny",
    ]
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200
        assert problems(answer.content.decode()) == [], address
    said = plain if plain.strip() and len(plain) <= 2_000 else "No."
    assert decide(client, waiting, "deny", reason=said).status_code == 302
    assert problems(page(client, waiting)) == []


@pytest.mark.parametrize("text", [text for text in TEXTS if len(text) < 200])
def test_what_a_person_types_into_the_search_or_a_reason_is_harmless_too(acme: Acme, enter: Enter, text: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    for query in ({"q": text}, {"agent": text}, {"action": text, "facets": "1"}):
        shown = client.get("/inbox/", query).content.decode()
        assert [problem for problem in problems(shown) if not problem.startswith("U+")] == []
    answer = decide(client, waiting, digest="0" * 64, reason=text)
    assert [problem for problem in problems(answer.content.decode()) if not problem.startswith("U+")] == []


def say(approval: Approval, by: User, verdict: Any) -> None:
    services.review(
        approval_id=approval.id,
        by=by,
        organization=approval.organization,
        verdict=verdict,
        reason="Because.",
        digest=approval.digest,
        via="browser",
    )
