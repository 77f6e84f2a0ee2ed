"""sdk/typescript: its own tests, on a Node that is fetched if need be, and docs/typescript.md against a server."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from agents.connecting import FRAMEWORKS, Asked
from approvals.models import Approval
from approvals.services import review
from audit import note
from audit.log import Log, SigningKey
from audit.models import Event
from tests.audit.sequencing import Process, wait_for
from tests.client.node import node_and_npm
from tests.docs.pages import ROOT, blocks, read, table
from tests.gateway.conftest import World

SOURCE = ROOT / "sdk/typescript"
PAGE = "docs/typescript.md"
EXAMPLES = {block.label: block.text for block in blocks(PAGE, "ts")}
PRELUDE = """
const WARDEN_KEY = process.env["WARDEN_KEY"] ?? "";
void WARDEN_KEY;
const payments = {
  async refund(order: string, amount: number): Promise<void> {
    console.log(JSON.stringify([order, amount]));
  },
};
"""
PROGRAMS = {
    "observed.ts": """
import { register } from "prom-client";
import { guard } from "./observers.js";
await guard.check("support-bot", "stripe.refund", { amount: 20 });
console.log(await register.metrics());
""",
    "pay.ts": """
import assert from "node:assert/strict";
import { AgentWarden, ReceiptError } from "agentwarden-client";
import { refund } from "./receipts.js";

const guard = new AgentWarden();
const asked = await guard.check("customer-support-bot", "stripe.refund", { order: "ord_1042", amount: 312.5 });
await guard.waitForApproval(asked.approvalId ?? "");
const { receipt } = await guard.claim(asked.approvalId ?? "", { audience: "https://payments.example.com" });
await assert.rejects(refund("ord_1042", 3125, receipt ?? ""), ReceiptError);
await refund("ord_1042", 312.5, receipt ?? "");
await assert.rejects(refund("ord_1042", 312.5, receipt ?? ""), /used already/);
""",
}
STRICT = ["--strict", "--target", "es2023", "--module", "nodenext", "--types", "node"]


class Project:
    """The package, built, and a user's project that has it installed."""

    def __init__(self, folder: Path) -> None:
        self.node, self.npm = node_and_npm()
        self.package = folder / "package"
        self.user = folder / "user"
        shutil.copytree(SOURCE, self.package, ignore=shutil.ignore_patterns("node_modules", "dist"))
        self.environment = {**os.environ, "PATH": f"{Path(self.node).parent}:{os.environ['PATH']}"}
        self.run(*self.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=self.package)
        self.tsc("--project", str(self.package))
        packed = self.run(*self.npm, "pack", "--ignore-scripts", "--json", cwd=self.package).stdout
        self.packed: dict[str, Any] = json.loads(packed)[0]
        self.user.mkdir()
        (self.user / "package.json").write_text('{"type": "module"}')
        tarball = str(self.package / self.packed["filename"])
        self.run(*self.npm, "install", "--no-audit", "--no-fund", "--offline", tarball, cwd=self.user)
        for name in ("@types", "undici-types", "@opentelemetry", "prom-client"):  # as if they were installed too
            (self.user / "node_modules" / name).symlink_to(self.package / "node_modules" / name)
        asked = Asked("", "support-bot", "stripe.refund")
        (self.user / "connect.ts").write_text(FRAMEWORKS["typescript"].steps(asked)[-1].text)
        for name, text in PROGRAMS.items():
            (self.user / name).write_text(text)
        self.tsc(*STRICT, *(self.write(label).name for label in EXAMPLES), "connect.ts", *PROGRAMS, cwd=self.user)

    def run(self, *command: str, cwd: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def tsc(self, *words: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        compiler = str(self.package / "node_modules" / "typescript" / "bin" / "tsc")
        return self.run(self.node, compiler, *words, cwd=cwd or self.package, check=check)

    def write(self, label: str) -> Path:
        """An example of the page as a program of the user's: its imports, what it takes for granted, the rest."""
        imports = "".join(re.findall(r"^import .*\n", EXAMPLES[label], re.M))
        rest = re.sub(r"^import .*\n", "", EXAMPLES[label], flags=re.M)
        rest = rest.replace("const guard", "export const guard")
        file = self.user / f"{label}.ts"
        file.write_text(imports + PRELUDE + rest)
        return file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("typescript"))


def test_its_own_tests_pass_and_none_is_left_out(project: Project) -> None:
    files = sorted(str(file) for file in (project.package / "dist/test").glob("*.test.js"))
    done = project.run(project.node, "--test", "--test-reporter=tap", *files, cwd=project.package, check=False)
    assert done.returncode == 0, done.stdout
    counts = dict(re.findall(r"^# (\w+) (\d+)$", done.stdout, re.M))
    assert int(counts["pass"]) >= 189
    assert (counts["fail"], counts["skipped"], counts["todo"], counts["cancelled"]) == ("0", "0", "0", "0")


def test_the_package_holds_what_a_user_needs_and_no_test(project: Project) -> None:
    files = {file["path"] for file in project.packed["files"]}
    assert {"dist/src/index.js", "dist/src/index.d.ts", "dist/src/testing.js", "README.md", "package.json"} <= files
    assert not [name for name in files if "test/" in name]
    told = json.loads((SOURCE / "package.json").read_text())
    assert "dependencies" not in told
    assert told["peerDependencies"].keys() == {
        name for name, of in told["peerDependenciesMeta"].items() if of["optional"]
    }


def test_it_runs_where_nothing_else_is_installed(project: Project, tmp_path: Path) -> None:
    shutil.copytree(
        project.user / "node_modules" / "agentwarden-client", tmp_path / "node_modules" / "agentwarden-client"
    )
    program = (
        'import * as all from "agentwarden-client"; import "agentwarden-client/testing"; console.log(all.VERSION);'
    )
    done = project.run(project.node, "--input-type=module", "--eval", program, cwd=tmp_path)
    assert done.stdout.strip() == json.loads((SOURCE / "package.json").read_text())["version"]
    for part, needed in (("metrics", "prom-client"), ("tracing", "@opentelemetry/api")):
        program = f'await import("agentwarden-client/{part}");'
        done = project.run(project.node, "--input-type=module", "--eval", program, cwd=tmp_path, check=False)
        assert f"Cannot find package '{needed}'" in done.stderr


def test_a_users_mistake_is_a_type_error(project: Project) -> None:
    wrong = project.user / "wrong.ts"
    wrong.write_text(
        'import { AgentWarden } from "agentwarden-client";\n'
        "const guard = new AgentWarden();\n"
        "const allowed: boolean = (await guard.check('bot', 'x.y')).alowed;\n"
        "await guard.log('bot', 'x.y', 'done');\n"
        "await guard.check('bot', 'x.y', { run: () => 1 });\n"
    )
    done = project.tsc(*STRICT, "--noEmit", wrong.name, cwd=project.user, check=False)
    assert re.findall(r"wrong\.ts\((\d),", done.stdout) == ["3", "4", "5"]


def approve_what_comes(world: World) -> None:
    """A person who approves the first request."""
    deadline = time.monotonic() + 60
    try:
        while (approval := Approval.objects.filter(state="pending").first()) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert approval is not None
        review(
            approval_id=approval.id,
            by=world.approver,
            organization=world.acme,
            verdict="approve",
            reason="Go",
            digest=approval.digest,
            via="browser",
        )
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("label", "paid"), [("guard", 312.5), ("execute", 20), ("steps", 312.5)])
def test_an_example_pays_what_warden_allowed(project: Project, world: World, label: str, paid: float) -> None:
    type(world.bot).objects.filter(pk=world.bot.pk).update(slug="customer-support-bot")
    person = threading.Thread(target=approve_what_comes, args=[world])
    if paid > 200:
        person.start()
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    done = project.run(project.node, f"{label}.js", cwd=project.user, **ours)
    if paid > 200:
        person.join()
        assert Approval.objects.get().claimed_at is not None
    assert json.loads(done.stdout) == ["ord_1042", paid]
    assert [event.result for event in Event.objects.filter(kind="agent:action:log")] == ["success"]


@pytest.mark.django_db(transaction=True)
def test_an_executor_pays_what_a_person_approved_and_once(
    project: Project, world: World, tmp_path: Path, settings: Settings
) -> None:
    """A claim in TypeScript, its receipt by Warden's sequencer, checked with the log's public key alone."""
    type(world.bot).objects.filter(pk=world.bot.pk).update(slug="customer-support-bot")
    settings.WARDEN_HOME = tmp_path
    person = threading.Thread(target=approve_what_comes, args=[world])
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    with Process(str(tmp_path)):
        world.check("stripe.refund", {"amount": 1}, agent_id="customer-support-bot")
        wait_for(lambda: Log.objects.filter(organization_id=world.acme.id).exists())
        key = note.verifier_key("warden", bytes(SigningKey.objects.get().public))
        person.start()
        done = project.run(project.node, "pay.js", cwd=project.user, WARDEN_KEY=key, **ours)
        person.join()
    assert json.loads(done.stdout) == ["ord_1042", 312.5]


@pytest.mark.django_db(transaction=True)
def test_the_observers_of_the_page_count_what_the_table_names(project: Project, world: World) -> None:
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    told = project.run(project.node, "observed.js", cwd=project.user, **ours).stdout
    named = {row["metric"] for row in table("docs/client.md", "metric", "meaning")}
    assert set(re.findall(r"^# TYPE (\w+) ", told, re.M)) == named
    assert 'agentwarden_checks_total{agent_id="support-bot",action="stripe.refund",result="allowed"} 1' in told


@pytest.mark.django_db(transaction=True)
def test_the_snippet_of_the_connect_page_runs(project: Project, world: World) -> None:
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    done = project.run(project.node, "connect.js", cwd=project.user, **ours)
    assert done.stdout == "allowed: act now\n"


def test_the_example_for_tests_passes(project: Project) -> None:
    project.run(project.node, "tests.js", cwd=project.user)


def test_every_method_is_in_the_table() -> None:
    source = (SOURCE / "src/client.ts").read_text()
    methods = re.findall(r"^  (?:async )?([a-zA-Z]+)(?:<.*?>)?\(", source.partition("export class")[2], re.M)
    named = [row["method"] for row in table(PAGE, "method", "what it does")]
    assert sorted(named) == sorted(set(methods) - {"constructor"})


def test_every_option_is_named() -> None:
    options = re.findall(r"^  (\w+)\?:", (SOURCE / "src/wire.ts").read_text().partition("interface Options")[2], re.M)
    said = read(PAGE).partition("\nOptions:")[2].partition("\n\n")[0]
    assert [name for name in options if f"`{name}`" not in said] == []
