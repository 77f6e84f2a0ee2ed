"""What an agent hears of a conversation, and what it may say: its own, unverified, and never a vote."""

import threading
import time

import httpx
import pytest

from agents.models import Agent
from approvals import comments, thread
from approvals.models import Approval, Comment
from approvals.services import review
from audit.models import Event
from notifications.models import Announcement
from tests.gateway.conftest import World, make_key, tiers

pytestmark = pytest.mark.django_db(transaction=True)


def ask(world: World, approval_id: str, text: str = "Which order?", *, question: bool = True) -> Comment:
    return comments.comment(
        approval_id=world.approval(approval_id).id,
        by=world.approver,
        organization=world.acme,
        text=text,
        question=question,
        via="browser",
    )


def send_back(world: World, approval_id: str, reason: str) -> None:
    approval = world.approval(approval_id)
    review(
        approval_id=approval.id,
        by=world.approver,
        organization=world.acme,
        verdict="deny",
        reason=reason,
        digest=approval.digest,
        via="browser",
        changes=True,
    )


def test_an_agent_answers_what_it_is_asked(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    assert "comments" not in world.get(path).json()
    ask(world, asked["approval_id"])
    [question] = world.get(path).json()["comments"]
    assert (question["kind"], question["text"], question["by"]) == ("question", "Which order?", world.approver.email)
    sent = {"text": "Order 1042.", "attachment": {"name": "order.json", "text": '{"id": 1042}'}}
    answer = world.post(f"{path}/comments", sent)
    assert answer.status_code == 200
    assert answer.json().items() >= {"kind": "answer", "by": "support-bot", **sent}.items()
    assert world.get(path).json()["comments"] == [question, answer.json()]
    event = Event.objects.get(kind="agent:comment:answer", target=asked["approval_id"])
    assert event.data["text"] == "Order 1042."
    assert event.data["evidence"]["bytes"] == 12
    assert Announcement.objects.get(event="comment.answered").target == answer.json()["id"]


def test_an_agent_does_not_see_what_people_say_to_each_other(world: World) -> None:
    asked = world.pending()
    ask(world, asked["approval_id"], "This looks like an injected prompt.", question=False)
    assert "injected" not in world.get(f"/sdk/approvals/{asked['approval_id']}").text


def test_a_question_ends_the_wait_of_who_waits_for_one(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    timer = threading.Timer(0.5, ask, [world, asked["approval_id"]])
    timer.start()
    began = time.monotonic()
    answer = world.get(f"{path}?wait=20s&comments=0").json()
    timer.join()
    assert (answer["status"], len(answer["comments"])) == ("pending", 1)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    assert world.get(f"{path}?wait=1s&comments=1").json()["status"] == "pending"
    assert world.get(f"{path}?wait=1s").json()["status"] == "pending"  # as older clients wait
    assert time.monotonic() - began > 1.8
    assert world.get(f"{path}?wait=1s&comments=many").status_code == 422


def test_events_tell_a_question_under_the_name_that_older_clients_know(world: World) -> None:
    asked = world.pending()
    path = f"{world.server.url}/sdk/approvals/{asked['approval_id']}/events"
    seen = []
    with httpx.stream("GET", path, headers={"X-API-Key": world.key}, timeout=20) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
                if len(seen) == 1:
                    ask(world, asked["approval_id"])
                elif len(seen) == 2:
                    world.decide(asked["approval_id"])
    assert seen == ["pending", "pending", "approved"]


def test_a_comment_is_no_vote_and_nobody_elses(world: World) -> None:
    other = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tiers(other)
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}/comments"
    assert world.post(path, {"text": "Me too"}, make_key(world.acme, agent=other)).status_code == 404
    assert world.post(path, {"text": "Me too"}, world.test_key).status_code == 404
    staging = make_key(world.acme, agent=world.bot, environment="staging")
    assert world.post(path, {"text": "Me too"}, staging).status_code == 404
    assert world.post(path, {"text": "Approved by the CFO"}).status_code == 200
    assert Approval.objects.get().state == "pending"
    assert [said.author for said in Comment.objects.all()] == ["support-bot"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "   "},
        {"text": "x" * 4_001},
        {"text": "a\0b"},
        {"text": "a", "attachment": {"name": "a", "text": ""}},
        {"text": "a", "attachment": {"name": "a", "text": "ü" * 40_000}},
        {"text": "a", "attachment": {"name": "a\n", "text": "a"}},
    ],
)
def test_a_comment_that_will_not_do_is_refused(world: World, body: object) -> None:
    asked = world.pending()
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/comments", body).status_code == 422
    assert not Comment.objects.exists()


def test_an_agent_cannot_talk_without_end(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}/comments"
    for number in range(thread.AT_MOST):
        assert world.post(path, {"text": str(number)}).status_code == 200
    refused = world.post(path, {"text": "and another thing"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_comments")
    assert Approval.objects.get().told == thread.AT_MOST


def test_one_idempotency_key_says_one_thing_once(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}/comments"
    first = world.post(path, {"text": "Order 1042."}, Idempotency_Key="k")
    assert world.post(path, {"text": "Order 1042."}, Idempotency_Key="k").json() == first.json()
    assert world.post(path, {"text": "Order 1043."}, Idempotency_Key="k").status_code == 422
    assert Comment.objects.count() == 1


def test_nothing_is_said_once_it_has_ended(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/comments", {"text": "Thanks"})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")


def test_asking_for_changes_is_a_denial_to_old_clients_and_says_more_to_new_ones(world: World) -> None:
    context = {"amount": 500, "order": "1042"}
    asked = world.check("stripe.refund", context)
    send_back(world, asked["approval_id"], "At most 300.")
    decision = world.get(f"/sdk/approvals/{asked['approval_id']}").json()
    assert decision["status"] == decision["decision"]["status"] == "denied"
    assert decision["decision"]["code"] == "changes_requested"
    again = world.check("stripe.refund", context)
    assert (again["allowed"], again["requires_approval"], again["status"]) == (False, False, "denied")
    assert (again["code"], again["approval_id"]) == ("changes_requested", asked["approval_id"])
    assert again["reason"] == f"{world.approver.email} asks for changes: At most 300."


def test_what_is_asked_after_a_request_was_sent_back_follows_it_once(world: World) -> None:
    first = world.pending()
    elsewhere = world.check("deploy.production", {"ref": "v2"})
    send_back(world, first["approval_id"], "At most 300.")
    test = world.check("stripe.refund", {"amount": 290}, key=world.test_key)
    other = world.check("deploy.production", {"ref": "v3"})
    second, third = world.pending(300), world.pending(301)
    found = {each["approval_id"]: world.approval(each["approval_id"]) for each in (elsewhere, test, other, third)}
    assert [each.follows for each in found.values()] == [None] * 4
    assert world.approval(second["approval_id"]).follows == world.approval(first["approval_id"])
