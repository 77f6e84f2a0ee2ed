"""agentwarden whoami: whose key or token this is."""

from __future__ import annotations

import argparse
from typing import Any

from .._client import AgentWarden
from .._models import Identity
from .._requests import Request
from ._configuration import configuration
from ._exits import Exit
from ._options import common
from ._output import Output


def configure(parser: argparse.ArgumentParser) -> None:
    common(parser, agent=False)


def run(options: argparse.Namespace, output: Output) -> Exit:
    told = configuration(options)
    if told.key or not told.token:
        with told.client() as guard:
            key = guard.whoami()
        output.say(f"{told.base_url}\n{key_words(key)}", {"base_url": told.base_url, "key": key})
    else:
        with told.person() as person:
            token = holder(person)
        output.say(f"{told.base_url}\n{token_words(token)}", {"base_url": told.base_url, "token": token})
    return Exit.OK


def holder(person: AgentWarden) -> dict[str, Any]:
    """What /api says of a person's token."""
    value: dict[str, Any] = person._run(person._core.exchange(Request("GET", "/api/whoami"))).json()
    return value


def key_words(key: Identity) -> str:
    agent = f"agent {key.agent_id}" if key.agent_id else "every agent of its organization"
    place = f", environment {key.environment}" if key.environment else ""
    return f"{key.mode} key {key.key_name!r} of {agent}{place}"


def token_words(token: dict[str, Any]) -> str:
    scopes = ", ".join(token["scopes"]) or "nothing"
    return f"{token['email']}, {token['role']} of {token['organization']}; may {scopes}"
