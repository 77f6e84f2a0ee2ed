"""The folder a Warden lives in: who may use it, and what it keeps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from warden.embedded.home import Home
from warden.embedded.processes import StartError


def test_a_home_has_one_owner_until_it_lets_go(home):
    first = home.claim("run")
    assert first is not None
    assert home.claim("command") is None
    assert home.owner()["role"] == "run"
    first.release()
    second = home.claim("command")
    assert second is not None
    second.release()


def test_a_second_run_on_the_same_home_says_so_and_exits_1(home):
    claim = home.claim("run")
    result = subprocess.run(
        [sys.executable, "-m", "warden.embedded", "run"],
        env={**os.environ, "WARDEN_HOME": str(home.path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    claim.release()
    assert result.returncode == 1
    assert result.stderr.strip() == (
        f"A Warden is running in {home.path} already. Stop it, or set WARDEN_HOME and PORT to run another."
    )


def test_the_secret_key_is_made_once_and_is_nobody_elses(home):
    key = home.secret_key()
    assert len(key) >= 50
    assert home.secret_key() == key
    assert (home.path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in home.path.glob(".secret_key*")] == []


def test_a_deep_home_gets_a_short_private_folder_for_its_sockets_and_keeps_it(tmp_path):
    deep = Home(tmp_path.joinpath(*["deeper-and-deeper"] * 8))
    sockets = deep.sockets()
    assert len(f"{sockets}/pg/.s.PGSQL.5432") <= 107
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert deep.sockets() == sockets
    shutil.rmtree(sockets)


def test_a_copy_of_a_deep_home_does_not_take_the_sockets_of_the_original(tmp_path):
    original = Home(tmp_path.joinpath(*["deeper-and-deeper"] * 8))
    sockets = original.sockets()
    shutil.copytree(original.path, original.path.with_name("copy"))
    copied = Home(original.path.with_name("copy")).sockets()
    assert copied != sockets
    for folder in (sockets, copied):
        shutil.rmtree(folder)


def test_a_path_that_the_servers_would_misread_is_not_used_for_sockets(tmp_path):
    home = Home(tmp_path / "it's, here")
    sockets = home.sockets()
    assert not sockets.is_relative_to(home.path)
    shutil.rmtree(sockets)


def test_a_home_that_is_no_folder_is_explained(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartError, match="Set WARDEN_HOME to another folder"):
        Home(Path(file))
