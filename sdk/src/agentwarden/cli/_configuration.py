"""Where Warden is and who asks it: flags, then the environment, then the file that `login` writes.

A key in the file belongs to the address it was stored with and is never sent to another.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._client import AgentWarden
from .._http import TOKEN_PREFIX
from ._exits import Trouble

KEY_VARIABLE = "AGENTWARDEN_API_KEY"
TOKEN_VARIABLE = "AGENTWARDEN_TOKEN"  # noqa: S105 - a variable's name
URL_VARIABLE = "AGENTWARDEN_BASE_URL"
AGENT_VARIABLE = "AGENTWARDEN_AGENT"
FILE_VARIABLE = "AGENTWARDEN_CONFIG"
PRIVATE = stat.S_IRUSR | stat.S_IWUSR


@dataclass(slots=True)
class Stored:
    """The file: the address that is used unless another is named, and what is known of each address."""

    path: Path
    base_url: str | None = None
    servers: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Stored:
        """The file, empty where there is none. Raises Trouble for one that others can read, or that makes no sense."""
        try:
            with path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise Trouble(f"{path} can be read by others: run chmod 600 {path}, and replace the keys in it")
                value = json.load(file)
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError) as error:
            raise Trouble(f"{path} cannot be read: {error}") from error
        servers = value.get("servers") if isinstance(value, dict) else None
        if not isinstance(servers, dict) or not all(_texts(each) for each in servers.values()):
            raise Trouble(f"{path} is not a file of agentwarden's: move it away and log in again")
        return cls(path, value.get("base_url"), servers)

    def write(self) -> None:
        """Replace the file at once, readable by its owner alone from its first moment."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        text = json.dumps({"base_url": self.base_url, "servers": self.servers}, indent=2)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
        fresh.replace(self.path)


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


@dataclass(frozen=True, slots=True)
class Configuration:
    """What this command was told, by whichever way. Secrets are left out of the repr."""

    base_url: str | None
    key: str | None = field(repr=False)
    token: str | None = field(repr=False)
    agent: str | None
    timeout: float
    stored: Stored = field(repr=False)

    def client(self, **more: Any) -> AgentWarden:
        """The client of an agent. Raises Trouble where there is no key."""
        return self._client(self.key, "an agent's key", KEY_VARIABLE, **more)

    def person(self, **more: Any) -> AgentWarden:
        """The same wire with a person's token, for /api. Raises Trouble where there is none."""
        return self._client(self.token, "a person's access token", TOKEN_VARIABLE, **more)

    def _client(self, secret: str | None, what: str, variable: str, **more: Any) -> AgentWarden:
        if not self.base_url:
            raise Trouble(f"No server: run agentwarden login, set {URL_VARIABLE}, or pass --base-url")
        if not secret:
            raise Trouble(
                f"This needs {what}, and there is none for {self.base_url}:"
                f" run agentwarden login, set {variable}, or pass --key-file"
            )
        return AgentWarden(secret, self.base_url, **{"timeout": self.timeout, **more})

    def agent_of(self, client: AgentWarden) -> str:
        """Who asks: named here, or else the one that the key is bound to."""
        agent = self.agent or client.whoami().agent_id
        if not agent:
            raise Trouble(f"This key speaks for every agent: say which, with --agent or {AGENT_VARIABLE}")
        return agent


def configuration(options: argparse.Namespace) -> Configuration:
    """Flags win over the environment, which wins over the file. Raises Trouble."""
    stored = Stored.read(file_of(options))
    base_url = options.base_url or os.environ.get(URL_VARIABLE) or stored.base_url
    base_url = base_url.strip().rstrip("/") if base_url else None
    known = stored.servers.get(base_url or "", {})
    secrets = {
        "key": os.environ.get(KEY_VARIABLE) or known.get("key"),
        "token": os.environ.get(TOKEN_VARIABLE) or known.get("token"),
    }
    if options.key_file:
        secret = read_secret(Path(options.key_file))
        secrets[kind_of(secret)] = secret
    agent = getattr(options, "agent", None) or os.environ.get(AGENT_VARIABLE) or known.get("agent")
    return Configuration(base_url, secrets["key"], secrets["token"], agent, options.timeout, stored)


def file_of(options: argparse.Namespace) -> Path:
    """--config, AGENTWARDEN_CONFIG, or agentwarden/config.json where this person's settings are."""
    named = options.config or os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "agentwarden" / "config.json"


def read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise Trouble(f"The key cannot be read from {path}: {error}") from error


def kind_of(secret: str) -> str:
    """Whether it is an agent's `key` or a person's `token`."""
    return "token" if secret.startswith(TOKEN_PREFIX) else "key"
