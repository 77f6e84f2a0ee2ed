"""Four eyes on the policy: one proposes, another accepts exactly what was proposed, and nobody goes around it."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import Membership, Organization
from accounts.rules import Refused
from accounts.services import organizations
from agents.code.reading import File
from agents.models import Agent, ApprovalRule, Permission, PolicyProposal
from agents.services import policy as policies
from agents.services import proposals
from agents.services.agents import change_agent, set_status
from agents.services.errors import Conflict
from agents.services.permissions import change_permission, create_permission, delete_permission
from agents.services.rules import change_rule
from audit.models import Event
from notifications import delivery, fanning
from notifications.models import Delivery
from notifications.registry import members_who

FILE = "version: 1\nagents:\n  support-bot:\n    permissions:\n      email.send: allow\n"
FILES = [File("warden.yaml", FILE)]


@pytest.fixture
def tier(bot, people) -> Permission:
    return create_permission(agent=bot, by=people.owner, action="crm.read", effect="ask")


@pytest.fixture
def guarded(acme, people, standard, tier) -> Organization:
    owner = Membership.objects.get(user=people.owner)
    return organizations.change(organization=acme, by=owner, policy_by_two=True)


def member(user):
    return Membership.objects.get(user=user)


def test_only_owners_decide_that_it_takes_two(acme, people):
    with pytest.raises(Refused):
        organizations.change(organization=acme, by=member(people.admin), policy_by_two=True)
    organizations.change(organization=acme, by=member(people.owner), policy_by_two=True)
    with pytest.raises(Refused):
        organizations.change(organization=acme, by=member(people.admin), policy_by_two=False)


def test_nobody_alone_lets_more_pass(guarded, bot, tier, people):
    by = member(people.admin)
    set_status(agent=bot, by=by, status="suspended")  # to stop something needs nobody else
    deny = Permission.objects.create(agent=bot, action="crm.delete", effect="deny")
    digest = policies.plan(guarded, FILES).digest
    for change in (
        lambda: create_permission(agent=bot, by=by, action="email.send", effect="allow"),
        lambda: change_permission(permission=tier, by=by, effect="allow"),
        lambda: delete_permission(permission=deny, by=by),
        lambda: change_agent(agent=bot, by=by, owner_user=None),
        lambda: set_status(agent=bot, by=by, status="active"),
        lambda: change_rule(rule=ApprovalRule.objects.get(organization=guarded), by=by, approvals=1, roles=["admin"]),
        lambda: policies.apply(organization=guarded, by=by, files=FILES, expected=digest),
    ):
        with pytest.raises(Refused, match="two people"):
            change()
    delete_permission(permission=tier, by=by)
    bot.refresh_from_db()
    assert (bot.status, bot.owner_user) == ("suspended", people.owner)


def test_one_proposes_and_another_accepts_on_the_page(guarded, bot, people, enter):
    admin = enter(people.admin)
    page = admin.get(reverse("agents:propose")).content.decode()
    assert "crm.read: ask" in page
    wrong = admin.post(reverse("agents:propose"), {"text": FILE.replace("allow", "maybe")})
    assert (wrong.status_code, "warden.yaml:5:19" in wrong.content.decode()) == (422, True)
    shown = admin.post(reverse("agents:propose"), {"text": FILE}, follow=True).content.decode()
    found = PolicyProposal.objects.get()
    assert "email.send passes  (widens)" in shown
    assert "takes somebody else" in shown
    accept = reverse("agents:proposal_accept", args=[found.proposal_id])
    assert admin.post(accept, {"digest": found.digest}).status_code == 409
    assert not Permission.objects.filter(action="email.send").exists()

    owner = enter(people.owner)
    assert "1 proposed change waits" in owner.get(reverse("agents:git")).content.decode()
    assert owner.post(accept, {"digest": "0" * 64}).status_code == 409
    assert owner.post(accept, {"digest": found.digest}).status_code == 302
    assert list(bot.permissions.values_list("action", "effect")) == [("email.send", "allow")]
    found.refresh_from_db()
    assert (found.state, found.decided_by) == ("applied", people.owner)
    assert owner.post(accept, {"digest": found.digest}).status_code == 409
    kinds = Event.objects.filter(kind__startswith="person:policy").values_list("kind", "actor")
    assert set(kinds) == {
        ("person:policy_proposal:propose", people.admin.email),
        ("person:policy_proposal:accept", people.owner.email),
        ("person:policy:apply", people.owner.email),
    }


def test_what_changed_since_is_not_applied(guarded, bot, tier, people):
    found = proposals.propose(organization=guarded, by=member(people.admin), files=FILES)
    delete_permission(permission=tier, by=member(people.admin))
    with pytest.raises(Conflict, match="plan again"):
        proposals.accept(proposal=found, by=member(people.owner), digest=found.digest)
    found.refresh_from_db()
    assert found.state == "waiting"
    assert not Permission.objects.exists()


def test_a_proposal_is_rejected_with_a_reason_and_is_nothing_to_strangers(guarded, people, enter):
    found = proposals.propose(organization=guarded, by=member(people.admin), files=FILES)
    reject = reverse("agents:proposal_reject", args=[found.proposal_id])
    owner = enter(people.owner)
    assert owner.post(reject, {"reason": " "}).status_code == 409
    assert owner.post(reject, {"reason": "Too much"}).status_code == 302
    with pytest.raises(Conflict, match="rejected already"):
        proposals.accept(proposal=found, by=member(people.owner), digest=found.digest)
    assert "Too much" in enter(people.viewer).get(reverse("agents:proposal", args=[found.proposal_id])).content.decode()
    assert enter(people.viewer).post(reject, {"reason": "x"}).status_code == 403
    stranger = enter(people.stranger)
    assert stranger.get(reverse("agents:proposal", args=[found.proposal_id])).status_code == 404
    assert stranger.post(reject, {"reason": "x"}).status_code == 404


def test_what_changes_nothing_or_hides_an_address_is_not_proposed(guarded, people):
    with pytest.raises(Refused, match="changes nothing"):
        proposals.propose(organization=guarded, by=member(people.admin), files=[File("w.yaml", "version: 1\n")])
    hidden = FILE + "channels:\n  Ops: {transport: email, address_env: OPS}\n"
    with pytest.raises(Refused, match="named, not written"):
        proposals.propose(organization=guarded, by=member(people.admin), files=[File("w.yaml", hidden)])


def test_an_agent_is_made_by_one_as_it_may_do_nothing(guarded, people, enter):
    enter(people.admin).post(reverse("agents:new"), {"name": "New", "owner": "", "slug": "new-bot"})
    assert Agent.objects.filter(slug="new-bot").exists()


def run(*words):
    out = io.StringIO()
    call_command(*words, "--organization", "acme", "--json", stdout=out)
    return json.loads(out.getvalue())


def test_one_proposes_and_another_accepts_by_command(guarded, bot, people, tmp_path):
    file = tmp_path / "warden.yaml"
    file.write_text(FILE)
    with pytest.raises(CommandError, match="whose behalf"):
        run("policy_propose", str(file))
    made = run("policy_propose", str(file), "--source", "3f2a9c1", "--by", people.admin.email)
    assert [each["id"] for each in run("list_policy_proposals")] == [made["id"]]
    shown = run("show_policy_proposal", made["id"])
    assert (shown["state"], shown["proposed_by"]) == ("waiting", people.admin.email)
    assert shown["files"][0]["text"] == FILE
    accept = ("accept_policy_proposal", made["id"], "--digest", made["digest"], "--by")
    with pytest.raises(CommandError, match="somebody else"):
        run(*accept, people.admin.email)
    assert run(*accept, people.owner.email)["state"] == "applied"
    assert Permission.objects.filter(action="email.send").exists()


def test_one_that_is_rejected_by_command_changes_nothing(guarded, bot, people, tmp_path):
    file = tmp_path / "warden.yaml"
    file.write_text(FILE)
    made = run("policy_propose", str(file), "--by", people.admin.email)
    done = run("reject_policy_proposal", made["id"], "--reason", "Not now", "--by", people.owner.email)
    assert (done["state"], done["reason"], done["decided_by"]) == ("rejected", "Not now", people.owner.email)
    assert not Permission.objects.filter(action="email.send").exists()


def test_those_who_can_decide_are_told_and_then_who_proposed_it(guarded, people):
    made = proposals.propose(organization=guarded, by=member(people.admin), files=FILES)
    fanning.fan_out()
    asked = Delivery.objects.filter(event="proposal.waiting")
    able = {each.user.email for each in members_who(guarded, "agents:write")}
    assert {each.address for each in asked} == able - {people.admin.email}
    assert {made.proposal_id in each.text for each in asked} == {True}
    proposals.reject(proposal=made, by=member(people.owner), reason="Not\u202e now")
    fanning.fan_out()
    told = Delivery.objects.get(event="proposal.decided")
    assert told.address == people.admin.email
    assert "Not⟨U+202E⟩ now" in told.text
    assert {delivery.deliver(each.pk) for each in asked} == {False}  # nobody is asked for what is over
    assert set(Delivery.objects.filter(event="proposal.waiting").values_list("state", flat=True)) == {"moot"}


def test_who_withdraws_a_proposal_is_not_told_of_it(guarded, people):
    made = proposals.propose(organization=guarded, by=member(people.admin), files=FILES)
    proposals.reject(proposal=made, by=member(people.admin), reason="Wrong file")
    fanning.fan_out()
    assert not Delivery.objects.exists()
