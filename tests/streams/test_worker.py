"""A stream at work: at least once, in order, never past what the receiver has taken, and holding nobody up."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.utils.dateparse import parse_datetime
from standardwebhooks import Webhook as Verifier

from accounts.by import COMMAND_LINE
from audit.clock import database_now
from audit.log import Log
from audit.models import Event
from notifications import http
from notifications.alerts import measures
from notifications.streams import lag, runner, services, tcp
from notifications.streams.runner import Fleet
from notifications.streams.sending import NotTaken
from tests import factories
from tests.audit.sequencing import sequence, some_events, tamper, wait_for
from tests.notifications.conftest import Receiver
from tests.streams.conftest import a_stream, position, stream_all, working
from warden import metrics

pytestmark = pytest.mark.django_db(transaction=True)


def indexes(receiver: Receiver, log: str = "live") -> list[int]:
    lines = [json.loads(line) for each in receiver.received for line in each.body.splitlines()]
    return [line["index"] for line in lines if line["log"] == log]


def test_a_webhook_gets_signed_batches_of_both_its_logs_in_order(receiver: Receiver) -> None:
    acme, other = factories.an_organization(), factories.an_organization()
    some_events(acme.id, 2_100, card="plugh")
    some_events(acme.id, 3, "")
    some_events(acme.id, 2, "test")
    some_events(other.id, 2)
    sequence()
    stream, secret = a_stream(acme, address=receiver.url)
    stream_all(stream)
    assert indexes(receiver) == list(range(2_100))
    assert len(indexes(receiver, "organization")) == 3
    assert indexes(receiver, "test") == []
    seen = set()
    for each in receiver.received:
        assert b"plugh" not in each.body
        seen.add(each.headers["webhook-id"])
        said = each.headers["webhook-id"], int(each.headers["webhook-timestamp"]), each.body.decode()
        sent_at = datetime.fromtimestamp(said[1], UTC)
        assert Verifier(secret).sign(said[0], sent_at, said[2]) == each.headers["webhook-signature"]
        assert each.headers["content-type"] == "application/jsonl"
    assert len(seen) == len(receiver.received)
    log = Log.objects.get(organization_id=acme.id, mode="live")
    first = json.loads(receiver.received[0].body.splitlines()[0])
    assert first["leaf"] == bytes(Event.objects.get(id=log.leaves.get(index=0).event_id).leaf).hex()


def test_ocsf_and_payloads_where_they_are_asked_for(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 2, card="plugh")
    sequence()
    stream_all(a_stream(acme, address=receiver.url, format="ocsf", payloads=True)[0])
    event = json.loads(receiver.received[0].body.splitlines()[0])
    assert (event["class_uid"], event["metadata"]["version"]) == (6003, "1.5.0")
    assert "plugh" in event["unmapped"]["data"]


def test_a_receiver_that_refuses_is_asked_again_and_gets_everything(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 5)
    sequence()
    stream, _ = a_stream(acme, address=receiver.url)
    receiver.answers = [(500, {}, b"not now"), (503, {}, b"nor now"), (302, {"Location": "/"}, b"")]
    with working(stream) as worker:
        waits = [worker.step() for _ in range(3)]
        stream.refresh_from_db()
        assert (stream.attempts, stream.error) == (3, "302")
        assert stream.failing_since
        assert stream.retry_at
        assert lag.failing() == 1
        assert 0 < waits[0] <= 1
        assert 2 <= waits[2] <= 4
        assert position(stream)[0] == 0
        worker.step()
    stream.refresh_from_db()
    assert (stream.attempts, stream.error, stream.failing_since) == (0, "", None)
    assert position(stream)[0] == 5
    assert indexes(receiver) == [*range(5)] * 4
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1  # the same batch by the same name


def test_a_receiver_to_which_it_is_too_much_gets_less_at_once(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 900)
    sequence()
    stream, _ = a_stream(acme, address=receiver.url)
    receiver.answers = [(413, {}, b"too much"), (413, {}, b"too much")]
    with working(stream) as worker:
        while worker.step() == 0:
            continue
    assert sorted(set(indexes(receiver))) == list(range(900))
    assert [each.body.count(b"\n") for each in receiver.received[:3]] == [900, 500, 250]
    stream.refresh_from_db()
    assert stream.error == ""


def test_an_event_that_is_gone_holds_up_nothing(receiver: Receiver) -> None:
    acme = factories.an_organization()
    events = some_events(acme.id, 3)
    sequence()
    tamper("DELETE FROM audit_event WHERE id = %s", events[1].id)
    stream_all(a_stream(acme, address=receiver.url)[0])
    lines = [json.loads(line) for line in receiver.received[0].body.splitlines()]
    assert [line["event"] is None for line in lines].count(True) == 1
    assert indexes(receiver) == [0, 1, 2]


def test_what_retention_let_go_is_not_waited_for(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 5)
    sequence()
    Log.objects.filter(organization_id=acme.id, mode="live").update(first=3)
    stream, _ = a_stream(acme, address=receiver.url)
    [live, _] = lag.standings(stream, database_now())
    assert live.behind == 2
    stream_all(stream)
    assert indexes(receiver) == [3, 4]


def test_a_paused_stream_sends_nothing_and_goes_on_where_it_was(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 2)
    sequence()
    stream, _ = a_stream(acme, address=receiver.url)
    fleet = Fleet()
    try:
        fleet.look()
        wait_for(lambda: position(stream)[0] == 2, 20)
        services.pause(stream=stream, by=COMMAND_LINE)
        fleet.look()
        [worker] = fleet._workers.values()
        worker.join(20)
        some_events(acme.id, 2)
        sequence()
        fleet.look()
        assert (position(stream)[0], fleet._workers) == (2, {})
        assert lag.seconds(database_now()) == 0  # nobody is alarmed by what somebody wanted
        services.resume(stream=stream, by=COMMAND_LINE)
        fleet.look()
        wait_for(lambda: position(stream)[0] == 4, 20)
    finally:
        fleet.stop()
    assert indexes(receiver) == [0, 1, 2, 3]


def test_a_stream_that_is_moved_while_it_sends_goes_on_from_there(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 5)
    sequence()
    stream, _ = a_stream(acme, address=receiver.url)
    with working(stream) as worker:
        assert worker.turn() > 0
        services.move(stream=stream, scope="live", index=3, by=COMMAND_LINE)
        some_events(acme.id, 1)
        sequence()
        worker.turn()  # a worker of before reads where it is, and does no harm
    assert position(stream)[0] == 6
    services.move(stream=stream, scope="live", index=1, by=COMMAND_LINE)
    stream_all(stream)
    assert indexes(receiver) == [*range(5), 3, 4, 5, 1, 2, 3, 4, 5]


def test_one_that_fails_holds_up_no_other_stream(receiver: Receiver) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 2)
    sequence()
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and never a word
        a_stream(acme, "syslog_tcp", f"127.0.0.1:{deaf.getsockname()[1]}")
        well, _ = a_stream(acme, address=receiver.url)
        fleet = Fleet()
        try:
            fleet.look()
            wait_for(lambda: position(well)[0] == 2, 10)
        finally:
            fleet.stop()


def test_the_lag_is_shown_alerted_on_and_counted(receiver: Receiver) -> None:
    acme, other = factories.an_organization(), factories.an_organization()
    stream, _ = a_stream(acme, address=receiver.url)
    events = some_events(acme.id, 2)
    sequence()
    now = database_now()
    [live, organization] = lag.standings(stream, now)
    assert (live.size, live.behind) == (2, 2)
    assert (organization.behind, organization.lag) == (1, pytest.approx(live.lag, abs=5))  # that it was made
    age = (now - events[0].at).total_seconds()
    assert live.lag == pytest.approx(age, abs=0.1)
    assert lag.seconds(now, acme.id, "live") >= age
    assert lag.seconds(now, acme.id, "test") == lag.seconds(now, other.id, "live") == 0
    later = parse_datetime("2100-01-01T00:00:00Z")
    assert later
    read = measures.find("stream_lag").read
    scope = {"mode": "live", "now": later, "window": later - now}
    assert (read(measures.Scope(acme.id, **scope)) or 0) > 5
    assert read(measures.Scope(other.id, **scope)) == 0
    told = {metric.name: metric.samples[0].value for metric in metrics.Now().collect()}
    assert told["agentwarden_stream_lag_seconds"] >= age
    assert told["agentwarden_streams_failing"] == 0


class Peer:
    """A receiver of plain syslog that does as it is told with each connection."""

    def __init__(self, *manners: str) -> None:
        self.manners, self.got = list(manners), bytearray()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                manner = self.manners.pop(0) if self.manners else "reads"
                if manner == "closes first":
                    continue
                if manner == "resets":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    connection.recv(1)
                    continue
                while chunk := connection.recv(65_536):
                    self.got += chunk


@contextmanager
def peer(*manners: str) -> Iterator[Peer]:
    made = Peer(*manners)
    try:
        yield made
    finally:
        made.server.shutdown(socket.SHUT_RDWR)
        made.server.close()
        made.thread.join(5)


@pytest.mark.parametrize("manner", ["closes first", "resets"])
def test_a_receiver_that_did_not_read_to_the_end_has_taken_nothing(manner: str) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 400)
    sequence()
    with peer(manner) as receiver:
        stream, _ = a_stream(acme, "syslog_tcp", receiver.address)
        with pytest.raises(NotTaken, match="did not read to the end"):
            stream_all(stream)
        assert position(stream) == (0, 0)
        stream_all(stream)
        wait_for(lambda: receiver.got.count(b"agent:check:allow [") == 400, 10)


def test_what_a_receiver_took_lately_is_sent_again_when_it_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syslog has no acknowledgement: what was read may have been in memory only."""
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    with peer("reads", "closes first") as receiver:  # the second is the idle connection
        stream, _ = a_stream(acme, "syslog_tcp", receiver.address)
        with working(stream) as worker:
            worker._carry("live")
            assert position(stream) == (3, 0)
            wait_for(worker._sender.lost, 10)
            worker._rewind()
            assert position(stream) == (0, 0)
            worker._carry("live")
            assert position(stream) == (3, 0)
            monkeypatch.setattr(worker._sender, "overlap", 0.0)  # time passes
            worker._settle()
            assert position(stream) == (3, 3)
            worker._rewind()
            assert position(stream) == (3, 3)
        assert receiver.got.count(b'index="0"') == 2


def test_where_it_begins_after_a_restart_is_what_is_settled() -> None:
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    with peer() as receiver:
        stream, _ = a_stream(acme, "syslog_tcp", receiver.address)
        stream_all(stream)
        assert position(stream) == (3, 0)
        stream_all(stream)
        assert receiver.got.count(b'index="2"') == 2


def test_one_process_streams_and_another_takes_over_when_it_ends(receiver: Receiver) -> None:
    acme = factories.an_organization()
    stream, _ = a_stream(acme, address=receiver.url)
    ends = [threading.Event(), threading.Event()]
    processes = [threading.Thread(target=runner.run, args=(end.is_set,)) for end in ends]
    for number, (process, end) in enumerate(zip(processes, ends, strict=True), 1):
        if number == 1:
            for each in processes:
                each.start()
        some_events(acme.id, 1)
        sequence()
        wait_for(lambda: position(stream)[0] == number, 20)  # noqa: B023 - waited for here
        end.set()
        process.join(20)
    assert indexes(receiver) == [0, 1]


@pytest.mark.parametrize("address", ["localhost", "localhost:0", "a b:1", "user@localhost:1", ":514", "[::1"])
def test_what_is_no_host_and_port_is_no_receiver(address: str) -> None:
    with pytest.raises(http.BadAddress):
        tcp.split(address)
    assert tcp.split("[::1]:6514") == ("::1", 6514)
