"""What people say about a request: who may, who hears of it, what the agent gets to see, and asking for changes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from approvals import comments, rules, services
from approvals.models import Approval, Comment
from audit.models import Event
from notifications.fanning import fan_out
from notifications.models import Announcement, Delivery
from tests import factories
from tests.approvals.conftest import Acme
from tests.hostile import TEXTS, problems

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
HTMX = {"HX-Request": "true"}


def say(waiting: Approval, by: User, text: str = "Look at the ticket.", **more: Any) -> Comment:
    return comments.comment(
        approval_id=waiting.id, by=by, organization=waiting.organization, text=text, via="browser", **more
    )


def send_back(waiting: Approval, by: User, reason: str = "At most $100.", **more: Any) -> Approval:
    given = {"verdict": "deny", "changes": True, "digest": waiting.digest} | more
    return services.review(
        approval_id=waiting.id, by=by, organization=waiting.organization, reason=reason, via="browser", **given
    )


@pytest.mark.parametrize("who", ["owner", "admin", "approver", "colleague"])
def test_whoever_decides_for_the_organization_may_comment_the_agents_owner_too(acme: Acme, who: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    said = say(waiting, getattr(acme, who))
    assert (said.kind, said.author) == ("comment", getattr(acme, who).email)
    event = Event.objects.get(kind="person:comment:comment", target=waiting.approval_id)
    assert event.data["text"] == "Look at the ticket."
    assert event.actor == said.author


@pytest.mark.parametrize("who", ["auditor", "viewer", "stranger"])
def test_who_changes_nothing_says_nothing_either(acme: Acme, who: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    with pytest.raises(rules.Refused):
        say(waiting, getattr(acme, who))
    assert not Comment.objects.exists()


def test_nobody_comments_across_the_border_of_an_organization(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    with pytest.raises(Approval.DoesNotExist):
        comments.comment(
            approval_id=waiting.id,
            by=acme.stranger,
            organization=acme.stranger.memberships.get().organization,
            text="Hello",
            via="browser",
        )
    said = say(waiting, acme.approver, evidence=comments.Evidence.of("a.txt", "secret"))
    client = enter(acme.stranger)
    assert client.post(f"/approvals/{waiting.approval_id}/comments", {"text": "Hello"}).status_code == 404
    assert client.get(f"/approvals/{waiting.approval_id}/comments/{said.comment_id}.txt").status_code == 404


def test_a_comment_changes_nothing_that_is_decided(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    say(waiting, acme.approver, question=True)
    services.review(
        approval_id=waiting.id,
        by=acme.approver,
        organization=acme.organization,
        verdict="approve",
        reason="",
        digest=waiting.digest,
        via="browser",
    )
    waiting.refresh_from_db()
    assert (waiting.state, waiting.told) == ("approved", 1)


def test_who_is_mentioned_is_told_and_nobody_else(acme: Acme, django_capture_on_commit_callbacks: Any) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    text = f"@{acme.colleague.email}, what do you think? @{acme.approver.email} @nobody a@b.example @stranger"
    said = say(waiting, acme.approver, text)
    assert said.mentions == [acme.colleague.id]
    announced = Announcement.objects.get(event="comment.mentioned")
    assert announced.target == said.comment_id
    fan_out()
    [mail] = Delivery.objects.filter(event="comment.mentioned")
    assert mail.address == acme.colleague.email
    assert acme.approver.email in mail.text
    assert waiting.approval_id in mail.text


def test_a_first_name_is_a_mention_where_only_one_is_called_that(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    ann = factories.a_member(acme.organization, "approver", "ann@acme.example")
    assert say(waiting, acme.approver, "Ask @ann.").mentions == [ann.id]
    factories.a_member(acme.organization, "viewer", "ann@other.example")
    assert say(waiting, acme.approver, "Ask @ann.").mentions == []
    assert say(waiting, acme.approver, "Ask @ann@acme.example.").mentions == [ann.id]


@pytest.mark.parametrize(("text", "code"), [("  ", "text_required"), ("x" * 4_001, "text_long"), ("a\0b", "text_nul")])
def test_a_comment_is_a_text_of_some_length(acme: Acme, text: str, code: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    with pytest.raises(rules.Incomplete) as refused:
        say(waiting, acme.approver, text)
    assert refused.value.code == code


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a\0b", b"x" * 65_537, b" \n "])
def test_evidence_is_text_and_not_too_long(content: bytes) -> None:
    with pytest.raises(rules.Incomplete):
        comments.Evidence.read("log.txt", content)


def test_comments_end_somewhere(acme: Acme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "AT_MOST", 2)
    waiting = factories.an_approval(agent=acme.bot)
    say(waiting, acme.approver)
    say(waiting, acme.approver)
    with pytest.raises(rules.Conflict):
        say(waiting, acme.approver)


def test_a_request_that_ended_is_discussed_but_its_agent_is_not_asked(acme: Acme) -> None:
    ended = send_back(factories.an_approval(agent=acme.bot), acme.approver)
    say(ended, acme.colleague, "Good.")
    with pytest.raises(rules.Conflict):
        say(ended, acme.colleague, "Why?", question=True)


def test_a_person_comments_without_a_script(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    file = SimpleUploadedFile("carrier.log", "lost <b>\u202e".encode())
    answer = enter(acme.approver).post(
        f"/approvals/{waiting.approval_id}/comments", {"text": "See the log.", "evidence": file}, follow=True
    )
    assert answer.redirect_chain == [(f"/approvals/{waiting.approval_id}#conversation", 302)]
    shown = answer.content.decode()
    assert "See the log." in shown
    assert "carrier.log" in shown
    assert "lost &lt;b&gt;" in shown
    assert "U+202E" in shown


def test_a_refusal_keeps_what_was_typed(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    file = SimpleUploadedFile("picture.png", b"\x89PNG\xff")
    address = f"/approvals/{waiting.approval_id}/comments"
    for headers in ({}, HTMX):
        file.seek(0)
        answer = enter(acme.approver).post(address, {"text": "Look here", "evidence": file}, headers=headers)
        assert answer.status_code == 422
        assert "Look here" in answer.content.decode()
        assert "text file in UTF-8" in answer.content.decode()
        assert ("<html" in answer.content.decode()) is not bool(headers)
    refused = enter(acme.viewer).post(address, {"text": "Look here"})
    assert refused.status_code == 403
    assert "your role" in refused.content.decode().lower()


def test_evidence_leaves_as_plain_text_and_nothing_else(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    text = "<script>alert(1)</script>\r\n"
    said = say(waiting, acme.approver, evidence=comments.Evidence.of('x.html"\r\n', text))
    client = enter(acme.viewer)
    answer = client.get(f"/approvals/{waiting.approval_id}/comments/{said.comment_id}.txt")
    assert answer.content.decode() == text
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="{said.comment_id}.txt"'
    other = factories.an_approval(agent=acme.bot)
    assert client.get(f"/approvals/{other.approval_id}/comments/{said.comment_id}.txt").status_code == 404
    plain = say(waiting, acme.approver)
    assert client.get(f"/approvals/{waiting.approval_id}/comments/{plain.comment_id}.txt").status_code == 404


@pytest.mark.parametrize("text", TEXTS)
def test_what_an_agent_answers_is_drawn_harmless_and_marked(acme: Acme, enter: Enter, text: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    text = text.replace("\0", "")  # which no text of ours can hold: the door refuses it
    Comment.objects.create(
        approval=waiting,
        key_id=waiting.key_id,
        author=acme.bot.slug,
        kind="answer",
        text=text,
        evidence=text,
        evidence_name="a.txt",
        created_at=waiting.created_at,
    )
    shown = enter(acme.approver).get(f"/approvals/{waiting.approval_id}").content.decode()
    part = shown.partition('id="conversation"')[2].partition("</section>")[0]
    assert "Unverified: written by the agent" in part
    assert problems(part) == []


def test_a_page_that_is_open_learns_of_a_comment(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.colleague)
    since = waiting.created_at.isoformat()
    address = f"/inbox/live?since={since}&only={waiting.approval_id}".replace("+", "%2B")
    assert client.get(address).json()["new"] == 0
    say(waiting, acme.approver)
    assert client.get(address).json()["new"] == 1


def test_asking_for_changes_denies_with_a_code_and_says_what(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    ended = send_back(waiting, acme.approver)
    assert (ended.state, ended.code, ended.reason) == ("denied", "changes_requested", "At most $100.")
    assert ended.reviews.get().changes
    assert Event.objects.get(kind="person:approval:denied").data["code"] == "changes_requested"
    assert Event.objects.get(kind="person:review:changes").result == "deny"


def test_asking_for_changes_takes_the_ladder_of_a_denial(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"denials": 2, "reason_to_deny": False})
    with pytest.raises(rules.Refused):
        send_back(waiting, acme.owner)
    with pytest.raises(rules.Incomplete):
        send_back(waiting, acme.approver, "  ")
    with pytest.raises(rules.Incomplete):
        send_back(waiting, acme.approver, verdict="approve")
    with pytest.raises(rules.Conflict):
        send_back(waiting, acme.approver, digest="0" * 64)
    assert send_back(waiting, acme.approver).state == "pending"
    assert send_back(waiting, acme.colleague, changes=False).code == ""  # the last denial says which it is


def test_a_person_sends_a_request_back_from_the_form_of_a_denial(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    assert 'name="changes"' in client.get(f"/approvals/{waiting.approval_id}/deny").content.decode()
    assert 'name="changes"' not in client.get(f"/approvals/{waiting.approval_id}/approve").content.decode()
    form = {"digest": waiting.digest, "reason": "At most $100.", "changes": "1"}
    shown = client.post(f"/approvals/{waiting.approval_id}/deny", form, follow=True).content.decode()
    assert "Sent back. The agent is told what has to change" in shown
    assert "asked for changes" in shown
