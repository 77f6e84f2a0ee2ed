"""agentwarden policy against the running server, and its schema against what the server reads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from agentwarden.cli.validate import schema as shipped

from agents.code.document import schema
from agents.models import Agent, Permission
from tests.api.conftest import a_token
from tests.factories import a_member, an_agent, an_organization
from tests.server import Server

POLICY = """\
version: 1
agents:
  support-bot:
    permissions:
      email.send: allow
      stripe.refund: {effect: ask, max_amount: 100, currency: USD}
channels:
  Operations: {transport: email, address_env: OPS_MAIL}
tests:
  - {name: mail, agent: support-bot, action: email.send, expect: allow}
"""


def test_the_schema_of_the_client_is_the_servers() -> None:
    assert shipped() == json.loads(json.dumps(schema()))


@pytest.mark.django_db(transaction=True)
def test_a_pipeline_validates_tests_plans_and_applies(server: Server, tmp_path: Path) -> None:
    acme = an_organization("Acme")
    an_agent(acme, "support-bot")
    environment = os.environ | {
        "AGENTWARDEN_BASE_URL": server.url,
        "AGENTWARDEN_TOKEN": a_token(a_member(acme, "owner")),
        "AGENTWARDEN_CONFIG": str(tmp_path / "none.json"),
        "OPS_MAIL": "ops@example.com",
    }
    file = tmp_path / "warden.yaml"
    file.write_text(POLICY)

    def run(*words: str, code: int = 0, **more: str) -> Any:
        command = [sys.executable, "-m", "agentwarden", "policy", *words]
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    assert run("validate", str(file)).stdout == "valid\n"
    tested = run("test", str(file), "--fail-under", "100", "--junit", str(tmp_path / "junit.xml"), code=1)
    assert "not met: support-bot: stripe.refund up to 100.00: ask" in tested.stdout
    assert ElementTree.parse(tmp_path / "junit.xml").getroot()[0].get("failures") == "0"
    plan = json.loads(run("plan", str(file), "--json").stdout)
    assert plan["summary"] == "3 to add, 0 to change, 0 to remove"
    assert "3 to add" in run("plan", str(file)).stdout
    assert "--yes" in run("apply", str(file), code=2).stderr
    assert not Permission.objects.exists()
    assert "Applied: 3 to add" in run("apply", str(file), "--plan", plan["digest"], "--source", "3f2a9c1").stdout
    assert Permission.objects.filter(agent=Agent.objects.get(slug="support-bot")).count() == 2
    assert json.loads(run("apply", str(file), "--yes", "--json").stdout)["changed"] is False
    assert run("diff", "--check").stdout == "Is as it was applied.\n"
    assert "0 of 0 checks would" in run("backtest", str(file)).stdout

    exported = tmp_path / "export.yaml"
    exported.write_text(run("export").stdout)
    assert "Nothing to change." in run("plan", str(exported)).stdout
    Permission.objects.filter(action="email.send").delete()
    assert "+ email.send passes" in run("diff", "--check", code=1).stdout

    file.write_text(POLICY.replace("max_amount: 100", "max_amount: -1"))
    assert f"{file}:6:48: stripe.refund: max_amount" in run("validate", str(file), code=1).stdout
    file.write_text(POLICY.replace("expect: allow", "expect: deny"))
    assert f"{file}:10: mail: expected deny" in run("test", str(file), code=1).stdout
