"""The incident page of an agent: contain, investigate, recover, evidence."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, User
from agents.models import Agent, ApiKey, BannedIdentity
from agents.services.agents import set_status
from audit.models import Event
from tests.factories import a_key, a_member, a_permission, an_agent, an_approval, an_organization

NAME = "spiffe://example.com/agent/support/production"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def bot(db: None) -> Agent:
    bot = an_agent(an_organization(), "support-bot", spiffe_id=NAME)
    a_permission(bot, "email.send")
    a_key(bot.organization, bot)
    return bot


def enter(person: User) -> Client:
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


@pytest.fixture
def admin(bot: Agent) -> Client:
    return enter(a_member(bot.organization, "admin"))


def test_the_page_says_where_the_agent_stands_and_what_happened(bot: Agent, admin: Client) -> None:
    an_approval(agent=bot)
    set_status(agent=bot, by=Membership.objects.get(), status="suspended", reason="odd refunds")
    page = admin.get(reverse("incident", args=["support-bot"])).content.decode()
    for said in ("Suspended", NAME, "1 not revoked", "odd refunds", "Ban the agent", "Revoke all keys", "kill switch"):
        assert said in page


def test_filters_live_in_the_address_and_a_wrong_one_is_said(bot: Agent, admin: Client) -> None:
    set_status(agent=bot, by=Membership.objects.get(), status="suspended", reason="odd refunds")
    url = reverse("incident", args=["support-bot"])
    assert b"odd refunds" in admin.get(url, {"kind": "person:agent:suspend"}).content
    assert b"No event matches" in admin.get(url, {"action": "nothing.of.this"}).content
    assert admin.get(url, {"since": "yesterday"}).status_code == 200


def test_each_button_asks_first_and_then_does_it(bot: Agent, admin: Client) -> None:
    for name in ("incident_keys", "incident_name"):
        assert admin.get(reverse(name, args=["support-bot"])).status_code == 200
    assert not ApiKey.objects.get().is_revoked
    admin.post(reverse("incident_keys", args=["support-bot"]))
    assert ApiKey.objects.get().is_revoked
    url = reverse("incident_name", args=["support-bot"])
    assert admin.post(url, {"reason": ""}).status_code == 422
    assert admin.post(url, {"reason": "stolen"}).status_code == 302
    bot.refresh_from_db()
    assert bot.status == "banned"
    assert b"lift_spiffe_ban" in admin.get(reverse("incident", args=["support-bot"])).content


def test_an_auditor_looks_and_exports_and_stops_nothing(bot: Agent) -> None:
    client = enter(a_member(bot.organization, "auditor"))
    page = client.get(reverse("incident", args=["support-bot"]))
    assert page.status_code == 200
    assert b"Ban the agent" not in page.content
    for name in ("incident_keys", "incident_name"):
        assert client.post(reverse(name, args=["support-bot"]), {"reason": "x"}).status_code == 403
    answer = client.post(reverse("incident_evidence", args=["support-bot"]))
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_a_viewer_does_not_look_and_a_stranger_finds_nothing(bot: Agent) -> None:
    viewer, stranger = enter(a_member(bot.organization, "viewer")), enter(a_member(an_organization(), "owner"))
    for name in ("incident", "incident_keys", "incident_name"):
        assert viewer.get(reverse(name, args=["support-bot"])).status_code == 403
        assert stranger.get(reverse(name, args=["support-bot"])).status_code == 404
    assert stranger.post(reverse("incident_evidence", args=["support-bot"])).status_code == 404


def test_the_evidence_is_whole_has_checksums_and_no_secret(bot: Agent, admin: Client, tmp_path: Path) -> None:
    waiting = an_approval(agent=bot, action="email.send")
    _, secret = a_key(bot.organization, bot)
    set_status(agent=bot, by=Membership.objects.get(), status="banned", reason="stolen")
    answer = admin.post(reverse("incident_evidence", args=["support-bot"]))
    packed = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert "warden-evidence-support-bot-" in answer["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["sha256"] == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    events = [json.loads(line) for line in files["events-live.jsonl"].splitlines()]
    assert "person:agent:ban" in {each["event"]["kind"] for each in events}
    [approval] = [json.loads(line) for line in files["approvals.jsonl"].splitlines()]
    assert (approval["id"], approval["state"]) == (waiting.approval_id, "cancelled")
    assert json.loads(files["agent.json"])["status"] == "banned"
    assert not any(secret.encode() in content for content in files.values())
    assert Event.objects.filter(kind="person:evidence:export", agent="support-bot").count() == 1
    file = tmp_path / "evidence.zip"
    call_command("export_evidence", "support-bot", "--out", str(file), "--organization", bot.organization.slug)
    assert zipfile.is_zipfile(file)
    assert (file.stat().st_mode & 0o077) == 0


def test_a_name_that_no_agent_has_is_banned_and_lifted_on_a_page(bot: Agent, admin: Client) -> None:
    page, name = reverse("agents:banned"), "spiffe://example.com/service/billing"
    assert "None." in admin.get(page).content.decode()
    wrong = admin.post(page, {"spiffe_id": "spiffe://*/x", "reason": "leaked"})
    assert (wrong.status_code, BannedIdentity.objects.count()) == (422, 0)
    assert admin.post(page, {"spiffe_id": name, "reason": "leaked <b>"}).status_code == 302
    shown = admin.get(page).content.decode()
    assert name in shown
    assert "leaked &lt;b&gt;" in shown
    assert "no agent has it" in shown
    row = BannedIdentity.objects.get()
    viewer = enter(a_member(bot.organization, "viewer"))
    assert "Ban one" not in viewer.get(page).content.decode()
    assert viewer.post(page, {"spiffe_id": name + "s", "reason": "x"}).status_code in (200, 403)
    assert viewer.post(reverse("agents:banned_lift", args=[row.pk])).status_code == 403
    stranger = enter(a_member(an_organization(), "owner"))
    assert name not in stranger.get(page).content.decode()
    assert stranger.post(reverse("agents:banned_lift", args=[row.pk])).status_code == 404
    assert BannedIdentity.objects.count() == 1
    assert admin.post(reverse("agents:banned_lift", args=[row.pk])).status_code == 302
    assert not BannedIdentity.objects.exists()
