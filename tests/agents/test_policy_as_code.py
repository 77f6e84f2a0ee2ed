"""warden.yaml: what it changes, that it changes all or nothing, and that it comes out as it went in."""

import json

import pytest
import yaml
from django.core.management import CommandError, call_command

from accounts.by import COMMAND_LINE
from accounts.models import Membership, Organization
from accounts.rules import Refused
from agents import policy
from agents.code.reading import Broken, File
from agents.code.state import current
from agents.code.writing import write
from agents.load import load
from agents.models import Agent, AppliedPolicy, ApprovalRule, ExternalOpa, Permission, PolicyVersion
from agents.services import policy as policies
from agents.services.agents import create_agent, set_status
from agents.services.drift import drift
from agents.services.errors import Conflict
from agents.services.permissions import create_permission
from agents.spiffe.mock import PEM, Authority
from audit.clock import database_now
from audit.models import Event
from notifications.models import Channel

FILE = """\
version: 1
rules:
  Standard:
    default: true
  Two people:
    approvals: 2
    roles: [owner, admin]
    minutes: 120
    reason_to_approve: true
agents:
  support-bot:
    name: Support bot
    purpose: Answers customers
    owner: owner@acme.example
    notes: |
      Large refunds go to finance.
      Call Ann.
    permissions:
      email.send: allow
      stripe.refund.small: {effect: allow, max_amount: 50, currency: USD}
      stripe.refund.large: {effect: ask, max_amount: 1000.50, currency: USD, risk: high, rule: Two people}
      deploy.run:
        - {effect: allow, environment: staging}
        - {effect: ask, environment: production}
  reader:
    permissions:
      database.read: {effect: allow, condition: context.rows < 100}
channels:
  Operations: {transport: email, address: ops@example.com, agents: [support-bot], risks: [high]}
"""


def files(*texts, name="warden.yaml"):
    return [File(name if not number else f"layer-{number}.yaml", text) for number, text in enumerate(texts)]


def planned(acme, *texts, **options):
    return policies.plan(acme, files(*texts), **options)


def applied(acme, *texts, by=COMMAND_LINE, **options):
    made = planned(acme, *texts, **{name: value for name, value in options.items() if name != "source"})
    return policies.apply(organization=acme, by=by, files=files(*texts), expected=made.digest, **options)


def problems(acme, *texts, **options):
    with pytest.raises(Broken) as wrong:
        planned(acme, *texts, **options)
    return [str(problem) for problem in wrong.value.problems]


def outcome(acme, agent, action, environment=None, **context):
    request = policy.Request(agent, action, context, environment)
    return policy.decide(load(acme.pk).policy, request, database_now()).outcome


@pytest.fixture
def empty(acme, people, standard) -> Organization:
    return acme


def test_a_file_becomes_what_it_says(empty):
    made = applied(empty, FILE)
    assert made.plan.summary == "10 to add, 0 to change, 0 to remove"
    assert outcome(empty, "support-bot", "stripe.refund", amount=40) == "allow"
    assert outcome(empty, "support-bot", "stripe.refund", amount="1000.50") == "ask"
    assert outcome(empty, "support-bot", "stripe.refund", amount="1000.51") == "deny"
    assert outcome(empty, "support-bot", "deploy.run", "staging") == "allow"
    assert outcome(empty, "support-bot", "deploy.run", "production") == "ask"
    assert outcome(empty, "reader", "database.read", rows=5) == "allow"
    bot = Agent.objects.get(slug="support-bot")
    assert (bot.owner.email, bot.notes) == ("owner@acme.example", "Large refunds go to finance.\nCall Ann.\n")
    assert Channel.objects.get().agents == [bot.pk]
    assert ApprovalRule.objects.get(name="Two people").approvals == 2


def test_the_record_and_the_versions_are_those_of_changes_by_hand(empty, people):
    before = PolicyVersion.objects.count()
    admin = Membership.objects.get(user=people.admin)
    applied(empty, FILE, by=admin, source="3f2a9c1")
    kinds = set(Event.objects.filter(actor=people.admin.email).values_list("kind", flat=True))
    assert kinds == {
        "person:agent:create",
        "person:permission:create",
        "person:rule:create",
        "person:channel:create",
        "person:policy:apply",
    }
    [version] = PolicyVersion.objects.order_by("-number")[: PolicyVersion.objects.count() - before]
    assert (version.summary, version.created_by) == (
        "Applied warden.yaml of 3f2a9c1: 10 to add, 0 to change, 0 to remove",
        people.admin,
    )
    told = Event.objects.get(kind="person:policy:apply").data
    assert told["source"] == "3f2a9c1"
    assert "tier support-bot: + email.send passes" in told["changes"]


def test_applying_twice_changes_nothing(empty):
    applied(empty, FILE)
    counts = (Event.objects.count(), PolicyVersion.objects.count(), AppliedPolicy.objects.count())
    again = applied(empty, FILE)
    assert again.plan.changes == ()
    assert (Event.objects.count(), PolicyVersion.objects.count(), AppliedPolicy.objects.count()) == counts
    old = policies.apply(organization=empty, by=COMMAND_LINE, files=files(FILE), expected="0" * 64)
    assert old.plan.changes == ()  # what is so already needs no plan


def test_what_is_exported_and_applied_elsewhere_is_exported_the_same(empty, other):
    applied(empty, FILE)
    set_status(agent=Agent.objects.get(slug="reader"), by=COMMAND_LINE, status="suspended")
    text = write(current(empty))
    for member in Membership.objects.filter(organization=empty):
        Membership.objects.create(organization=other, user=member.user, role=member.role)
    assert not other.agents.exists()
    applied(other, text, prune=True)
    assert write(current(other)) == text
    assert planned(empty, text).changes == ()
    assert Agent.objects.get(organization=other, slug="reader").status == "suspended"


def test_the_plan_reads_like_a_review(empty, bot):
    applied(empty, FILE)
    changed = FILE.replace("max_amount: 50,", "max_amount: 80,").replace("      email.send: allow\n", "")
    changed = changed.replace("minutes: 120", "minutes: 60").replace(
        "      database.read: {effect: allow, condition: context.rows < 100}",
        "      database.read: {effect: ask, condition: context.rows < 100}\n      s3.upload: allow",
    )
    assert planned(empty, changed).words.splitlines() == [
        "  agent reader",
        "    ~ database.read passes if context.rows < 100 → "
        "database.read needs approval if context.rows < 100  (narrows)",
        "    + s3.upload passes  (widens)",
        "  agent support-bot",
        "    - email.send passes  (narrows)",
        "    ~ stripe.refund.small up to $50.00 passes → stripe.refund.small up to $80.00 passes  (widens)",
        "~ rule Two people: minutes 120 → 60",
    ]


BUDGETS = """\
version: 1
agents:
  support-bot:
    limits: {count_per_day: 40, total_per_month: 2000}
    limit_currency: USD
    permissions:
      stripe.refund.small: {effect: allow, max_amount: 50, currency: USD,
        limits: {count_per_hour: 12, total_per_day: 99.5}}
      users.delete: deny
"""


def test_budgets_are_a_part_of_the_file(empty, other):
    assert "+ stripe.refund.small up to $50.00 passes; limits count_per_hour 12 total_per_day 99.50  (widens)" in [
        line.strip() for line in planned(empty, BUDGETS).words.splitlines()
    ]
    applied(empty, BUDGETS)
    bot = Agent.objects.get(slug="support-bot")
    assert (bot.limits, bot.limit_currency) == ({"count_per_day": 40, "total_per_month": "2000"}, "USD")
    tier = bot.permissions.get(action="stripe.refund.small")
    assert tier.limits == {"count_per_hour": 12, "total_per_day": "99.5"}
    assert planned(empty, BUDGETS).changes == ()
    text = write(current(empty))
    assert "count_per_hour: 12\n" in text
    applied(other, text, prune=True)
    assert write(current(other)) == text
    assert outcome(empty, "support-bot", "stripe.refund", currency="USD") == "deny"  # a total needs an amount


def test_a_plan_says_which_way_budgets_go(empty):
    applied(empty, BUDGETS)
    changed = BUDGETS.replace("count_per_day: 40, ", "").replace("99.5", "50.25")
    assert planned(empty, changed).words.splitlines() == [
        "~ agent support-bot: limits count_per_day 40 total_per_month 2000.00 → total_per_month 2000.00  (widens)",
        "    ~ stripe.refund.small up to $50.00 passes; limits count_per_hour 12 total_per_day 99.50 → "
        "count_per_hour 12 total_per_day 50.25  (narrows)",
    ]
    assert (
        planned(empty, BUDGETS.replace("limit_currency: USD", "limit_currency: EUR")).changes[0].direction == "widens"
    )
    applied(empty, BUDGETS.replace(",\n        limits: {count_per_hour: 12, total_per_day: 99.5}", ""))
    assert Permission.objects.get(action="stripe.refund.small").limits == {}


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("    limit_currency: USD\n", "", "3:3: limit_currency: A total needs one currency: name it."),
        (", currency: USD,", ",", "7:7: currency: A total needs one currency: name it."),
        ("total_per_day: 99.5", "total_per_day: -1", "8:53: total_per_day: Use a number, 0 or more."),
        ("total_per_day: 99.5", "total_per_day: .nan", "total_per_day: "),
        (
            "count_per_hour: 12",
            "count_per_hour: 1.5",
            "8:34: limits.count_per_hour: Expected `int | null`",
        ),
        ("count_per_hour", "count_per_week", "'count_per_week' is unknown here."),
        ("users.delete: deny", "users.delete: {effect: deny, limits: {count_per_day: 1}}", "9:36: Nothing is counted"),
    ],
)
def test_a_budget_that_means_nothing_is_told_by_its_line(empty, find, put, said):
    assert find in BUDGETS
    found = problems(empty, BUDGETS.replace(find, put, 1))
    assert any(said in line for line in found), found
    assert not Agent.objects.exists()


def test_a_plan_changes_nothing(empty):
    before = (Event.objects.count(), PolicyVersion.objects.count(), ApprovalRule.objects.count())
    planned(empty, FILE)
    assert (Event.objects.count(), PolicyVersion.objects.count(), ApprovalRule.objects.count()) == before
    assert not Agent.objects.exists()


def test_a_tier_that_stays_in_place_keeps_its_identity(empty):
    applied(empty, FILE)
    bot = Agent.objects.get(slug="support-bot")
    ids = {(row.action, row.environment): row.pk for row in bot.permissions.all()}
    applied(
        empty,
        FILE.replace("max_amount: 1000.50", "max_amount: 900").replace(
            "{effect: ask, environment: production}", "{effect: deny, environment: production}"
        ),
    )
    assert {(row.action, row.environment): row.pk for row in bot.permissions.all()} == ids


def test_what_changed_since_it_was_planned_is_not_applied(empty, people):
    made = planned(empty, FILE)
    create_agent(organization=empty, by=people.admin, name="Another")
    with pytest.raises(Conflict, match="plan again"):
        policies.apply(organization=empty, by=COMMAND_LINE, files=files(FILE), expected=made.digest)
    other_file = FILE.replace("max_amount: 50,", "max_amount: 5000,")
    made = planned(empty, FILE)
    with pytest.raises(Conflict):
        policies.apply(organization=empty, by=COMMAND_LINE, files=files(other_file), expected=made.digest)
    assert not Agent.objects.filter(slug="support-bot").exists()


def test_what_a_file_does_not_name_stays_unless_it_is_pruned(empty, people):
    create_agent(organization=empty, by=people.admin, name="Another")
    made = planned(empty, FILE)
    assert made.unmanaged == ["agent another"]
    applied(empty, FILE)
    assert Agent.objects.filter(slug="another", deleted_at=None).exists()
    made = applied(empty, FILE, prune=True)
    assert made.plan.words == "- agent another"
    assert not Agent.objects.filter(slug="another", deleted_at=None).exists()
    bare = "version: 1\nagents: {reader: {}}\n"
    [found] = problems(empty, bare, prune=True)  # the channel would tell of an agent that is gone
    assert "channel Operations: agents agt_" in found
    applied(empty, bare + "channels: {}\n", prune=True)
    assert not Channel.objects.exists()
    assert ApprovalRule.objects.filter(organization=empty).count() == 2  # a section that is not there is left alone


def test_a_file_lets_nobody_back_in(empty):
    applied(empty, FILE)
    set_status(agent=Agent.objects.get(slug="reader"), by=COMMAND_LINE, status="banned")
    assert planned(empty, FILE).changes == ()
    assert outcome(empty, "reader", "database.read", rows=5) == "deny"


def test_the_default_rule_moves_and_is_never_lost(empty):
    applied(empty, FILE)
    moved = FILE.replace("    default: true\n", "    minutes: 30\n").replace(
        "    approvals: 2\n", "    approvals: 2\n    default: true\n"
    )
    applied(empty, moved)
    assert ApprovalRule.objects.get(organization=empty, is_default=True).name == "Two people"
    unsaid = moved.replace("    default: true\n", "")
    assert planned(empty, unsaid).changes == ()


# Layers


def test_files_lie_over_each_other(empty):
    production = """\
version: 1
agents:
  support-bot:
    permissions:
      stripe.refund.small: {max_amount: 20}
      email.send: ask
      deploy.run: null
"""
    applied(empty, FILE, production)
    assert outcome(empty, "support-bot", "stripe.refund", amount=20) == "allow"
    assert outcome(empty, "support-bot", "stripe.refund", amount=21) == "ask"
    assert outcome(empty, "support-bot", "email.send") == "ask"
    assert outcome(empty, "support-bot", "deploy.run", "staging") == "deny"
    assert outcome(empty, "reader", "database.read", rows=5) == "allow"


# The external OPA

OPA = "version: 1\nexternal_opa: {url: 'https://opa.example.com/v1/data/acme/warden', timeout_ms: 400}\n"


def test_the_external_opa_is_a_part_of_the_file(empty, other, people):
    made = applied(empty, FILE + OPA.removeprefix("version: 1\n"), by=Membership.objects.get(user=people.owner))
    said = "+ external OPA https://opa.example.com/v1/data/acme/warden; timeout ms 400  (narrows)"
    assert said in made.plan.words
    assert (made.plan.summary, ExternalOpa.objects.get().set_by) == (
        "11 to add, 0 to change, 0 to remove",
        people.owner,
    )
    assert load(empty.pk).gate.timeout_ms == 400
    assert Event.objects.filter(organization_id=empty.pk, kind="person:external_opa:set").count() == 1
    assert planned(empty, OPA).changes == ()
    text = write(current(empty))
    assert yaml.safe_load(text)["external_opa"] == {
        "url": "https://opa.example.com/v1/data/acme/warden",
        "timeout_ms": 400,
    }
    applied(other, OPA)
    assert write(current(other)).endswith(text[text.index("external_opa") :])


def test_a_file_that_does_not_speak_of_an_external_opa_leaves_it_alone(empty):
    applied(empty, OPA)
    applied(empty, FILE, prune=True)
    assert ExternalOpa.objects.filter(organization=empty).exists()
    assert drift(empty).changes == ()
    made = applied(empty, "version: 1\nexternal_opa: none\n")
    assert made.plan.words == "- external OPA https://opa.example.com/v1/data/acme/warden; timeout ms 400  (widens)"
    assert not ExternalOpa.objects.exists()
    assert applied(empty, "version: 1\nexternal_opa: none\n").plan.changes == ()


@pytest.mark.parametrize(
    ("find", "put", "way"),
    [
        ("400", "300", "narrows"),
        ("400", "900", "widens"),
        ("/acme/warden", "/acme/other", "widens"),
        ("400", "300, ca_file: ca.pem", "widens"),
    ],
)
def test_a_plan_says_which_way_another_external_opa_goes(empty, settings, tmp_path, find, put, way):
    settings.OPA_CREDENTIALS_DIR = str(tmp_path)
    (tmp_path / empty.slug).mkdir()
    (tmp_path / empty.slug / "ca.pem").write_bytes(Authority.new("acme.example").certificate.public_bytes(PEM))
    applied(empty, OPA)
    [change] = planned(empty, OPA.replace(find, put)).changes
    assert (change.kind, change.direction) == ("change", way)
    assert "external OPA https://opa.example.com/v1/data/acme/warden: " in change.words


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        (
            "https://opa.example.com/",
            "http://169.254.169.254/",
            "2:21: http://169.254.169.254/v1/data/acme/warden: url: This",
        ),
        ("400", "40", "2:80: timeout_ms: Expected `int` >= 50"),
        ("timeout_ms: 400", "token: hunter2", "2:68: Secrets do not belong into files: name where it is, as token_env"),
        ("timeout_ms: 400", "token_file: token", "2:1: https://opa.example.com/v1/data/acme/warden: OPA_CRED"),
        ("timeout_ms: 400", "secrets: 1", "2:68: 'secrets' is unknown here. There are: url, timeout_ms, token_file"),
        ("{url: ", "{to: ", "2:16: 'to' is unknown here"),
        ("{url: 'https://opa.example.com/v1/data/acme/warden', timeout_ms: 400}", "no", "2:15: external_opa: say none"),
    ],
)
def test_a_file_that_names_no_opa_that_could_be_asked_changes_nothing(empty, find, put, said):
    found = problems(empty, OPA.replace(find, put, 1))
    assert any(line.startswith(f"warden.yaml:{said}") for line in found), found
    assert not ExternalOpa.objects.exists()


# What is wrong, and where


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("effect: allow, max_amount: 50,", "effect: maybe, max_amount: 50,", "20:37: effect: Invalid enum value"),
        ("max_amount: 50,", "max_amount: -1,", "20:56: stripe.refund.small: max_amount: Ensure this value"),
        ("max_amount: 50,", "max_amount: 0.00001,", "20:56: stripe.refund.small: max_amount: Ensure that there are"),
        ("rule: Two people", "rule: Three", "21:96: There is no rule 'Three'"),
        ("effect: allow, condition", "effect: allow, rule: Standard, condition", "27:44: A rule says who is asked"),
        ("context.rows < 100", "context.rows <", "27:49: database.read: condition: Line 1, column"),
        ("owner@acme.example", "nobody@acme.example", "11:3: support-bot: nobody@acme.example is not a member"),
        ("environment: staging", "environment: moon", "23:40: deploy.run: environment: The organization has no such"),
        ("  reader:", "  Reader:", "25:3: Reader: slug: "),
        ("email.send: allow", "Email: allow", "19:14: Email: action: Action must be a name"),
        ("address: ops@example.com", "address: nowhere", "29:43: Operations: address: "),
        ("agents: [support-bot]", "agents: [ghost]", "29:60: Operations: agents: There is no ghost"),
        ("roles: [owner, admin]", "roles: [viewer]", "7:5: Two people: roles: Choose among the roles"),
        ("    approvals: 2\n", "    approvals: 20\n", "6:16: approvals: Expected `int` <= 10"),
        ("version: 1\n", "version: 2\n", "1:10: The version is 1"),
        ("  Standard:\n", "  Standard: &x\n", ""),
        ("approvals: 2\n", "approvals: 2\n    approvals: 3\n", "7:5: 'approvals' is here twice, first in line 6"),
        ("name: Support bot", "name: [Support", "1"),
    ],
)
def test_a_bad_file_changes_nothing_and_names_the_line(empty, find, put, said):
    assert find in FILE
    text = FILE.replace(find, put, 1)
    if not said:
        planned(empty, text)
        return
    found = problems(empty, text)
    assert any(line.startswith("warden.yaml:") and said in line for line in found), found
    assert not Agent.objects.exists()


def test_everything_that_is_wrong_is_said_at_once(empty):
    text = (
        FILE.replace("max_amount: 50,", "max_amount: -1,")
        .replace("environment: moon", "")
        .replace("rows < 100", "rows <")
    )
    assert len(problems(empty, text)) == 2


def test_the_place_is_that_of_the_layer_that_said_it(empty):
    [found] = problems(
        empty, FILE, "version: 1\nagents:\n  reader:\n    permissions:\n      a.b: {effect: allow, risk: huge}\n"
    )
    assert found.startswith("layer-1.yaml:5:34: risk: Invalid enum value 'huge'")


# Secrets


def test_addresses_can_be_named_instead_of_written(empty):
    text = FILE.replace("address: ops@example.com", "address_env: OPS_MAIL")
    [found] = problems(empty, text)
    assert "OPS_MAIL has no value where this is applied" in found
    applied(empty, text, values={"env:OPS_MAIL": "secret-list@example.com"})
    assert Channel.objects.get().address == "secret-list@example.com"


def test_a_secret_that_is_written_down_is_refused(empty):
    text = FILE.replace("address: ops@example.com", "address: ops@example.com, api_key: ak_live")
    found = problems(empty, text)
    assert any("Secrets do not belong into files" in line and ":29:" in line for line in found), found


def test_a_new_webhook_tells_its_secret_once(empty):
    text = FILE + "  Hook: {transport: webhook, address: 'https://example.com/hook'}\n"
    assert list(applied(empty, text).secrets) == ["Hook"]
    assert applied(empty, text).secrets == {}


# Who may


def test_a_member_without_the_right_applies_nothing(empty, people):
    made = planned(empty, FILE)
    viewer = Membership.objects.get(user=people.viewer)
    with pytest.raises(Refused):
        policies.apply(organization=empty, by=viewer, files=files(FILE), expected=made.digest)
    assert not Agent.objects.exists()


def test_other_organizations_are_not_touched(empty, other, people):
    bot = create_agent(organization=other, by=people.stranger, name="support-bot")
    create_permission(agent=bot, by=people.stranger, action="a.b", effect="allow")
    applied(empty, FILE, prune=True)
    assert Permission.objects.filter(agent=bot).count() == 1


# By command


def test_the_commands_do_the_same(empty, people, tmp_path, monkeypatch, capsys):
    people.stranger.organizations.all().delete()
    file = tmp_path / "warden.yaml"
    file.write_text(FILE.replace("address: ops@example.com", "address_env: OPS_MAIL"))

    def run(name, *arguments):
        call_command(name, *arguments, "--json")
        return json.loads(capsys.readouterr().out)

    with pytest.raises(CommandError, match="OPS_MAIL"):
        run("policy_plan", str(file))
    monkeypatch.setenv("OPS_MAIL", "ops@example.com")
    assert run("policy_validate", str(file)) == {"valid": True, "problems": []}
    made = run("policy_plan", str(file))
    with pytest.raises(CommandError, match="plan again"):
        run("policy_apply", str(file), "--plan", "0" * 64)
    done = run("policy_apply", str(file), "--plan", made["digest"], "--source", "main", "--by", people.admin.email)
    assert (done["changed"], done["summary"]) == (True, made["summary"])
    assert run("policy_apply", str(file))["changed"] is False
    call_command("policy_diff", "--check")
    call_command("policy_export")
    out = capsys.readouterr().out
    assert "address: ops@example.com" in out
    call_command("delete_permission", "support-bot", "email.send")
    with pytest.raises(CommandError, match=r"\+ email\.send passes"):
        call_command("policy_diff", "--check")
    file.write_text(FILE.replace("max_amount: 50", "max_amount: -50"))
    with pytest.raises(CommandError, match=r"warden\.yaml:20:\d+: stripe\.refund\.small: max_amount"):
        run("policy_validate", str(file))
