"""Every command line that the documentation shows is one that its command takes; the examples of some pages are run."""

import io
import json
import re
import shlex
from collections.abc import Iterator

import pytest
from agentwarden.cli._table import parser
from django.core.management import call_command, get_commands, load_command_class

from audit.ids import show_id
from notifications.models import Channel, Delivery
from tests import factories
from tests.docs.pages import DOCS, ROOT, blocks, read
from tests.notifications.conftest import Desk, Receiver, receiver, smtp

__all__ = ["receiver", "smtp"]  # fixtures

PAGES = [
    *sorted(str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md")),
    *("README.md", "CONTRIBUTING.md", "SECURITY.md", "sdk/README.md"),
]


def lines(program: str) -> list[str]:
    """What stands after the program's name where it is shown as code: by itself in a line, or in backticks."""
    found: set[str] = set()
    for page in PAGES:
        text = read(page).replace("\\\n", " ")
        found |= set(re.findall(rf"`(?:\./)?{program} ([a-z][^`\n]*)`", text))
        found |= set(re.findall(rf"^(?:    )?(?:\$ |.*=\$\()?(?:\./)?{program} ([a-z].*)$", text, re.M))
    return sorted({_words(line) for line in found})


def _words(line: str) -> str:
    """The line up to where the shell's own begins; quotes may hold anything."""
    kept, quote = "", ""
    for letter in line:
        if not quote and letter in "<>|#&;)":
            break
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        kept += letter
    return kept.strip()


SERVER = lines("script/manage")
CLIENT = lines("agentwarden")


def test_there_are_many() -> None:
    assert len(SERVER) > 70
    assert len(CLIENT) > 10


@pytest.mark.parametrize("line", SERVER)
def test_a_command_of_the_server_takes_it(line: str) -> None:
    name, *words = shlex.split(line)
    command = load_command_class(get_commands()[name], name)
    if words:
        command.create_parser("manage.py", name).parse_args(words)


@pytest.mark.parametrize("line", CLIENT)
def test_a_command_of_the_client_takes_it(line: str) -> None:
    words = shlex.split(line)
    if len(words) > 1 and "…" not in line and not re.search(r"\b[A-Z]{4,}\b", line):
        parser(words[0]).parse_args(words)
    else:
        assert words[0] in parser(None).format_help()


def said(example: str, others: dict[str, str] | None = None) -> list[str]:
    """What each command of an example printed. `others` stand for what it names."""
    printed = []
    for name, value in (others or {}).items():
        example = example.replace(name, value)
    for line in example.splitlines():
        _, name, *words = shlex.split(line)
        out = io.StringIO()
        call_command(name, *words, stdout=out)
        printed.append(out.getvalue())
    return printed


@pytest.mark.django_db
def test_the_grants_of_the_page_are_listed() -> None:
    factories.an_agent(factories.an_organization(), slug="customer-support-bot")
    [block] = blocks("docs/grants.md", "sh")
    assert said(block.text)[0].strip()


@pytest.mark.django_db(transaction=True)
def test_the_channel_of_the_page_is_made_and_tried_and_what_was_given_up_is_sent_again(smtp: Desk) -> None:
    factories.a_member(factories.an_organization(), "owner", "ann@example.com")
    _, (made, listed, _), (failed, again) = _notified()
    channel = Channel.objects.get(name="Operations")
    assert "Operations" in made
    assert [each["address"] for each in json.loads(listed)] == ["ops@example.com"]
    assert smtp.recipients == ["ops@example.com"]
    delivery = Delivery.objects.get(channel=channel)
    assert [each["id"] for each in json.loads(failed)] == [show_id("dlv", delivery.pk)]
    assert (delivery.state, again.strip() != "") == (Delivery.State.DUE, True)


def _notified() -> Iterator[list[str]]:
    """The examples of notifications; before the last, the message that was sent is given up."""
    named: dict[str, str] = {}
    examples = [block.text for block in blocks("docs/notifications.md", "sh")]
    for example in examples:
        if example is examples[-1]:
            Delivery.objects.update(state=Delivery.State.FAILED, sent_at=None)
            named = {"dlv_01K0000000000000000000000A": show_id("dlv", Delivery.objects.get().pk)}
        yield said(example, named)


@pytest.mark.django_db(transaction=True)
def test_the_webhook_of_the_page_is_made_and_tried(receiver: Receiver) -> None:
    factories.an_organization()
    [block, *_] = blocks("docs/webhooks.md", "sh")
    made, _ = said(block.text, {"https://example.com/hooks/warden": receiver.url})
    assert json.loads(made)["secret"].startswith("whsec_")
    assert len(receiver.received) == 1
