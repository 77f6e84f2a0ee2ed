"""Privacy rules and erasure by script: admins make rules, owners erase, and nobody reaches another organization's."""

import pytest

from agents.models import PrivacyRule
from audit.models import Event
from audit.sealing import SECRET
from audit.subjects import SubjectKey, _wrap, tags

from .conftest import Api, a_token

RULE = {"action": "stripe.*", "path": "$.customer.email", "treatment": "encrypt", "subject": "customer.id"}
ERASE = {"subject": "cus_1", "confirm": "cus_1", "reason": "Case 7."}


@pytest.fixture
def admin(world):
    return world.person("admin")


@pytest.fixture
def key(world) -> SubjectKey:
    own = world.acme.id
    return SubjectKey.objects.create(organization_id=own, tag=tags(own, "cus_1")[0], wrapped=_wrap(own, b"k" * SECRET))


def test_an_admin_makes_a_rule_an_auditor_reads_it_and_it_goes_again(admin, world):
    auditor = world.person("auditor")
    made = admin("POST", "privacy-rules", RULE, 201)
    assert (made["path"], made["created_by"]) == ("customer.email", admin.person.email)
    assert auditor("GET", "privacy-rules", status=200) == [made]
    assert auditor("GET", f"privacy-rules/{made['id']}", status=200) == made
    assert auditor("POST", "privacy-rules", RULE)[0] == 403
    assert auditor("DELETE", f"privacy-rules/{made['id']}")[0] == 403
    assert admin("DELETE", f"privacy-rules/{made['id']}", status=204) is None
    assert admin("DELETE", f"privacy-rules/{made['id']}")[0] == 404
    kinds = Event.objects.filter(organization_id=world.acme.id, kind__contains=":privacy:").order_by("at")
    assert [event.kind for event in kinds] == ["person:privacy:create", "person:privacy:delete"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "amount"}, "cannot be covered"),
        ({"subject": ""}, "Name the field that says whose it is"),
        ({"treatment": "hide"}, "treatment"),
        ({"keep": True}, "keep"),
    ],
)
def test_a_rule_that_will_not_do_says_why(admin, change, says):
    status, said = admin("POST", "privacy-rules", RULE | change)
    assert status == 422
    assert says in said["detail"]
    assert not PrivacyRule.objects.exists()


def test_an_owner_erases_a_subject_once_and_the_record_does_not_name_it(owner, key, world):
    assert owner("POST", "subjects/find", {"subject": "cus_2"}, 200) == {"encrypted_since": None}
    assert owner("POST", "subjects/find", {"subject": "cus_1"}, 200)["encrypted_since"]
    for wrong in ({"confirm": "cus_2"}, {"reason": "It was cus_1 who asked."}, {"reason": " "}, {"subject": ""}):
        assert owner("POST", "subjects/erase", ERASE | wrong)[0] == 422
    assert SubjectKey.objects.exists()
    owner("POST", "subjects/erase", ERASE, 204)
    assert not SubjectKey.objects.exists()
    event = Event.objects.get(kind="person:subject:erase")
    assert event.data["keys"] == [str(key.pk)]
    assert "cus_1" not in event.body
    assert owner("POST", "subjects/erase", ERASE)[0] == 409


def test_erasing_takes_an_owner_and_a_scope_of_its_own(owner, admin, key, world):
    assert admin("POST", "subjects/find", {"subject": "cus_1"})[0] == 403
    assert admin("POST", "subjects/erase", ERASE)[0] == 403
    settings = Api(a_token(owner.person, "settings:write"))
    assert settings("POST", "subjects/erase", ERASE)[0] == 403
    assert SubjectKey.objects.exists()
    erasing = Api(a_token(owner.person, "subjects:erase"))
    assert erasing("GET", "privacy-rules")[0] == 403
    erasing("POST", "subjects/erase", ERASE, 204)


def test_a_stranger_finds_and_erases_nothing_here(stranger, admin, key):
    made = admin("POST", "privacy-rules", RULE, 201)
    assert stranger("GET", "privacy-rules", status=200) == []
    assert stranger("GET", f"privacy-rules/{made['id']}")[0] == 404
    assert stranger("DELETE", f"privacy-rules/{made['id']}")[0] == 404
    assert stranger("POST", "subjects/find", {"subject": "cus_1"}, 200) == {"encrypted_since": None}
    assert stranger("POST", "subjects/erase", ERASE)[0] == 409
    assert SubjectKey.objects.exists()
