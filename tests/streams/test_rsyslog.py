"""Debian's rsyslog receives over TLS: verified, in order, and with nothing missing when it is restarted at random.

STREAMED_EVENTS and RSYSLOG_RESTARTS make it longer: `script/prove-stream`.
"""

import json
import os
import random
import re
import signal
import time
from collections import defaultdict

import pytest

from audit.log import Log
from audit.sequenced import json_line, read
from notifications.models import Stream
from notifications.streams.runner import Fleet
from notifications.streams.sending import NotTaken
from tests import factories
from tests.audit.sequencing import sequence, session, some_events, wait_for
from tests.streams.conftest import a_stream, position, stream_all
from tests.streams.rsyslog import Authority, Rsyslog

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = int(os.environ.get("STREAMED_EVENTS", "2000"))
RESTARTS = int(os.environ.get("RSYSLOG_RESTARTS", "6"))
MESSAGE = re.compile(r'<(\d+)>1 (\S+) 127\.0\.0\.1 warden live (\S+) \[warden@32473 index="(\d+)"[^\n]*?"\] ({.*})')


def test_rsyslog_over_tls_gets_every_event_in_order_as_the_record_has_it(
    rsyslog: Rsyslog, authority: Authority
) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 30, caller='spiffe://example.com/a"b]c\\d', note="zoë")
    sequence()
    stream, _ = a_stream(acme, "syslog_tls", rsyslog.address, authority=authority.pem)
    stream_all(stream)
    wait_for(lambda: len(rsyslog.lines()) == 30, 10)
    log = Log.objects.get(mode="live")
    for line, event in zip(rsyslog.lines(), read(log, 0, 30), strict=True):
        found = MESSAGE.fullmatch(line)
        assert found, line
        assert (found[1], found[2], found[3]) == ("110", event.body["at"], "agent:check:allow")
        assert int(found[4]) == event.index
        assert json.loads(found[5]) == json.loads(json_line(event, payloads=False))
        assert r'caller_spiffe_id="spiffe://example.com/a\"b\]c\\d"' in line
    assert position(stream)[0] == 30


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing(rsyslog: Rsyslog, tmp_path) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    (tmp_path / "other").mkdir()
    for authority in ("", Authority(tmp_path / "other").pem):
        stream, _ = a_stream(acme, "syslog_tls", rsyslog.address, authority=authority)
        with pytest.raises(NotTaken, match=r"securely.*certificate verify failed"):
            stream_all(stream)
        assert position(stream) == (0, 0)
    assert rsyslog.lines() == []


def test_a_receiver_of_another_name_gets_nothing(rsyslog: Rsyslog, authority: Authority) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    address = rsyslog.address.replace("localhost", "127.0.0.1")
    stream, _ = a_stream(acme, "syslog_tls", address, authority=authority.pem)
    with pytest.raises(NotTaken, match=r"securely.*127\.0\.0\.1"):
        stream_all(stream)
    assert rsyslog.lines() == []


def test_a_receiver_that_wants_to_know_who_sends_is_shown_a_certificate(authority: Authority) -> None:
    rsyslog = Rsyslog(authority, clients=True)
    rsyslog.start()
    try:
        acme = factories.an_organization()
        some_events(acme.id, 3)
        sequence()
        nobody, _ = a_stream(acme, "syslog_tls", rsyslog.address, authority=authority.pem)
        with pytest.raises(NotTaken):
            stream_all(nobody)
        assert position(nobody)[0] == 0
        certificate, key = authority.issue("warden.example.com")
        known, _ = a_stream(
            acme, "syslog_tls", rsyslog.address, authority=authority.pem, certificate=certificate, key=key
        )
        assert "PRIVATE KEY" not in Stream.objects.get(pk=known.pk).secret
        stream_all(known)
        wait_for(lambda: len(rsyslog.lines()) == 3, 10)
    finally:
        rsyslog.end()


def test_rsyslog_over_plain_tcp_gets_every_event(authority: Authority) -> None:
    rsyslog = Rsyslog(authority, tls=False)
    rsyslog.start()
    try:
        acme = factories.an_organization()
        some_events(acme.id, 2_500)
        sequence()
        stream, _ = a_stream(acme, "syslog_tcp", rsyslog.address)
        stream_all(stream)
        wait_for(lambda: len(rsyslog.lines()) == 2_500, 10)
        assert [int(MESSAGE.fullmatch(line)[4]) for line in rsyslog.lines()] == list(range(2_500))  # type: ignore[index]
    finally:
        rsyslog.end()


def test_rsyslog_is_restarted_at_random_and_nothing_is_missing(rsyslog: Rsyslog, authority: Authority) -> None:
    """It is stopped and killed while events flow; every index arrives, and each for the first time in its order."""
    chance = random.Random(7)
    acme = factories.an_organization()
    stream, _ = a_stream(acme, "syslog_tls", rsyslog.address, authority=authority.pem)
    fleet = Fleet()
    steps = RESTARTS * 2
    portion = -(-EVENTS // steps)
    restarts = sorted(chance.sample(range(steps), RESTARTS))
    try:
        fleet.look()
        with session() as sequencer:
            for step in range(steps):
                some_events(acme.id, portion)
                sequencer.turn()
                fleet.look()
                time.sleep(chance.uniform(0, 0.4))
                if step in restarts:
                    rsyslog.end(chance.choice([signal.SIGTERM, signal.SIGKILL]))
                    time.sleep(chance.uniform(0, 0.3))
                    rsyslog.start()
        total = portion * steps
        wait_for(lambda: position(stream)[0] == total, 120)
        wait_for(lambda: len(_firsts(rsyslog)["live"]) == total, 20)
    finally:
        fleet.stop()
    assert _firsts(rsyslog)["live"] == list(range(total))


def _firsts(rsyslog: Rsyslog) -> dict[str, list[int]]:
    """The indexes that arrived, each where it arrived first. A line that was cut by a kill is none."""
    seen: dict[str, dict[int, None]] = defaultdict(dict)
    for line in rsyslog.lines():
        if found := MESSAGE.fullmatch(line):
            seen["live"].setdefault(int(found[4]))
    return {name: list(indexes) for name, indexes in seen.items()}
