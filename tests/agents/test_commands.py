"""Whatever the pages do can be scripted."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from accounts.by import COMMAND_LINE
from accounts.models import Organization, Team
from accounts.secrets import hash_secret, is_well_formed
from agents.load import find_key
from agents.models import Agent, ApiKey, ApprovalRule, Permission
from agents.services.agents import create_agent
from agents.services.writing import public_id
from audit.clock import database_now
from audit.models import Event


def run(name, *args, **options):
    out = io.StringIO()
    call_command(name, *args, "--json", stdout=out, **options)
    return json.loads(out.getvalue())


def say(name, *args):
    out = io.StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue().strip()


@pytest.fixture(autouse=True)
def alone(acme, people):
    """One organization with people; the stranger's is deleted, so that none has to be named."""
    people.stranger.organizations.all().delete()


def test_agents_are_created_changed_listed_and_deleted(acme, people, tmp_path):
    Team.objects.create(organization=acme, name="Support", slug="support")
    (tmp_path / "doc.md").write_text("# Hello")
    made = run(
        "create_agent", "Support bot", "--owner", people.owner.email, "--documentation", str(tmp_path / "doc.md")
    )
    assert (made["slug"], made["owner_user"], made["documentation"]) == ("support-bot", people.owner.email, "# Hello")
    changed = run(
        "change_agent", "support-bot", "--team", "support", "--purpose", "Answers", "--by", people.admin.email
    )
    assert (changed["owner_user"], changed["owner_team"], changed["purpose"]) == (None, "support", "Answers")
    assert Event.objects.order_by("-at").first().actor == people.admin.email
    assert [agent["slug"] for agent in run("list_agents")] == ["support-bot"]
    assert run("list_agents", "--status", "banned") == []
    run("delete_agent", "support-bot")
    assert run("list_agents") == []


def test_statuses(bot):
    for command, status in (("suspend_agent", "suspended"), ("ban_agent", "banned"), ("activate_agent", "active")):
        assert run(command, bot.slug, "--reason", "because")["status"] == status
    assert Event.objects.filter(kind="system:agent:ban").get().data["reason"] == "because"


def test_an_audit_is_a_persons(people, bot):
    with pytest.raises(CommandError, match="person"):
        say("audit_agent", bot.slug)
    assert run("audit_agent", bot.slug, "--by", people.admin.email)["last_audited_at"]


def test_a_tier_is_added_then_changed_by_the_same_command(bot, standard):
    first = run("set_permission", bot.slug, "stripe.refund.large", "--effect", "ask", "--max-amount", "1000",
                "--currency", "USD", "--risk", "high", "--rule", standard.name)  # fmt: skip
    again = run("set_permission", bot.slug, "stripe.refund.large", "--max-amount", "900")
    assert first["id"] == again["id"]
    assert (again["max_amount"], again["risk"], again["approval_rule"]) == ("900", "high", standard.name)
    assert run("set_permission", bot.slug, first["id"], "--no-maximum", "--currency", "")["max_amount"] is None
    other = run(
        "set_permission", bot.slug, "stripe.refund.large", "--effect", "deny", "--environment", "staging", "--add"
    )
    assert other["id"] != first["id"]
    with pytest.raises(CommandError, match="Several"):
        say("set_permission", bot.slug, "stripe.refund.large", "--notes", "x")
    assert run("set_permission", bot.slug, "stripe.refund.large", "--environment", "staging", "--notes", "x")["notes"]
    assert [row["effect"] for row in run("list_permissions", "--agent", bot.slug)] == ["ask", "deny"]
    assert run("delete_permission", bot.slug, other["id"])["id"] == other["id"]
    say("delete_permission", bot.slug, "stripe.refund.large")
    assert not Permission.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "a.b", "--effect", "allow"], "no agent"),
        (["support-bot", "Bad", "--effect", "allow"], "action: "),
        (["support-bot", "a.b"], "--effect"),
        (["support-bot", "a.b", "--effect", "ask", "--rule", "None such"], "no approval rule"),
        (["support-bot", "a.b", "--effect", "allow", "--condition", "context."], "column 9"),
        (["support-bot", "prm_01J", "--effect", "allow"], "no tier"),
        (["support-bot", "a.b", "--effect", "allow", "--max-amount", "lots"], "max-amount"),
        (["support-bot", "a.b", "--effect", "allow", "--expires-at", "soon"], "not a time"),
    ],
)
def test_a_mistake_is_an_error_with_a_sentence(bot, arguments, message):
    with pytest.raises(CommandError, match=message):
        say("set_permission", *arguments)
    assert not Permission.objects.exists()


def test_a_key_is_printed_once_and_works(bot):
    made = run(
        "create_api_key", "--agent", bot.slug, "--mode", "live", "--environment", "staging", "--expires-days", "30"
    )
    assert is_well_formed(made["api_key"], "ak_")
    assert find_key(hash_secret(made["api_key"])).agent_id == bot.pk
    assert "key_hash" not in made
    rolled = run("roll_api_key", made["id"], "--overlap-hours", "1")
    assert rolled["api_key"] != made["api_key"]
    assert rolled["environment"] == "staging"
    listed = run("list_api_keys", "--agent", bot.slug)
    assert made["api_key"] not in json.dumps(listed)
    run("revoke_api_key", rolled["id"])
    assert not find_key(hash_secret(rolled["api_key"])).is_valid(database_now())


def test_a_key_without_json_is_the_key_alone(bot):
    assert is_well_formed(say("create_api_key", "--all-agents", "--mode", "test"), "test_")
    assert ApiKey.objects.get().agent is None


def test_a_key_names_one_agent_or_all(bot):
    for arguments in ([], ["--agent", bot.slug, "--all-agents"]):
        with pytest.raises(CommandError):
            say("create_api_key", "--mode", "live", *arguments)
    with pytest.raises(CommandError, match="no key"):
        say("revoke_api_key", "key_nonsense")


def test_rules(acme, standard):
    made = run("set_approval_rule", "Two eyes", "--approvals", "2", "--roles", "owner,admin", "--reason-to-approve")
    assert (made["approvals"], made["roles"], made["reason_to_approve"]) == (2, ["admin", "owner"], True)
    assert "Two approvals are needed" in say("set_approval_rule", "Two eyes", "--minutes", "120", "--default")
    assert ApprovalRule.objects.get(organization=acme, is_default=True).name == "Two eyes"
    run("delete_approval_rule", standard.name)
    assert [rule["name"] for rule in run("list_approval_rules")] == ["Two eyes"]
    with pytest.raises(CommandError, match="default"):
        say("delete_approval_rule", "Two eyes")


def test_a_member_without_the_right_changes_nothing_on_the_command_line_either(people, bot):
    with pytest.raises(CommandError, match="viewer"):
        say("ban_agent", bot.slug, "--by", people.viewer.email)
    with pytest.raises(CommandError, match="not a member"):
        say("ban_agent", bot.slug, "--by", people.stranger.email)
    assert Agent.objects.get(pk=bot.pk).status == "active"


def test_an_agent_is_found_across_organizations_unless_two_have_its_name(bot):
    second = Organization.objects.create(slug="second", name="Second")
    assert run("suspend_agent", bot.slug)["status"] == "suspended"
    twin = create_agent(organization=second, by=COMMAND_LINE, name="x", slug=bot.slug)
    with pytest.raises(CommandError, match="--organization"):
        say("ban_agent", bot.slug)
    assert run("ban_agent", bot.slug, "--organization", "second")["id"] == public_id(twin)
    assert Agent.objects.get(pk=bot.pk).status == "suspended"


def test_a_check_is_simulated_without_a_trace_in_the_record(bot):
    run("set_permission", bot.slug, "stripe.refund.large", "--effect", "ask", "--max-amount", "1000")
    count = Event.objects.count()
    answer = run("simulate_check", bot.slug, "stripe.refund", "--context", '{"amount": 500}')
    assert (answer["outcome"], answer["permission"]) == ("ask", "stripe.refund.large")
    assert "exceeds maximum" in say("simulate_check", bot.slug, "stripe.refund", "--context", '{"amount": 5000}')
    with pytest.raises(CommandError, match="Not JSON"):
        say("simulate_check", bot.slug, "stripe.refund", "--context", "{")
    assert Event.objects.count() == count


def test_the_review_is_scripted(bot):
    assert say("audit_permissions") == "Nothing needs attention."
    run("set_permission", bot.slug, "email.*", "--effect", "ask")
    assert {row["code"] for row in run("audit_permissions")} == {"wildcard", "whole_service"}
