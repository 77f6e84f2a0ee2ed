"""The demonstration: made once, never in production, told again at every start."""

import io
import stat

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Membership, Organization, User
from accounts.secrets import hash_secret
from agents import policy
from agents.load import find_key, load
from agents.models import Agent, ApiKey, Permission
from audit.clock import database_now


@pytest.fixture(autouse=True)
def home(settings, tmp_path, db):
    settings.WARDEN_HOME = tmp_path
    return tmp_path


def seed() -> str:
    out = io.StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def test_it_makes_three_people_three_agents_and_their_tiers(home):
    said = seed()
    password = (home / "demo.txt").read_text().strip()
    assert password in said
    roles = dict(Membership.objects.values_list("user__email", "role"))
    assert roles == {"owner@example.com": "owner", "approver@example.com": "approver", "viewer@example.com": "viewer"}
    assert all(user.check_password(password) for user in User.objects.all())
    assert {agent.owner.email for agent in Agent.objects.all()} == {"owner@example.com"}
    compiled = load(Organization.objects.get().pk).policy

    def ask(agent: str, action: str, **context: object) -> str:
        return policy.decide(compiled, policy.Request(agent, action, context), database_now()).outcome

    amounts = [ask("customer-support-bot", "stripe.refund", amount=amount) for amount in (50, 51, 200, 201, 1000, 1001)]
    assert amounts == ["allow", "allow", "allow", "ask", "ask", "deny"]
    assert ask("devops-bot", "deploy.staging") == "allow"
    assert ask("devops-bot", "deploy.production") == "ask"
    assert ask("data-processing-bot", "s3.upload") == "allow"
    assert ask("data-processing-bot", "s3.delete") == "deny"


def test_its_secrets_are_readable_by_their_owner_alone(home):
    seed()
    for name in ("demo.txt", "demo_api_key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    key = find_key(hash_secret((home / "demo_api_key").read_text().strip()))
    assert key.agent_id == Agent.objects.get(slug="customer-support-bot").pk


def test_a_second_start_changes_nothing_and_says_the_same(home):
    first = seed()
    Permission.objects.filter(action="email.send").delete()
    counts = (User.objects.count(), Agent.objects.count(), Permission.objects.count(), ApiKey.objects.count())
    assert seed() == first
    assert (User.objects.count(), Agent.objects.count(), Permission.objects.count(), ApiKey.objects.count()) == counts


def test_a_key_that_opens_nothing_any_more_is_replaced(home):
    seed()
    ApiKey.objects.update(revoked_at=database_now())
    seed()
    assert find_key(hash_secret((home / "demo_api_key").read_text().strip())).is_valid(database_now())


def test_an_installation_in_use_is_left_alone():
    Organization.objects.create(slug="real", name="Real")
    assert "already" in seed()
    assert not User.objects.exists()


def test_production_refuses(settings, home):
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="production"):
        seed()
    assert not Organization.objects.exists()
    assert not (home / "demo.txt").exists()
