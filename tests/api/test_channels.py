"""/api/channels and /api/deliveries: as in the browser, by script."""

from typing import Any

import pytest

from audit.models import Event
from notifications.models import Channel, Delivery
from tests.api.conftest import Api, World
from tests.factories import a_team, an_agent

pytestmark = pytest.mark.django_db
HOOK = {"transport": "webhook", "name": "Orders", "address": "https://hooks.example.com/warden"}


def test_a_channel_is_made_changed_and_deleted(owner: Api, world: World) -> None:
    team = a_team(world.acme)
    body = HOOK | {"agents": ["support-bot"], "teams": [team.slug], "risks": ["high"], "events": ["approval.requested"]}
    made = owner("POST", "channels", body, 201)
    assert made["secret"].startswith("whsec_")
    channel = made["channel"]
    assert channel["events"] == ["approval.requested"]
    where = f"channels/{channel['id']}"
    assert owner("GET", where, status=200) == channel
    assert owner("GET", "channels", status=200) == [channel]
    assert owner("GET", "channels?mode=test", status=200) == []
    changed = owner("PUT", where, {"name": "Refunds", "agents": [], "is_active": False}, 200)
    assert (changed["name"], changed["agents"], changed["is_active"]) == ("Refunds", [], False)
    assert owner("PUT", where, {"is_active": True}, 200)["is_active"] is True
    again = owner("POST", f"{where}/rotate-secret", status=200)
    assert again["secret"] != made["secret"]
    owner("DELETE", where, status=204)
    assert owner("GET", where)[0] == 404
    kinds = list(Event.objects.filter(kind__startswith="person:channel:").order_by("id").values_list("kind", flat=True))
    verbs = [kind.rpartition(":")[2] for kind in kinds]
    assert verbs == ["create", "change", "disable", "enable", "rotate", "delete"]
    for event in Event.objects.all():
        assert "whsec_" not in event.body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "https://10.0.0.1/"}, "address"),
        ({"address": "ftp://example.com"}, "address"),
        ({"transport": "email", "address": "nobody"}, "address"),
        ({"agents": ["no-such-bot"]}, "agents"),
        ({"teams": ["nobody"]}, "teams"),
        ({"events": ["weather.changed"]}, "events"),
        ({"environments": ["moon"]}, "environments"),
        ({"risks": ["huge"]}, "risks"),
        ({"name": " "}, "name"),
        ({"transport": "pigeon"}, "transport"),
    ],
)
def test_what_will_not_do_is_named(owner: Api, change: dict[str, Any], field: str) -> None:
    answer = owner("POST", "channels", HOOK | change, 422)
    assert field in answer["detail"]
    assert not Channel.objects.exists()


def test_a_name_is_taken_once_a_mode(owner: Api) -> None:
    owner("POST", "channels", HOOK, 201)
    assert "Orders" in owner("POST", "channels", HOOK, 422)["detail"]
    owner("POST", "channels", HOOK | {"mode": "test"}, 201)


def test_an_agent_of_another_organization_is_none(owner: Api, stranger: Api) -> None:
    foreign = an_agent(stranger.person.memberships.get().organization, "foreign")  # type: ignore[union-attr]
    assert owner("POST", "channels", HOOK | {"agents": [str(foreign.pk)]})[0] == 422


def test_a_test_is_a_delivery_and_can_be_tried_again(owner: Api) -> None:
    channel = owner("POST", "channels", HOOK, 201)["channel"]
    sent = owner("POST", f"channels/{channel['id']}/test", status=202)
    assert (sent["state"], sent["event"], sent["channel"]) == ("due", "channel.test", channel["id"])
    Delivery.objects.update(state="failed", attempts=12, error="gone")
    listed = owner("GET", f"deliveries?state=failed&channel={channel['id']}", status=200)
    assert [each["id"] for each in listed] == [sent["id"]]
    assert owner("GET", f"deliveries?before={sent['id']}", status=200) == []
    found = owner("GET", f"deliveries/{sent['id']}", status=200)
    assert found["attempts"] == []
    again = owner("POST", f"deliveries/{sent['id']}/retry", status=202)
    assert (again["state"], again["attempts"]) == ("due", 0)
    Delivery.objects.update(state="moot")
    assert owner("POST", f"deliveries/{sent['id']}/retry")[0] == 409


def test_roles_and_strangers(owner: Api, approver: Api, stranger: Api, world: World) -> None:
    channel = owner("POST", "channels", HOOK, 201)["channel"]["id"]
    sent = owner("POST", f"channels/{channel}/test", status=202)["id"]
    auditor = world.person("auditor")
    assert auditor("GET", f"channels/{channel}")[0] == 200
    for call in (
        ("PUT", f"channels/{channel}", {}),
        ("DELETE", f"channels/{channel}", None),
        ("POST", f"channels/{channel}/test", None),
        ("POST", f"channels/{channel}/rotate-secret", None),
        ("POST", f"deliveries/{sent}/retry", None),
        ("POST", "channels", HOOK),
    ):
        assert auditor(*call)[0] == 403, call
        assert approver(*call)[0] == 403, call
        if call[1] != "channels":
            assert stranger(*call)[0] == 404, call
    for where in (f"channels/{channel}", f"deliveries/{sent}"):
        assert approver("GET", where)[0] == 403
        assert stranger("GET", where)[0] == 404
    assert stranger("GET", "deliveries", status=200) == []
