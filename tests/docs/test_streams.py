"""docs/streams.md: its parameters and numbers are those of the code, and rsyslog takes its example."""

import re
import subprocess
from pathlib import Path

from audit import sequenced
from audit.clock import database_now
from audit.ids import new_id
from audit.leaf import SYSTEM, Entry, row
from audit.sequenced import Sequenced
from notifications.streams import rfc5424, tcp, worker
from tests.docs.pages import codes, read, table
from tests.streams.rsyslog import Authority, rsyslogd

PAGE = "docs/streams.md"


def test_the_parameters_are_those_that_are_sent(db: None) -> None:
    data = dict.fromkeys(("caller", "callee", "permission", "trace_id"), "x")
    entry = Entry("agent:check:allow", new_id(), "live", SYSTEM, "bot", "a.b", "apr_x", "allow", data)
    made = row(entry, database_now())
    sent = rfc5424.fields(Sequenced("origin", "live", 1, made.leaf.hex(), made.body))
    assert [name for line in table(PAGE, "parameter", "what it says") for name in codes(line["parameter"])] == list(
        sent
    )


def test_what_stays_of_an_events_data() -> None:
    [said] = re.findall(r"Of an event's data there remain ([^;]*);", read(PAGE).replace("\n", " "))
    assert tuple(re.findall(r"`(\w+)`", said)) == sequenced.KEPT


def test_the_numbers_are_those_of_the_code() -> None:
    page = read(PAGE).replace("\n", " ")
    assert f"in the last {tcp.OVERLAP:.0f} seconds" in page
    assert f"at most {worker.BATCH:,} events and about {worker.BYTES // 1_000} KB" in page
    assert worker.LONGEST_WAIT == 60


def test_rsyslog_takes_the_example(tmp_path: Path) -> None:
    [example] = re.findall(r"    global\(.*?\n    input\([^\n]*\n", read(PAGE), re.S)
    authority = Authority(tmp_path)
    certificate, key = authority.issue("logs.example.com")
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "server.pem").write_text(certificate)
    (tmp_path / "server.key").write_text(key)
    text = re.sub(r"/(etc/rsyslog|var/spool/rsyslog|var/log)\b", str(tmp_path), example)
    (tmp_path / "rsyslog.conf").write_text(text)
    words = [rsyslogd(), "-N1", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower().replace("-- errors", ""), done.stderr
