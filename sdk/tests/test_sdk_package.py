"""The package as users get it: built, installed where nothing else is, typed, and cheap to import."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from tests.client.node import cache, node_and_npm

SDK = Path(__file__).parents[1]
PYRIGHT = "1.1.414"
COST = 0.060  # seconds that the client may take beyond httpx

USER = """
from agentwarden import AgentWarden, AsyncAgentWarden, CheckResult, PermissionDeniedError, error_context
from agentwarden.testing import FakeWarden

guard: AgentWarden = FakeWarden().client()
result: CheckResult = guard.check("bot", "stripe.refund", {"amount": 20})
reason: str | None = result.reason


@guard.protect("stripe.refund", agent_id="bot")
def refund(order: str, amount: float) -> bool:
    return amount > 0


paid: bool = refund("ord_1", 20.0)


async def main() -> None:
    async with AsyncAgentWarden() as asynchronous:
        if await asynchronous.check("bot", "email.send"):
            await asynchronous.log("bot", "email.send", "success")


try:
    refund("ord_1", 1)
except PermissionDeniedError as error:
    told: dict[str, object] = error_context(error)
"""
WRONG = """
from agentwarden import AgentWarden

guard = AgentWarden()
allowed: int = guard.check("bot", "x.y").reason
guard.check("bot", "x.y", ["a list"])
guard.log("bot", "x.y")


@guard.protect("x.y", agent_id="bot")
def run(amount: float) -> None: ...


run("a text")
"""


def uv() -> str:
    """uv, which made the environment these tests run in."""
    for found in (os.environ.get("UV"), shutil.which("uv"), Path.home() / ".local/bin/uv", _cached()):
        if found and Path(found).exists():
            return str(found)
    raise RuntimeError("uv was not found: set UV to its path")


def _cached() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warden" / "uv" / "bin" / "uv"


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("package")
    left_out = shutil.ignore_patterns("typescript", "node_modules", "__pycache__", "dist", ".venv")
    shutil.copytree(SDK, folder / "sdk", ignore=left_out)
    run(uv(), "build", "--quiet", "--out-dir", folder / "dist", folder / "sdk", cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module", params=["whl", "tar.gz"])
def python(request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the built package and what it depends on, and nothing else."""
    [archive] = built.glob(f"*.{request.param}")
    home = tmp_path_factory.mktemp("clean")
    run(uv(), "venv", "--quiet", "--python", sys.executable, home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    run(uv(), "pip", "install", "--quiet", "--python", python, archive, cwd=home)
    return python


def test_it_runs_where_only_httpx_is(python: Path, tmp_path: Path) -> None:
    told = run(python, "-c", "import agentwarden, agentwarden.testing; print(agentwarden.__version__)", cwd=tmp_path)
    version = re.search(r'^version = "(.*)"$', (SDK / "pyproject.toml").read_text(), re.M)
    assert version
    assert told.stdout.strip() == version[1]
    script = python.with_name("agentwarden")
    assert "deploy" not in run(script, "--version", cwd=tmp_path).stdout
    asked = run(script, "mcp-proxy", "--", "server", cwd=tmp_path, check=False)
    assert (asked.returncode, "pip install 'agentwarden-client[mcp]'" in asked.stderr) == (2, True)
    hook = run(script, "hook", "claude-code", cwd=tmp_path, check=False)
    assert '"permissionDecision": "deny"' in hook.stdout
    listed = run(uv(), "pip", "list", "--quiet", "--python", python, "--format", "freeze", cwd=tmp_path).stdout
    names = {line.partition("==")[0] for line in listed.splitlines()}
    assert names - {"typing_extensions", "typing-extensions", "exceptiongroup"} == {
        "agentwarden-client", "anyio", "certifi", "h11", "httpcore", "httpx", "idna",
    }  # fmt: skip


def test_both_archives_hold_the_types_and_the_wheel_no_test(built: Path) -> None:
    [wheel], [source] = built.glob("*.whl"), built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "agentwarden/py.typed" in names
    assert not [
        name for name in names if "test_" in name or not name.startswith(("agentwarden/", "agentwarden_client-"))
    ]
    with tarfile.open(source) as archive:
        assert any(name.endswith("src/agentwarden/py.typed") for name in archive.getnames())


def mypy(project: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = project / "project.py"
    file.write_text(text)
    words = ["--strict", "--no-error-summary", "--cache-dir", str(project / "cache"), "--config-file", os.devnull]
    return run(sys.executable, "-m", "mypy", *words, file.name, cwd=project, check=False)


def test_a_users_project_is_checked_strictly_and_passes(tmp_path: Path) -> None:
    done = mypy(tmp_path, USER)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_users_mistakes_are_found(tmp_path: Path) -> None:
    found = re.findall(r"project\.py:\d+: error: .*\[([a-z-]+)\]", mypy(tmp_path, WRONG).stdout)
    assert sorted(found) == ["arg-type", "arg-type", "assignment", "call-arg"]


@pytest.fixture(scope="session")
def pyright() -> list[str]:
    """The command pyright is: the package of npm, fetched once and kept. It runs without the network."""
    node, npm = node_and_npm()
    home = cache().parent / f"pyright-{PYRIGHT}"
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as fresh:
            words = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"pyright@{PYRIGHT}"]
            run(*npm, *words, cwd=Path(fresh))
            with contextlib.suppress(OSError):  # somebody was faster
                (Path(fresh) / "node_modules").rename(home)
    return [node, str(home / "pyright" / "index.js")]


@pytest.mark.parametrize("python", ["whl"], indirect=True)
def test_pyright_checks_a_users_project_against_the_wheel(python: Path, pyright: list[str], tmp_path: Path) -> None:
    """In its strictest mode: what is right passes, and each mistake is found."""
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    for name, text in (("right", USER), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(text)
    done = run(*pyright, "--pythonpath", python, "--outputjson", cwd=tmp_path, check=False)
    said = json.loads(done.stdout)["generalDiagnostics"]
    found = sorted((Path(each["file"]).name, each["rule"]) for each in said)
    assert found == [
        ("wrong.py", "reportArgumentType"),
        ("wrong.py", "reportArgumentType"),
        ("wrong.py", "reportAssignmentType"),
        ("wrong.py", "reportCallIssue"),
    ]


def imported(*modules: str) -> set[str]:
    """What a fresh interpreter has loaded after importing these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return set(run(sys.executable, "-c", program, cwd=SDK).stdout.split())


def test_importing_it_costs_little_beyond_httpx() -> None:
    """In time of the processor, the best of five: a busy machine slows some, a slow client all."""
    program = "import time, httpx; began = time.process_time(); import agentwarden._client, agentwarden._http"
    told = [run(sys.executable, "-c", f"{program}; print(time.process_time() - began)", cwd=SDK) for _ in range(5)]
    assert min(float(done.stdout) for done in told) < COST


def test_importing_the_package_loads_neither_httpx_nor_an_extra() -> None:
    assert not imported("agentwarden") & {"httpx", "mcp", "prometheus_client", "opentelemetry"}
    used = imported("agentwarden._client", "agentwarden._http", "agentwarden.cli", "agentwarden.cli.check")
    assert not used & {"asyncio", "mcp", "prometheus_client", "opentelemetry"}
