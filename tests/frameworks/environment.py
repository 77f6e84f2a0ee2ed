"""The environment of the frameworks: what tests/frameworks/uv.lock says, installed once for each lock, and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.client.node import cache

HERE = Path(__file__).parent
CACHE = cache().parent


def uv() -> str:
    """uv, which made the environment these tests run in."""
    for found in (os.environ.get("UV"), shutil.which("uv"), Path.home() / ".local/bin/uv", CACHE / "uv/bin/uv"):
        if found and Path(found).exists():
            return str(found)
    raise RuntimeError("uv was not found: set UV to its path")


def python() -> str:
    """A Python that has the frameworks, and nothing of Warden's."""
    wanted = hashlib.sha256((HERE / "uv.lock").read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = CACHE / "frameworks" / wanted
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as folder:
            fresh = Path(folder) / "venv"
            ours = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
            command = [uv(), "sync", "--locked", "--quiet", "--python", sys.executable]
            subprocess.run(
                command, cwd=HERE, env=ours | {"UV_PROJECT_ENVIRONMENT": str(fresh)}, check=True, timeout=600
            )
            if not home.exists():  # somebody may have been faster
                fresh.rename(home)
    return str(home / "bin" / "python")
