"""The kill switch by script."""

from agents.models import Stop
from tests.api.conftest import Api, a_token
from tests.factories import a_member, an_organization


def test_two_people_stop_and_release(owner, world):
    assert "reason" in owner("POST", "stops", {"reason": ""}, 422)["detail"]
    assert "pattern" in owner("POST", "stops", {"reason": "odd", "pattern": "*"}, 422)["detail"]
    made = owner("POST", "stops", {"reason": "odd", "agent": "support-bot", "pattern": "stripe.*"}, 201)
    assert (made["agent"], made["pattern"], made["stopped_by"]) == ("support-bot", "stripe.*", owner.person.email)
    assert owner("POST", "stops", {"reason": "again", "agent": "support-bot", "pattern": "stripe.*"}, 201) == made
    assert owner("GET", "stops", status=200) == [made]
    path = f"stops/{made['id']}"
    assert "Two steps" in owner("POST", f"{path}/release", {}, 409)["detail"]
    admin = world.person("admin")
    assert owner("POST", f"{path}/ask", {"reason": "found it"}, 200)["asked_by"] == owner.person.email
    assert admin.person.email in owner("POST", f"{path}/release", {"typed": "stripe.*"}, 409)["detail"]
    assert owner("POST", f"{path}/keep", status=200)["asked_by"] is None
    admin("POST", f"{path}/ask", {"reason": "found it"}, 200)
    assert owner("POST", f"{path}/release", {}, 200)["released_by"] == owner.person.email
    assert owner("GET", "stops", status=200) == []


def test_who_is_alone_types(owner, world):
    made = owner("POST", "stops", {"reason": "odd"}, 201)
    owner("POST", f"stops/{made['id']}/ask", {"reason": "found it"}, 200)
    assert world.acme.slug in owner("POST", f"stops/{made['id']}/release", {}, 409)["detail"]
    owner("POST", f"stops/{made['id']}/release", {"typed": world.acme.slug}, 200)


def test_others_have_no_part_in_it(owner, world, approver):
    approver("POST", "stops", {"reason": "odd"}, 403)
    approver("GET", "stops", status=403)
    made = owner("POST", "stops", {"reason": "odd"}, 201)
    stranger = a_member(an_organization(), "owner")
    elsewhere = Api(a_token(stranger), stranger)
    elsewhere("POST", f"stops/{made['id']}/ask", {"reason": "mine"}, 404)
    assert elsewhere("GET", "stops", status=200) == []
    assert Stop.objects.get().asked_at is None
