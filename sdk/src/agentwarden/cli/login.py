"""agentwarden login: keep a key or a token for next time, in a file that only its owner can read."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from .._config import clean_url
from ._configuration import KEY_VARIABLE, TOKEN_VARIABLE, Configuration, Stored, file_of, kind_of, read_secret
from ._exits import Exit, Trouble
from ._options import common
from ._output import Output, plain
from .whoami import holder, key_words, token_words


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "The key is asked for, or read from stdin, or from --key-file: never from an argument."
    parser.add_argument("--forget", action="store_true", help="remove what is stored of this server")
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    stored = Stored.read(file_of(options))
    base_url = _url(options, stored)
    if options.forget:
        return _forget(stored, base_url, output)
    secret = _secret(options)
    kind = kind_of(secret)
    named = Configuration(base_url, secret, secret, options.agent, options.timeout, stored)
    if kind == "token":
        with named.person() as person:
            token = holder(person)
        words, value = token_words(token), token
    else:
        with named.client() as guard:
            key = guard.whoami()
        words, value = key_words(key), plain(key)
    server = stored.servers.setdefault(base_url, {})
    server[kind] = secret
    if options.agent:
        server["agent"] = options.agent
    stored.base_url = base_url
    stored.write()
    variable = TOKEN_VARIABLE if kind == "token" else KEY_VARIABLE
    if os.environ.get(variable):
        output.note(f"{variable} is set, and wins over what is stored now.")
    output.say(f"{words}\nstored in {stored.path}", {"base_url": base_url, "file": str(stored.path), kind: value})
    return Exit.OK


def _url(options: argparse.Namespace, stored: Stored) -> str:
    given = options.base_url or os.environ.get("AGENTWARDEN_BASE_URL") or stored.base_url
    if not given and sys.stdin.isatty():
        given = input("Where is Warden? https://")
        given = given if "://" in given else f"https://{given}"
    return clean_url(given)


def _secret(options: argparse.Namespace) -> str:
    if options.key_file:
        secret = read_secret(Path(options.key_file))
    elif sys.stdin.isatty():
        secret = getpass.getpass("An agent's key (ak_…, test_…) or your access token (wpat_…): ").strip()
    else:
        secret = sys.stdin.readline().strip()
    if not secret:
        raise Trouble("No key: paste one, pipe it in, or pass --key-file")
    return secret


def _forget(stored: Stored, base_url: str, output: Output) -> Exit:
    known = stored.servers.pop(base_url, None)
    if known is None:
        raise Trouble(f"Nothing is stored of {base_url}")
    if stored.base_url == base_url:
        stored.base_url = next(iter(stored.servers), None)
    stored.write()
    output.say(f"forgot {base_url}", {"base_url": base_url, "file": str(stored.path)})
    return Exit.OK
