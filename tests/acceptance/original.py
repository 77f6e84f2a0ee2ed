"""A released client, unmodified, in a process of its own that knows nothing of Warden.

`Original(folder, base_url, key)` starts it; its methods are the client's own. What the client raises comes back as a
`Raised`, with the name of its class.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SPEAKER = """
import json, sys
import agentwarden

def succeed():
    return "acted"

def fail():
    raise RuntimeError("the ledger is closed")

key, base_url = json.loads(sys.stdin.readline())
guard = agentwarden.AgentWarden(api_key=key, base_url=base_url, timeout=60)
print(json.dumps({"version": agentwarden.__version__, "file": agentwarden.__file__}), flush=True)
for line in sys.stdin:
    name, args = json.loads(line)
    if name == "execute":
        args[2] = {"succeed": succeed, "fail": fail}[args[2]]
    try:
        value = getattr(guard, name)(*args)
    except Exception as error:
        said = {"raised": type(error).__name__, "message": str(error), "about": vars(error)}
    else:
        said = {"value": value if isinstance(value, str) else vars(value)}
    print(json.dumps(said), flush=True)
"""


class Raised(Exception):
    """What the client raised: the name of its class, its message, its attributes."""

    def __init__(self, name: str, message: str, about: dict[str, Any]) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.about = about


def install(version: str, folder: Path) -> None:
    """The release from the package index, and nothing else, into `folder`. pip's own settings apply."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--target", str(folder), f"agentwarden=={version}"], check=True, timeout=300)


class Original:
    """The client in its process."""

    def __init__(self, folder: Path, base_url: str, key: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", SPEAKER],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = self._tell([key, base_url])
        assert Path(told["file"]).is_relative_to(folder), told
        self.version: str = told["version"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def _tell(self, words: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def _call(self, name: str, *args: Any) -> Any:
        said = self._tell([name, args])
        if "raised" in said:
            raise Raised(said["raised"], said["message"], said["about"])
        return said["value"]

    def check(self, agent: str, action: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
        value: dict[str, Any] = self._call("check", agent, action, context)
        return value

    def log(self, agent: str, action: str, status: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
        value: dict[str, Any] = self._call("log", agent, action, status, context)
        return value

    def execute(self, agent: str, action: str, callback: str, context: dict[str, Any] | None = None) -> Any:
        """`callback` is succeed or fail."""
        return self._call("execute", agent, action, callback, context)
