"""Agents as the documents show them, run where their frameworks are, against the running server."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from accounts.by import COMMAND_LINE
from agents.code.reading import File
from agents.services import policy as policies
from approvals import edits
from approvals.models import Approval
from tests.docs.pages import ROOT, read
from tests.frameworks.environment import python
from tests.frameworks.model import Model
from tests.gateway.conftest import World, make_key, world

__all__ = ["world"]
PAGE = "docs/frameworks.md"
PATIENCE = 120.0  # seconds: a framework's import takes several on a busy machine


@pytest.fixture(scope="session")
def interpreter() -> str:
    return python()


@dataclass
class Desk:
    """An agent's program, as a page shows it, and the people who decide on what it asks."""

    world: World
    interpreter: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    decided: int = 0

    @contextlib.contextmanager
    def running(self, model: Model, text: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The program while it runs; killed where the test leaves it."""
        file = self.folder / "agent.py"
        file.write_text(text)
        told = subprocess.Popen(
            [self.interpreter, str(file), *words],
            cwd=self.folder,
            env=self.environment | model.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield told
        finally:
            told.kill()
            told.communicate()

    def end(self, program: subprocess.Popen[str]) -> list[str]:
        """What it printed, line by line, once it has come to its end."""
        out, errors = program.communicate(timeout=PATIENCE)
        assert program.returncode == 0, out + errors
        return out.splitlines()

    def run(self, model: Model, text: str, *words: str) -> list[str]:
        with self.running(model, text, *words) as program:
            return self.end(program)

    def next(self, program: subprocess.Popen[str] | None = None) -> Approval:
        """The next request that waits for people."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = Approval.objects.order_by("id")[self.decided : self.decided + 1].first()
            if found is not None:
                self.decided += 1
                assert found.state == "pending"
                return found
            assert program is None or program.poll() is None, program.communicate()
            time.sleep(0.05)
        raise AssertionError("it did not ask")

    def change(self, approval: Approval, values: dict[str, Any], reason: str) -> None:
        edits.edit(
            approval_id=approval.id,
            by=self.world.approver,
            organization=self.world.acme,
            values=values,
            reason=reason,
            digest=approval.digest,
            via="browser",
        )


def tiers(world: World) -> None:
    """The agent as the page sets it up."""
    text = read(PAGE).partition("```yaml warden.yaml\n")[2].partition("   ```")[0]
    owner = world.owner
    owner.email = "owner@example.com"
    owner.save(update_fields=["email"])
    files = [File("warden.yaml", text)]
    plan = policies.plan(world.acme, files)
    policies.apply(organization=world.acme, by=COMMAND_LINE, files=files, expected=plan.digest)


@pytest.fixture
def desk(world: World, interpreter: str, tmp_path: Path) -> Desk:
    tiers(world)
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    ours = {
        "AAP_BASE_URL": f"{world.server.url}/aap",
        "AAP_TOKEN": make_key(world.acme, agent=world.bot, scopes=["aap"]),
        "AGENTWARDEN_BASE_URL": world.server.url,
        "AGENTWARDEN_API_KEY": world.key,
        "PYTHONPATH": str(ROOT / "sdk" / "src"),  # as `pip install ./sdk` does
        "OPENAI_AGENTS_DISABLE_TRACING": "1",  # it would be sent to OpenAI
        "NO_PROXY": "127.0.0.1",
    }
    return Desk(world, interpreter, tmp_path, kept | ours)
