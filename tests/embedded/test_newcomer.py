"""What `script/run` installs, and nothing that only the tests need, is enough for what it tells a newcomer to do."""

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED = ("pyproject.toml", "uv.lock", ".python-version", "script", "sdk/pyproject.toml", "sdk/README.md")
RUN = '. script/lib.sh && sync run && exec "$PYTHON" sdk/examples/refund_agent.py'


def test_the_example_agent_starts_in_the_environment_that_warden_runs_in(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in NEEDED:
        source, copy = REPOSITORY / name, clone / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    for name in ("sdk/src", "sdk/examples"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AGENTWARDEN_", "WARDEN_"))
    }
    ran = subprocess.run(["bash", "-c", RUN], cwd=clone, env=environment, capture_output=True, text=True, timeout=300)
    assert "No API key" in ran.stderr
    assert not (clone / ".venv/bin/pytest").exists()
