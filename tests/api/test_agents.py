"""Agents, permissions, keys and rules by script: the same services, hence the same rules and the same record."""

import pytest

from accounts.secrets import is_well_formed
from agents.models import ApiKey, PolicyVersion
from audit.models import Event
from tests.factories import a_member, a_team


def kinds() -> list[str]:
    return list(
        Event.objects.exclude(kind__startswith="person:token").order_by("at", "id").values_list("kind", flat=True)
    )


def test_an_owner_defines_an_agent_end_to_end(owner, world):
    agent = owner(
        "POST", "agents", {"name": "Refund bot", "purpose": "Refunds", "owner_email": owner.person.email.upper()}, 201
    )
    assert agent["slug"] == "refund-bot"
    assert agent["status"] == "active"
    assert agent["owner_email"] == owner.person.email
    assert agent["organization_id"] == str(world.acme.id)
    assert owner("GET", "agents/refund-bot", status=200) == agent
    assert owner("GET", f"agents/{agent['id']}", status=200) == agent
    assert [each["slug"] for each in owner("GET", "agents", status=200)] == ["refund-bot", "support-bot"]
    assert [each["slug"] for each in owner("GET", "agents?limit=1&offset=1", status=200)] == ["support-bot"]

    team = a_team(world.acme, owner.person)
    changed = owner(
        "PUT",
        "agents/refund-bot",
        {"owner_team": team.slug, "notes": "é", "status": "suspended", "status_reason": "Odd"},
        200,
    )
    assert (changed["owner_team"], changed["owner_email"]) == (team.slug, None)
    assert (changed["status"], changed["notes"], changed["purpose"]) == ("suspended", "é", "Refunds")
    assert owner("GET", "agents?status=suspended", status=200) == [changed]
    assert owner("PUT", "agents/refund-bot", {"owner_team": None}, 200)["owner_team"] is None
    assert owner("POST", "agents/refund-bot/audited", status=200)["last_audited_at"]
    assert owner("DELETE", "agents/refund-bot", status=204) is None
    assert owner("GET", "agents/refund-bot", status=404) == {"detail": "Agent not found"}
    assert kinds() == [
        "person:agent:create",
        "person:agent:change",
        "person:agent:suspend",
        "person:agent:change",
        "person:agent:audit",
        "person:agent:delete",
    ]


def test_a_change_is_made_whole_or_not_at_all(owner):
    assert owner("PUT", "agents/support-bot", {"name": "", "status": "banned"}, 422)
    assert owner("PUT", "agents/support-bot", {"name": "New", "status": "gone"}, 422)
    agent = owner("GET", "agents/support-bot", status=200)
    assert (agent["name"], agent["status"]) == ("support-bot", "active")


def test_permissions_as_the_original_client_sends_them(owner):
    made = owner(
        "POST",
        "agents/support-bot/permissions",
        {"action": "stripe.refund.small", "max_amount": 49.5, "requires_approval": False},
        201,
    )
    assert (made["effect"], made["requires_approval"], made["max_amount"]) == ("allow", False, 49.5)
    asks = owner(
        "POST",
        "agents/support-bot/permissions",
        {"action": "stripe.refund.large", "max_amount": "1000.0001", "requires_approval": True},
        201,
    )
    assert (asks["effect"], asks["requires_approval"], asks["max_amount"]) == ("ask", True, 1000.0001)
    plain = owner("POST", "agents/support-bot/permissions", {"action": "email.send"}, 201)
    assert (plain["effect"], plain["max_amount"]) == ("allow", None)
    assert [each["action"] for each in owner("GET", "agents/support-bot/permissions", status=200)] == [
        "email.send",
        "stripe.refund.large",
        "stripe.refund.small",
    ]
    assert PolicyVersion.objects.count() == 3


def test_amounts_are_exact_whatever_their_size(owner):
    body = b'{"action": "a.b", "max_amount": "1234567890123456.7891"}'
    made = owner("POST", "agents/support-bot/permissions", body, 201)
    raw = owner.client.get(
        "/api/agents/support-bot/permissions", headers={"Authorization": f"Bearer {owner.token}"}
    ).content
    assert b'"max_amount":1234567890123456.7891' in raw
    owner("PUT", f"permissions/{made['id']}", b'{"max_amount": 1e3}', 200)
    raw = owner.client.get(
        "/api/agents/support-bot/permissions", headers={"Authorization": f"Bearer {owner.token}"}
    ).content
    assert b'"max_amount":1000,' in raw
    for wrong, words in (
        (b"-1", "greater than or equal to 0"),
        (b'"NaN"', "max_amount"),
        (b'"Infinity"', "max_amount"),
        (b"0.00001", "4 decimal places"),
        (b'"x"', "max_amount"),
        (b"true", "max_amount"),
    ):
        assert words in owner("PUT", f"permissions/{made['id']}", b'{"max_amount": ' + wrong + b"}", 422)["detail"]


def test_every_field_of_a_permission_can_be_set_and_cleared(owner, world):
    a_member(world.acme, "admin")
    rule = owner("POST", "approval-rules", {"name": "Two", "approvals": 2}, 201)
    fields = {
        "currency": "USD",
        "environment": "staging",
        "condition": "context.region == 'eu'",
        "callee": "spiffe://example.org/payments",
        "risk": "high",
        "approval_rule": rule["id"],
        "expires_at": "2030-01-01T00:00:00Z",
        "notes": "For now",
        "max_amount": 5,
        "effect": "ask",
    }
    made = owner("POST", "agents/support-bot/permissions", {"action": "a.b"}, 201)
    changed = owner("PUT", f"permissions/{made['id']}", fields, 200)
    assert {name: changed[name] for name in fields} == fields
    cleared = {
        "currency": "",
        "condition": "",
        "callee": "",
        "approval_rule": None,
        "expires_at": None,
        "max_amount": None,
        "environment": "",
    }
    changed = owner("PUT", f"permissions/{made['id']}", cleared, 200)
    assert {name: changed[name] for name in cleared} == cleared
    assert changed["notes"] == "For now"
    assert owner("DELETE", f"permissions/{made['id']}", status=204) is None
    owner("DELETE", f"permissions/{made['id']}", status=404)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"action": "a.b", "effect": "deny", "requires_approval": True}, "requires_approval: contradicts effect deny"),
        ({"action": "not an action"}, "action: "),
        ({"action": "a.b", "condition": "1 +"}, "condition: "),
        ({"action": "a.b", "environment": "mars"}, "environment: "),
        ({"action": "a.b", "currency": "dollars"}, "currency: "),
        ({"action": "a.b", "risk": "none"}, "risk: "),
        ({"action": "a.b", "expires_at": "2030-01-01"}, "expires_at: "),
        ({}, "missing required field `action`"),
    ],
)
def test_a_permission_that_is_wrong_is_told_where(owner, body, detail):
    assert detail in owner("POST", "agents/support-bot/permissions", body, 422)["detail"]
    assert owner("GET", "agents/support-bot/permissions", status=200) == []


def test_a_rule_of_another_organization_cannot_be_named(owner, stranger):
    foreign = stranger("POST", "approval-rules", {"name": "Theirs"}, 201)
    assert owner("POST", "agents/support-bot/permissions", {"action": "a.b", "approval_rule": foreign["id"]}, 404) == {
        "detail": "Approval rule not found"
    }


def test_keys_are_shown_once_rolled_and_revoked(owner, world):
    made = owner("POST", "keys", {"name": "Worker", "agent_id": "support-bot", "mode": "test", "rate_limit": 60}, 201)
    assert is_well_formed(made["api_key"], "test_")
    key = made["key"]
    assert (key["agent_id"], key["last4"], key["scopes"], key["rate_limit"]) == (
        str(world.bot.id),
        made["api_key"][-4:],
        ["sdk"],
        60,
    )
    rolled = owner("POST", f"keys/{key['id']}/roll", {"overlap_hours": 1}, 201)
    assert rolled["api_key"] != made["api_key"]
    old = next(each for each in owner("GET", "keys", status=200) if each["id"] == key["id"])
    assert old["rolled_to"] == rolled["key"]["id"]
    assert old["expires_at"]
    assert "rolled already" in owner("POST", f"keys/{key['id']}/roll", status=409)["detail"]
    assert owner("POST", f"keys/{rolled['key']['id']}/revoke", status=200)["revoked_at"]
    assert made["api_key"] not in str(owner("GET", "keys", status=200))
    assert len(owner("GET", "keys?mode=test&agent_id=support-bot", status=200)) == 2
    assert owner("GET", "keys?mode=live", status=200) == []
    secrets = [made["api_key"], rolled["api_key"]]
    assert not [event for event in Event.objects.all() if any(secret in event.body for secret in secrets)]


def test_regenerating_replaces_the_organizations_key_and_no_other(owner, world):
    other = owner("POST", "keys", {"name": "Everything"}, 201)["key"]
    first = owner("POST", "organization/regenerate-key", status=201)
    second = owner("POST", "organization/regenerate-key", status=201)
    assert is_well_formed(second["api_key"], "ak_")
    assert second["key"]["agent_id"] is None
    revoked = {each["id"]: bool(each["revoked_at"]) for each in owner("GET", "keys", status=200)}
    assert revoked == {other["id"]: False, first["key"]["id"]: True, second["key"]["id"]: False}
    assert ApiKey.objects.filter(organization=world.acme).count() == 3


def test_approval_rules(owner, world):
    a_member(world.acme, "admin")
    first = owner("POST", "approval-rules", {"name": "Standard"}, 201)
    assert first["is_default"]
    two = owner(
        "POST", "approval-rules", {"name": "Two", "approvals": 2, "roles": ["owner", "admin"], "is_default": True}, 201
    )
    assert [each["name"] for each in owner("GET", "approval-rules", status=200)] == ["Two", "Standard"]
    assert owner("PUT", f"approval-rules/{first['id']}", {"minutes": 5, "name": "Quick"}, 200)["minutes"] == 5
    assert "default" in owner("DELETE", f"approval-rules/{two['id']}", status=409)["detail"]
    assert owner("DELETE", f"approval-rules/{first['id']}", status=204) is None
    assert "roles" in owner("PUT", f"approval-rules/{two['id']}", {"roles": ["robot"]}, 422)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "agents/{agent}", None),
        ("GET", "agents/{slug}", None),
        ("PUT", "agents/{agent}", {"name": "Mine"}),
        ("DELETE", "agents/{agent}", None),
        ("POST", "agents/{agent}/audited", None),
        ("GET", "agents/{agent}/permissions", None),
        ("POST", "agents/{agent}/permissions", {"action": "a.b"}),
        ("PUT", "permissions/{permission}", {"effect": "allow"}),
        ("DELETE", "permissions/{permission}", None),
        ("POST", "keys", {"name": "K", "agent_id": "{agent}"}),
        ("GET", "keys?agent_id={agent}", None),
        ("POST", "keys/{key}/roll", None),
        ("POST", "keys/{key}/revoke", None),
        ("PUT", "approval-rules/{rule}", {"minutes": 1}),
        ("DELETE", "approval-rules/{rule}", None),
    ],
)
def test_another_organizations_things_are_not_there(owner, stranger, world, method, path, body):
    names = {
        "agent": str(world.bot.id),
        "slug": world.bot.slug,
        "permission": owner("POST", "agents/support-bot/permissions", {"action": "a.b", "effect": "deny"}, 201)["id"],
        "key": owner("POST", "keys", {"name": "K"}, 201)["key"]["id"],
        "rule": owner("POST", "approval-rules", {"name": "R"}, 201)["id"],
    }
    before = Event.objects.filter(organization_id=world.acme.id).count()
    filled = body and {
        name: str(value).format(**names) if name == "agent_id" else value for name, value in body.items()
    }
    assert stranger(method, path.format(**names), filled, 404)["detail"].endswith("not found")
    assert Event.objects.filter(organization_id=world.acme.id).count() == before
    assert stranger("GET", "agents", status=200) == []
    assert stranger("GET", "keys", status=200) == []


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor"])
def test_who_may_not_change_agents_may_look(world, role):
    person = world.person(role)
    assert [each["slug"] for each in person("GET", "agents", status=200)] == ["support-bot"]
    person("POST", "agents", {"name": "A"}, 403)
    person("DELETE", "agents/support-bot", status=403)
    person("POST", "organization/regenerate-key", status=403)
