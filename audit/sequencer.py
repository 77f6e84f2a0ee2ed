"""Puts the record in order: contiguous indexes, Merkle trees, signed checkpoints. One process, `manage.py sequence`.

A second one waits on the advisory lock and takes over within seconds of the holder's end: of its process, of its
machine, or of its turns, as the database ends a session that says nothing. All that one turn does is one transaction of
the session that holds the lock: a holder that lost its session can write nothing any more.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import structlog
from psycopg.rows import TupleRow

from audit import kept, note, signing
from audit.connection import conninfo
from audit.daily import Daily
from audit.merkle import Tree
from audit.partitions import make_ahead
from audit.receipts import ASKED, RECEIPTED, SIGNED, receipt
from audit.signing import Connection, Key, Refused
from audit.startup import check_log

log = structlog.get_logger(__name__)
LOCK = 0x57415244  # "WARD"
TURN = 0.4  # seconds between turns: a checkpoint follows its events within a second
HURRY = 0.02  # seconds between turns while somebody waits for a receipt
PATIENCE = 1.0  # seconds for which it hurries: another transaction may hold the horizon back
BEAT = 2.0  # seconds between signs of life
RETRY = 1.0  # seconds between looks at a lock that somebody holds, and at what was refused
HOUR = 3_600.0  # seconds between looks at the partitions, and at whether the day's work is due
BATCH = 4_000  # events in one turn
NOBODY = uuid.UUID(int=0)
# A holder that is frozen, or whose machine is gone, loses its session, and with it the lock.
SILENT = 10_000  # milliseconds
OPTIONS = (
    f"-c idle_session_timeout={SILENT} -c idle_in_transaction_session_timeout={SILENT} -c tcp_user_timeout={SILENT}"
    " -c statement_timeout=30000 -c lock_timeout=5000 -c timezone=UTC"
)

STATE = """
SELECT xid, event_id, cluster, (SELECT max(id) FROM audit_signingkey),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint, clock_timestamp()
FROM audit_sequencer FOR UPDATE
"""
FRESH = """
SELECT id, at, organization_id, mode, leaf, written::text::bigint, target, CASE WHEN kind = ANY(%(kinds)s) THEN body END
FROM audit_event
WHERE (written, id) > (%(xid)s::text::xid8, %(event_id)s) AND written < %(horizon)s::text::xid8
ORDER BY written, id LIMIT %(batch)s
"""
# What a dump brought along has the numbers of another PostgreSQL's transactions, above those of here, and is in order.
MOVE = """
UPDATE audit_sequencer SET xid = %s, event_id = %s, cluster = %s, beat_at = clock_timestamp(), waiting_since = (
    SELECT e.at FROM audit_event e
    WHERE (e.written, e.id) > (%s::text::xid8, %s) AND e.written < pg_snapshot_xmax(pg_current_snapshot())
      AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.event_id = e.id)
    ORDER BY e.written, e.id LIMIT 1)
"""
EVERYTHING = 2**63 - 1  # a horizon above every transaction


@dataclass(slots=True)
class Open:
    """One log while it is written."""

    id: int
    organization_id: uuid.UUID
    mode: str
    origin: str
    tree: Tree = field(default_factory=Tree)


class Rekeyed(Exception):
    """Another key signs now."""


class Sequencer:
    """One session's work. Raises Refused, Rekeyed, or psycopg.Error, after which a new one must be made."""

    def __init__(self, connection: Connection, key: Key) -> None:
        self.connection = connection
        self.key = key
        self._logs: dict[tuple[uuid.UUID, str], Open] = {}
        self._cluster = _system_identifier(connection)
        self._beat = 0.0

    @classmethod
    def start(cls, connection: Connection) -> "Sequencer":
        """On a session that holds the lock: every log is what was signed last, here and outside. Raises Refused."""
        with connection.transaction():
            connection.execute("INSERT INTO audit_sequencer (id) VALUES (1) ON CONFLICT DO NOTHING")
        with connection.transaction():
            sequencer = cls(connection, signing.open_key(connection))
        for row in connection.execute("SELECT id, organization_id, mode, origin FROM audit_log ORDER BY id").fetchall():
            opened = Open(*row)
            opened.tree = check_log(
                connection, opened.id, opened.origin, *kept.known(opened.organization_id, opened.mode)
            )
            sequencer._logs[opened.organization_id, opened.mode] = opened
        connection.execute("UPDATE audit_sequencer SET refusal = '', beat_at = clock_timestamp()")
        return sequencer

    def turn(self) -> int:
        """Sequences what has come since; returns how many events. Fewer than BATCH: there is no more for now."""
        notes: list[tuple[Open, str]] = []
        with self.connection.transaction():
            row = self.connection.execute(STATE, binary=True).fetchone()
            if row is None:
                raise Refused("The row of audit_sequencer is gone.")
            xid, event_id, cluster, key_id, horizon, now = row
            if key_id != self.key.id:
                raise Rekeyed
            if cluster in (0, self._cluster):
                events = self._read(xid, event_id, horizon)
                self._write(events, now, notes)
                self._go_on(events, horizon)
            else:
                # A dump was loaded into another PostgreSQL, whose transactions count from elsewhere: look at every
                # event there is, whatever wrote it, and from the horizon of before that on again.
                events = self._read(0, NOBODY, EVERYTHING)
                while events:
                    self._write(events, now, notes)
                    events = self._read(events[-1][5], events[-1][0], EVERYTHING)
                self._move(horizon, NOBODY)
        for opened, text in notes:
            kept.keep(opened.organization_id, opened.mode, text)
        return len(events)

    def _read(self, xid: int, event_id: uuid.UUID, horizon: int) -> list[TupleRow]:
        values = {"xid": str(xid), "event_id": event_id, "horizon": str(horizon), "batch": BATCH, "kinds": RECEIPTED}
        return self.connection.execute(FRESH, values, binary=True).fetchall()

    def _go_on(self, events: list[TupleRow], horizon: int) -> None:
        if len(events) == BATCH:
            self._move(events[-1][5], events[-1][0])
        elif events or time.monotonic() > self._beat + BEAT:
            # Everything below the horizon has ended, and was read: who comes later, comes above it.
            self._move(horizon, NOBODY)

    def _move(self, xid: int, event_id: uuid.UUID) -> None:
        self._beat = time.monotonic()
        self.connection.execute(MOVE, [xid, event_id, self._cluster, str(xid), event_id])

    def _write(self, events: list[TupleRow], now: datetime, notes: list[tuple[Open, str]]) -> None:
        """Gives each event that has none its index, and signs what came of it."""
        fresh = defaultdict(list)
        known = self._known([event[0] for event in events])
        for event in events:
            if event[0] not in known:
                fresh[event[2], event[3]].append(event)
        for (organization_id, mode), rows in fresh.items():
            opened = self._logs.get((organization_id, mode)) or self._open(organization_id, mode)
            first = opened.tree.size
            changed = opened.tree.append([bytes(row[4]) for row in rows])
            with self.connection.cursor().copy(
                "COPY audit_leaf (event_id, log_id, index, at) FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.set_types(["uuid", "bigint", "bigint", "timestamptz"])
                for index, row in enumerate(rows, first):
                    copy.write_row((row[0], opened.id, index, row[1]))
            with self.connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO audit_tile (log_id, level, number, hashes) VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (log_id, level, number) DO UPDATE SET hashes = EXCLUDED.hashes",
                    [(opened.id, level, number, hashes) for (level, number), hashes in changed.items()],
                )
            notes.append((opened, self._sign(opened, now)))
            self._hand_out(opened, rows, first, now)

    def _known(self, ids: list[uuid.UUID]) -> set[uuid.UUID]:
        """Which of them are sequenced: after a dump was loaded, one may be met again under its old number."""
        if not ids:
            return set()
        found = self.connection.execute("SELECT event_id FROM audit_leaf WHERE event_id = ANY(%s)", [ids], binary=True)
        return {row[0] for row in found}

    def _open(self, organization_id: uuid.UUID, mode: str) -> Open:
        origin = f"{signing.site()}/record/{organization_id}/{mode or 'organization'}"
        row = self.connection.execute(
            "INSERT INTO audit_log (organization_id, mode, origin) VALUES (%s, %s, %s) RETURNING id",
            [organization_id, mode, origin],
        ).fetchone()
        assert row is not None
        opened = self._logs[organization_id, mode] = Open(row[0], organization_id, mode, origin)
        return opened

    def _sign(self, opened: Open, now: datetime) -> str:
        root = opened.tree.root()
        text = note.sign(note.Head(opened.origin, opened.tree.size, root).text, opened.origin, self.key.private)
        self.connection.execute(
            "INSERT INTO audit_checkpoint (log_id, size, root, at, key_id, note) VALUES (%s, %s, %s, %s, %s, %s)",
            [opened.id, opened.tree.size, root, now, self.key.id, text],
        )
        return text

    def _hand_out(self, opened: Open, rows: list[TupleRow], first: int, now: datetime) -> None:
        for index, row in enumerate(rows, first):
            token = row[7] and receipt(row[7], opened.origin, index, self.key.private)
            if token:
                self.connection.execute(
                    "INSERT INTO audit_receipt (event_id, target, at, token) VALUES (%s, %s, %s, %s)",
                    [row[0], row[6], now, token],
                )
                self.connection.execute("SELECT pg_notify(%s, %s)", [SIGNED, row[6]])


def _system_identifier(connection: Connection) -> int:
    row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert row is not None
    number: int = row[0]
    return number


def connect() -> Connection:
    """A session that notices within seconds when it is lost."""
    return psycopg.connect(
        **conninfo()
        | {
            "application_name": "warden-sequencer",
            "options": f"{conninfo().get('options', '')} {OPTIONS}".strip(),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
        autocommit=True,
        prepare_threshold=2,
    )


def run(stopped: Callable[[], bool]) -> None:
    """Sequences until `stopped`; whatever goes wrong is said, and tried again."""
    daily = Daily()
    try:
        _run(stopped, daily)
    finally:
        daily.stop()


def _run(stopped: Callable[[], bool], daily: Daily) -> None:
    while not stopped():
        try:
            with connect() as connection:
                _hold(connection, stopped, daily)
        except Rekeyed:
            log.info("record.rekeyed")
        except (psycopg.Error, OSError) as error:
            log.warning("record.sequencer_lost", error=f"{type(error).__name__}: {error}")
            time.sleep(RETRY)


def _hold(connection: Connection, stopped: Callable[[], bool], daily: Daily) -> None:
    waiting = False
    while not _lock(connection):
        if not waiting:
            log.info("record.sequencer_waits")
        waiting = True
        if stopped():
            return
        time.sleep(RETRY)
    log.info("record.sequencer_holds")
    connection.execute(f"LISTEN {ASKED}")
    while not stopped():
        try:
            _sequence(connection, Sequencer.start(connection), stopped, daily)
        except Refused as error:
            log.error("record.refused", reason=str(error))
            connection.execute("UPDATE audit_sequencer SET refusal = %s, beat_at = clock_timestamp()", [str(error)])
            time.sleep(RETRY)


def _lock(connection: Connection) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    return row is not None and bool(row[0])


def _sequence(connection: Connection, sequencer: Sequencer, stopped: Callable[[], bool], daily: Daily) -> None:
    hurry = hourly = 0.0
    while not stopped():
        began = time.monotonic()
        if began > hourly:
            make_ahead(connection)
            daily.start(connection)
            hourly = began + HOUR
        if sequencer.turn() == BATCH:
            continue
        now = time.monotonic()
        until = now + HURRY if now < hurry else max(began + TURN, now + HURRY)
        for _ in connection.notifies(timeout=until - now, stop_after=1):
            hurry = time.monotonic() + PATIENCE
