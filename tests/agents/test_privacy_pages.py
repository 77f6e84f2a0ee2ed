"""Settings, Privacy: who makes rules, who erases, and what the approver and others are shown."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.by import COMMAND_LINE
from accounts.models import Membership, User
from accounts.rules import Refused
from agents.models import PrivacyRule
from agents.services import privacy
from approvals import rules, services
from approvals.models import Approval
from approvals.slack.card import card_of
from approvals.terms import Terms
from audit import sealing
from audit.canonical import canonical
from audit.clock import database_now
from audit.models import Event
from audit.subjects import SubjectKey, _wrap, tags
from tests import factories
from tests.approvals.conftest import Acme, acme, enter

__all__ = ["acme", "enter"]  # fixtures
pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
PAGE, ERASE = "/settings/privacy/", "/settings/privacy/erase/"
RULE = {"action": "stripe.*", "path": "customer.email", "treatment": "encrypt", "subject": "customer.id"}
SECRET = "ann@secret.example"


def covered(acme: Acme, subject: str = "cus_1") -> Approval:
    """A request whose customer's address is encrypted, as the agents' door keeps it."""
    own, secret = acme.organization.id, b"k" * sealing.SECRET
    row = SubjectKey.objects.create(organization_id=own, tag=tags(own, subject)[0], wrapped=_wrap(own, secret))
    rules = [sealing.Rule(("email",), "encrypt", ("id",)), sealing.Rule(("card",), "redact", ("id",))]
    context = {"id": subject, "email": SECRET, "card": "4242"}
    return factories.an_approval(
        agent=acme.bot, context=sealing.seal(own, rules, context, {subject: sealing.Key(row.id, secret)}), risk="low"
    )


def test_an_admin_makes_a_rule_and_deletes_it_and_both_are_recorded(acme: Acme, enter: Enter) -> None:
    client = enter(acme.admin)
    assert "Everything is stored as it is asked" in client.get(PAGE).content.decode()
    assert client.post(PAGE, RULE).status_code == 302
    assert "customer.email" in client.get(PAGE).content.decode()
    rule = PrivacyRule.objects.get()
    assert client.post(f"{PAGE}{rule.pk}/delete/").status_code == 302
    assert not PrivacyRule.objects.exists()
    kinds = Event.objects.filter(organization_id=acme.organization.id, kind__contains=":privacy:")
    assert list(kinds.order_by("at").values_list("kind", flat=True)) == [
        "person:privacy:create",
        "person:privacy:delete",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "amount"}, "cannot be covered"),
        ({"path": "currency.code"}, "cannot be covered"),
        ({"path": "*"}, "not for the field itself"),
        ({"path": "customer..email"}, "dots between them"),
        ({"subject": ""}, "Name the field that says whose it is"),
        ({"subject": "people.*.id"}, "not for the field itself"),
        ({"action": "Not An Action"}, "Write an action"),
    ],
)
def test_a_rule_that_will_not_do_says_why(acme: Acme, enter: Enter, change: dict[str, str], says: str) -> None:
    answer = enter(acme.admin).post(PAGE, RULE | change)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not PrivacyRule.objects.exists()


@pytest.mark.parametrize("tier", ["stripe.refund", "stripe.refund.large", "stripe.*"])
def test_what_a_condition_reads_is_not_withheld(acme: Acme, tier: str) -> None:
    factories.a_permission(acme.bot, tier, condition='context.country == "DE"')
    factories.a_permission(acme.bot, "email.send", condition='context.to == "DE"')
    made = {"organization": acme.organization, "by": COMMAND_LINE, "action": "stripe.refund", "path": "country"}
    with pytest.raises(ValidationError, match="encrypt it instead"):
        privacy.add_rule(**made, treatment="redact")
    privacy.add_rule(**made, treatment="encrypt", subject="id")
    privacy.add_rule(**made | {"path": "to"}, treatment="redact")


def test_only_owners_erase_and_only_admins_make_rules(acme: Acme, enter: Enter) -> None:
    rule = privacy.add_rule(organization=acme.organization, by=COMMAND_LINE, **RULE)
    assert enter(acme.auditor).post(PAGE, RULE).status_code == 403
    assert enter(acme.viewer).get(PAGE).status_code == 403
    assert enter(acme.admin).get(ERASE).status_code == 403
    assert enter(acme.stranger).post(f"{PAGE}{rule.pk}/delete/").status_code == 404
    admin = Membership.objects.get(user=acme.admin)
    with pytest.raises(Refused):
        privacy.erase_subject(organization=acme.organization, by=admin, subject="a", reason="b", typed="a")


def test_an_owner_erases_a_subject_in_two_steps_and_the_record_does_not_name_it(acme: Acme, enter: Enter) -> None:
    covered(acme)
    client = enter(acme.owner)
    assert client.post(ERASE, {"subject": "nobody"}).status_code == 422
    sure = client.post(ERASE, {"subject": " cus_1 "}).content.decode()
    assert "This cannot be undone" in sure
    assert SubjectKey.objects.exists()
    form = {"subject": "cus_1", "reason": "Case 7.", "typed": "cus_1"}
    for wrong in ({"typed": "cus_2"}, {"reason": ""}, {"reason": "cus_1 asked"}):
        assert client.post(ERASE, form | wrong).status_code == 422
    assert SubjectKey.objects.exists()
    assert client.post(ERASE, form).status_code == 302
    assert not SubjectKey.objects.exists()
    event = Event.objects.get(kind="person:subject:erase")
    assert event.data["reason"] == "Case 7."
    assert "cus_1" not in event.body
    assert client.post(ERASE, form).status_code == 422, "there is nothing left to erase"


def test_who_decides_is_shown_what_is_encrypted_and_that_is_recorded_once(acme: Acme, enter: Enter) -> None:
    asked = covered(acme)
    path = f"/approvals/{asked.approval_id}"
    for _ in range(2):
        shown = enter(acme.approver).get(path).content.decode()
        assert SECRET in shown
        assert "withheld: stored nowhere" in shown
        assert "4242" not in shown
    event = Event.objects.get(kind="person:approval:reveal")
    assert (event.actor, event.data) == (acme.approver.email, {"opened": ["email"]})
    assert SECRET not in enter(acme.viewer).get(path).content.decode()
    assert SECRET not in enter(acme.approver).get(f"{path}/context.json").content.decode()
    assert Event.objects.filter(kind="person:approval:reveal").count() == 1


def test_after_erasing_everybody_is_shown_that_it_was(acme: Acme, enter: Enter) -> None:
    asked = covered(acme)
    factories_owner = Membership.objects.get(user=acme.owner)
    privacy.erase_subject(
        organization=acme.organization, by=factories_owner, subject="cus_1", reason="Case 7.", typed="cus_1"
    )
    shown = enter(acme.approver).get(f"/approvals/{asked.approval_id}").content.decode()
    assert SECRET not in shown
    assert "erased" in shown


def decide(asked: Approval, by: User, acme: Acme, **more: Any) -> Approval:
    given = {"verdict": "approve", "reason": "Fine.", "digest": asked.digest, "via": "browser"} | more
    return services.review(approval_id=asked.id, by=by, organization=acme.organization, **given)


def test_it_is_decided_where_its_values_are_shown_and_nothing_more_is_allowed_with_it(acme: Acme) -> None:
    asked = covered(acme)
    for way in ({"via": "slack"}, {"via": "api"}, {"together": True}):
        with pytest.raises(rules.Refused, match="shown on its own page only"):
            decide(asked, acme.approver, acme, **way)
    terms = Terms(minutes=5, uses=2)
    with pytest.raises(rules.Refused, match="no more of its kind"):
        decide(asked, acme.approver, acme, grant=terms)
    assert decide(asked, acme.approver, acme).state == "approved"


def test_a_card_in_slack_shows_none_of_it_and_has_no_buttons_to_decide(acme: Acme) -> None:
    drawn = canonical(card_of(covered(acme), database_now()).blocks)
    assert "withheld or encrypted: read it in Warden" in drawn
    assert "warden_approve" not in drawn
    assert "$warden" not in drawn


def said(command: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(command, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_script_does_it_too(acme: Acme) -> None:
    slug = ("--organization", acme.organization.slug)
    covered(acme)
    made = said("add_privacy_rule", "stripe.*", "$.customer.email", "encrypt", "--subject", "customer.id", *slug)
    assert made["path"] == "customer.email"
    assert said("list_privacy_rules", *slug) == [made]
    assert said("delete_privacy_rule", made["id"], *slug) == made
    looked = said("erase_subject", "cus_1", *slug)
    assert looked["encrypted_since"]
    assert looked["erased"] is False
    with pytest.raises(CommandError, match="Type the subject again"):
        call_command("erase_subject", "cus_1", "--confirm", "cus_2", "--reason", "Case 7.", *slug)
    assert said("erase_subject", "cus_1", "--confirm", "cus_1", "--reason", "Case 7.", *slug)["erased"] is True
    assert not SubjectKey.objects.exists()
