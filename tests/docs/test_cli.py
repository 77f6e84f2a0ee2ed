"""docs/cli.md: its commands run against a server, and its tables are those of the command line."""

import os
import shlex
import subprocess
import sys
import time

import pytest
from agentwarden import cli
from agentwarden.cli._exits import EXITS

from accounts.models import User
from agents.models import Agent
from approvals.models import Approval
from approvals.services import review
from tests.docs.pages import blocks, table
from tests.factories import a_key
from tests.server import Server
from warden.management.commands.seed_demo import DEVOPS, SUPPORT, seed

PAGE = "docs/cli.md"
EXAMPLES = {block.label: block.text for block in blocks(PAGE, "sh")}


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_page_say_yes(server: Server) -> None:
    organization = seed("correct horse battery staple")
    _, key = a_key(organization, Agent.objects.get(slug=SUPPORT))
    environment = os.environ | {"AGENTWARDEN_BASE_URL": server.url, "AGENTWARDEN_API_KEY": key}
    for name in ("check", "log"):
        program, *words = shlex.split(EXAMPLES[name])
        assert program == "agentwarden"
        done = subprocess.run(
            [sys.executable, "-m", program, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.django_db(transaction=True)
def test_the_gate_opens_when_a_person_approves(server: Server) -> None:
    organization = seed("correct horse battery staple")
    _, key = a_key(organization, Agent.objects.get(slug=DEVOPS))
    environment = os.environ | {"AGENTWARDEN_BASE_URL": server.url, "AGENTWARDEN_API_KEY": key}
    command, gate, script = EXAMPLES["gate"].strip().partition(" && ")
    assert (gate, script) == (" && ", "./deploy.sh")
    asked = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], env=environment, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while (approval := Approval.objects.first()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    review(
        approval_id=approval.id,
        by=User.objects.get(email="approver@example.com"),
        organization=organization,
        verdict="approve",
        reason="Go",
        digest=approval.digest,
        via="browser",
    )
    out, _ = asked.communicate(timeout=60)
    assert asked.returncode == 0
    assert out.decode().startswith("approved by approver@example.com: Go")
    assert Approval.objects.get().claimed_at is not None


def test_every_command_is_in_the_table() -> None:
    rows = table(PAGE, "command", "what it does")
    assert [(row["command"], row["what it does"]) for row in rows] == [
        (name, command.help) for name, command in cli.COMMANDS.items()
    ]


def test_every_exit_code_is_in_the_table() -> None:
    rows = table(PAGE, "exit code", "meaning")
    assert [(row["exit code"], row["meaning"]) for row in rows] == [
        (str(int(code)), said) for code, said in EXITS.items()
    ]
