"""The command line as a person at a terminal uses it."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentwarden import cli


@dataclass
class Done:
    """What a command printed, and the exit code."""

    code: int
    out: str
    err: str


class Shell:
    """Runs `agentwarden` in this process, with a home, a stdin and an environment of its own."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.environment: dict[str, str] = {}
        self._patch = monkeypatch
        self._capsys = capsys

    @property
    def file(self) -> Path:
        return self.home / "agentwarden" / "config.json"

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Done:
        with self._patch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setenv("XDG_CONFIG_HOME", str(self.home))
            for name, value in {**self.environment, **environment}.items():
                patch.setenv(name, value)
            self._capsys.readouterr()
            try:
                code = cli.main(list(words))
            except SystemExit as done:  # argparse's own way out
                code = int(done.code or 0)
            out, err = self._capsys.readouterr()
        return Done(code, out, err)

    def json(self, *words: str, code: int = 0, **environment: str) -> Any:
        done = self(*words, "--json", **environment)
        assert done.code == code, done
        assert done.out.count("\n") == 1
        return json.loads(done.out)
