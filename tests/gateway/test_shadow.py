"""A shadow policy is asked whatever agents ask, and nobody ever gets its answer."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.by import COMMAND_LINE
from agents.code.reading import File
from agents.models import ShadowPolicy
from agents.services.shadow import compare, end_shadow, set_shadow
from audit.models import Event
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
SHADOW = """\
version: 1
agents:
  {slug}:
    permissions:
      email.send: deny
      crm.read: allow
      deploy.production: ask
"""


def last(world: World) -> Event:
    return Event.objects.filter(kind__startswith="agent:check", organization_id=world.acme.pk).latest("at")


def test_it_is_recorded_and_never_answers(world: World, client: Client) -> None:
    assert world.check("email.send")["allowed"] is True
    assert "shadow" not in last(world).data

    files = [File("warden.yaml", SHADOW.format(slug=world.bot.slug))]
    set_shadow(organization=world.acme, by=COMMAND_LINE, files=files, source="3f2a9c1")
    allowed = world.check("email.send")
    assert (allowed["allowed"], allowed["permission"]) == (True, "email.send")
    said = last(world).data["shadow"]
    assert said == {"outcome": "deny", "permission": "email.send", "reason": "Denied by permission 'email.send'"}
    refused = world.check("crm.read")
    assert (refused["allowed"], refused["status"]) == (False, "denied")
    assert last(world).data["shadow"]["outcome"] == "allow"
    assert world.check("deploy.production")["status"] == "pending"
    assert last(world).data["shadow"] == {"outcome": "ask", "permission": "deploy.production"}

    found = compare(ShadowPolicy.objects.get())
    assert (found.looked_at, found.differs) == (3, 2)
    assert dict(found.groups) == {
        (world.bot.slug, "email.send", "allow", "deny"): 1,
        (world.bot.slug, "crm.read", "deny", "allow"): 1,
    }
    client.force_login(world.owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(reverse("agents:git")).content.decode()
    assert "Of the 3 live checks since then, it would have decided <b>2</b> otherwise." in page
    assert "Denied by permission" in page

    assert client.post(reverse("agents:shadow_end")).status_code == 302
    world.check("email.send")
    assert "shadow" not in last(world).data
    end_shadow(organization=world.acme, by=COMMAND_LINE)  # twice is fine
    kinds = Event.objects.filter(kind__contains=":shadow:").values_list("kind", flat=True)
    assert sorted(kinds) == ["person:shadow:end", "system:shadow:set"]


def test_one_that_cannot_be_read_keeps_nobody_from_an_answer(world: World) -> None:
    set_shadow(organization=world.acme, by=COMMAND_LINE, files=[File("w.yaml", SHADOW.format(slug=world.bot.slug))])
    ShadowPolicy.objects.update(state={"agents": {"x": {}}, "tiers": {}})
    assert world.check("email.send")["allowed"] is True
    assert "shadow" not in last(world).data
