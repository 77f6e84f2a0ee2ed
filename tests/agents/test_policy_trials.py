"""A policy that is not in force: its scenarios, and what it would have said of what agents really asked."""

import io
import json
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from agents.code.backtest import replay
from agents.code.reading import File
from agents.code.scenarios import junit
from agents.models import Agent
from agents.services import policy as policies
from agents.services.permissions import create_permission
from audit.clock import database_now
from audit.ids import read_id
from audit.leaf import Actor, Entry
from audit.models import Event
from audit.record import record_all

POLICY = """\
version: 1
agents:
  support-bot:
    permissions:
      stripe.refund.small: {effect: allow, max_amount: 50}
      stripe.refund.large: {effect: ask, max_amount: 1000}
      email.send: {effect: allow, condition: context.to.endsWith('@example.com')}
      deploy.run: {effect: allow, environment: staging}
"""
TESTS = """\
version: 1
tests:
  - {name: small refunds pass, agent: support-bot, action: stripe.refund, context: {amount: 49.99}, expect: allow,
     permission: stripe.refund.small}
  - {name: large ones wait, agent: support-bot, action: stripe.refund, context: {amount: 500}, expect: ask}
  - {name: larger ones do not, agent: support-bot, action: stripe.refund, context: {amount: 5000}, expect: deny,
     code: amount_exceeded}
  - {name: strangers get no mail, agent: support-bot, action: email.send, context: {to: a@evil.example}, expect: deny}
  - {name: unknown callers are denied, agent: nobody, action: email.send, expect: deny, code: unknown_agent}
  - {name: what nobody permits is denied, agent: support-bot, action: users.delete, expect: deny, code: no_permission}
"""


def files(*texts):
    return [File(f"file-{number}.yaml", text) for number, text in enumerate(texts)]


def came_of(acme, *texts):
    return policies.run_tests(acme, files(*texts), now=database_now())


def test_scenarios_are_decided_by_what_the_files_would_make(acme, people):
    report = came_of(acme, POLICY, TESTS)
    assert [(each.scenario.name, each.wrong) for each in report.failed] == []
    assert len(report.results) == 6
    assert [each.action for each in report.tiers if not each.covered] == ["deploy.run", "email.send"]
    assert (report.coverage, report.permission_coverage) == (50.0, 50.0)
    assert not Agent.objects.exists()
    assert not Event.objects.filter(kind__startswith="agent:check").exists()


def test_what_does_not_hold_is_told_with_its_line(acme, people):
    [wrong] = came_of(acme, POLICY, TESTS.replace("expect: ask}", "expect: allow}")).failed
    assert (wrong.file, wrong.line) == ("file-1.yaml", 5)
    assert wrong.wrong == "expected allow, came to ask (This action requires human approval)"
    other = TESTS.replace("permission: stripe.refund.small", "permission: stripe.refund.tiny")
    other = other.replace("code: no_permission", "code: no_idea")
    assert [each.wrong for each in came_of(acme, POLICY, other).failed] == [
        "expected stripe.refund.tiny to decide, stripe.refund.small did",
        "expected the code no_idea, it was no_permission",
    ]


def test_scenarios_alone_are_asked_of_what_there_is(acme, bot, people):
    text = "version: 1\ntests:\n  - {name: mail, agent: support-bot, action: email.send, expect: allow}\n"
    assert len(came_of(acme, text).failed) == 1
    create_permission(agent=bot, by=people.owner, action="email.send", effect="allow")
    report = came_of(acme, text)
    assert (report.failed, report.coverage) == ((), 100.0)


def test_the_tests_of_all_files_are_run(acme, people):
    more = "version: 1\ntests:\n  - {name: more, agent: nobody, action: a.b, expect: deny}\n"
    assert len(came_of(acme, POLICY, TESTS, more).results) == 7


def test_the_report_is_junits(acme, people):
    broken = TESTS.replace("expect: ask}", "expect: allow}").replace("large ones wait", '"<large> \\u0001"')
    root = ElementTree.fromstring(junit(came_of(acme, POLICY, broken)))
    [suite] = root
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")
    [failed] = [case for case in suite if len(case)]
    assert failed.get("name") == "<large> \ufffd"
    assert (failed.get("file"), failed.get("line")) == ("file-1.yaml", "5")


def test_the_command_fails_where_a_scenario_does_or_too_little_is_met(acme, people, tmp_path, capsys):
    people.stranger.organizations.all().delete()
    names = []
    for number, text in enumerate((POLICY, TESTS)):
        names.append(str(tmp_path / f"{number}.yaml"))
        (tmp_path / f"{number}.yaml").write_text(text)
    call_command("policy_test", *names, "--json", "--junit", str(tmp_path / "junit.xml"))
    assert json.loads(capsys.readouterr().out)["coverage"] == 50.0
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    with pytest.raises(CommandError, match=r"not met: support-bot: deploy\.run: allow in staging"):
        call_command("policy_test", *names, "--fail-under", "100")
    (tmp_path / "1.yaml").write_text(TESTS.replace("expect: ask}", "expect: allow}"))
    with pytest.raises(CommandError, match=r"1\.yaml:5: large ones wait: expected allow"):
        call_command("policy_test", *names)


# Backtest


@pytest.fixture
def history(acme, bot):
    """What agents asked lately, and what was answered under the policy of then."""
    now = database_now()

    def asked(action, result, context, *, days=1.0, mode="live", **data):
        said = {"environment": "", **data} | ({} if context is None else {"context": context})
        entry = Entry(
            f"agent:check:{result}", acme.pk, mode, Actor("agent", "", bot.slug), bot.slug, action, "", result, said
        )
        with transaction.atomic():
            record_all([entry], at=now - timedelta(days=days))

    for amount in (10, 40, 60):
        asked("stripe.refund", "allow", {"amount": amount})
    asked("stripe.refund", "ask", {"amount": 500})
    asked("stripe.refund", "ask", None, repeated=True)  # it waited, and asked again
    asked("email.send", "allow", {"to": "a@evil.example"})
    asked("deploy.run", "deny", {}, environment="staging")
    asked("stripe.refund", "allow", {"amount": 60}, days=20)
    asked("stripe.refund", "allow", {"amount": 60}, mode="test")
    return asked


def test_a_change_is_played_against_what_was_really_asked(acme, history):
    _, compiled = policies.proposed(acme, files(POLICY))
    found = replay(acme, compiled, since=database_now() - timedelta(days=7))
    assert (found.looked_at, found.skipped, found.differs, found.next) == (6, 1, 3, None)
    assert dict(found.groups) == {
        ("support-bot", "stripe.refund", "allow", "ask"): 1,
        ("support-bot", "email.send", "allow", "deny"): 1,
        ("support-bot", "deploy.run", "deny", "allow"): 1,
    }
    assert {each.action: each.permission for each in found.examples}["deploy.run"] == "deploy.run"
    assert not Event.objects.filter(kind="system:policy:apply").exists()


def test_a_long_history_is_played_in_parts(acme, history):
    _, compiled = policies.proposed(acme, files(POLICY))
    since, after, seen, differs = database_now() - timedelta(days=7), None, 0, 0
    for _ in range(10):
        page = replay(acme, compiled, since=since, after=after, most=2)
        seen, differs = seen + page.looked_at + page.skipped, differs + page.differs
        if page.next is None:
            break
        after = read_id("evt", page.next)
    assert (seen, differs) == (7, 3)


def test_the_backtest_by_command_tells_how_far_it_is(acme, history, people, tmp_path):
    people.stranger.organizations.all().delete()
    (tmp_path / "warden.yaml").write_text(POLICY)
    out, progress = io.StringIO(), io.StringIO()
    call_command("policy_backtest", str(tmp_path / "warden.yaml"), "--days", "30", stdout=out, stderr=progress)
    assert "support-bot  stripe.refund  allow → ask" in out.getvalue()
    assert "4 of 7 checks would have been decided otherwise" in out.getvalue()
    assert "7 checks looked at" in progress.getvalue()
