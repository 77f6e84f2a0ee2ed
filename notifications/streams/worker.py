"""One stream at work: reads on from its position, sends, and moves the position once the receiver has taken it."""

import random
import threading
import time
from collections import deque
from datetime import timedelta

import structlog
from django.db import Error, connection
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce

from audit.clock import database_now
from audit.log import Log
from audit.sequenced import Sequenced, read, size_of
from notifications.models import Position, Stream
from notifications.streams.posting import Webhook
from notifications.streams.sending import NotTaken, Sender
from notifications.streams.tcp import Syslog

log = structlog.get_logger(__name__)
TURN = 1.0  # seconds between looks at a log that has nothing new
LONGEST_WAIT = 60.0  # seconds between attempts: a receiver that is back is noticed within a minute
BATCH = 1_000  # events
BYTES = 500_000  # of their bodies
SAID = 500  # characters of an error that are kept


class Moved(Exception):
    """Somebody changed the stream: this worker ends, and another begins where it is now."""


def sender_of(stream: Stream) -> Sender:
    """The way out that a stream takes."""
    return Syslog(stream) if stream.is_syslog else Webhook(stream)


class Worker(threading.Thread):
    """Runs until it is stopped, or the stream is changed. Nothing that a receiver does ends it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(name=f"stream {stream.pk}", daemon=True)
        self.stream = stream
        self.stopping = threading.Event()
        self._sender = sender_of(stream)
        self._limit = BATCH
        self._failed = stream.attempts
        self._lost = True  # what a receiver took before we were there may have been lost with it meanwhile
        self._lately: dict[str, deque[tuple[float, int]]] = {scope: deque() for scope in stream.scopes}

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                wait = self.step()
                connection.close()  # back to the pool, which has fewer than there may be streams
                self.stopping.wait(wait)
        except Moved:
            log.info("stream.moved", stream=str(self.stream.pk))
        finally:
            self._sender.close()
            connection.close()

    def step(self) -> float:
        """A turn, and what follows where it fails. Returns how many seconds to wait then. Raises Moved."""
        try:
            try:
                return self.turn()
            except (Error, Moved):
                raise
            except NotTaken as error:
                return self._not_taken(error)
            except Exception as error:  # ours to mend; until then it is tried again, and seen on the page
                log.exception("stream.failed", stream=str(self.stream.pk))
                return self._not_taken(NotTaken(f"Warden could not tell it ({type(error).__name__})."))
        except Error as error:  # the database is away: the position is safe there
            log.warning("stream.database_lost", stream=str(self.stream.pk), error=type(error).__name__)
            return TURN

    def turn(self) -> float:
        """A batch of each log. Returns how long to wait: not at all where there is more."""
        if self._lost or self._sender.lost():
            self._rewind()
        more = [self._carry(scope) for scope in self.stream.scopes]
        self._settle()
        return 0.0 if any(more) else TURN

    def _carry(self, scope: str) -> bool:
        """Sends a batch of one log. Returns whether there is more."""
        position = Position.objects.filter(stream=self.stream, scope=scope).first()
        if position is None:
            raise Moved  # it was deleted
        own = Log.objects.filter(organization_id=self.stream.organization_id, mode=scope).first()
        size = size_of(own)
        if own is None or position.next_index >= size:
            return False
        first = max(position.next_index, own.first)  # what retention let go is not there any more
        until = min(first + self._limit, size)
        events = _cut(read(own, first, until))
        if events:
            self._sender.send(events)
            until = events[-1].index + 1
        self._taken(position, until)
        return until < size

    def _taken(self, position: Position, until: int) -> None:
        self._lately[position.scope].append((time.monotonic(), until))
        settled = max(self._settled(position.scope), position.settled_index)
        mine = Position.objects.filter(pk=position.pk, next_index=position.next_index).update(
            next_index=until, settled_index=settled, taken_at=database_now()
        )
        if not mine:
            raise Moved
        self._limit = min(self._limit + self._limit // 8 + 1, BATCH)
        if self._failed:
            self._failed = 0
            Stream.objects.filter(pk=self.stream.pk).update(error="", failing_since=None, attempts=0, retry_at=None)
            log.info("stream.recovered", stream=str(self.stream.pk))

    def _settled(self, scope: str) -> int:
        """Up to where the receiver took it so long ago that it is no longer sent again."""
        lately, settled = self._lately[scope], 0
        while lately and lately[0][0] <= time.monotonic() - self._sender.overlap:
            settled = lately.popleft()[1]
        return settled

    def _settle(self) -> None:
        for scope in self.stream.scopes:
            if settled := self._settled(scope):
                Position.objects.filter(
                    stream=self.stream, scope=scope, settled_index__lt=settled, next_index__gte=settled
                ).update(settled_index=settled)

    def _rewind(self) -> None:
        """Back to what is settled: the receiver was away."""
        for lately in self._lately.values():
            lately.clear()
        Position.objects.filter(
            stream=self.stream, stream__revision=self.stream.revision, next_index__gt=F("settled_index")
        ).update(next_index=F("settled_index"))
        self._lost = False

    def _not_taken(self, error: NotTaken) -> float:
        """Keeps why, and says when to try again: from what is settled on."""
        self._sender.close()
        self._lost = True
        if error.smaller and self._limit > 1:
            self._limit //= 2
            return 0.0
        self._failed += 1
        wait = min(2.0 ** min(self._failed - 1, 10), LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        said, now = str(error)[:SAID] or "It failed.", database_now()
        Stream.objects.filter(pk=self.stream.pk, revision=self.stream.revision).update(
            error=said,
            attempts=self._failed,
            retry_at=now + timedelta(seconds=wait),
            failing_since=Coalesce("failing_since", Value(now), output_field=DateTimeField()),
        )
        if self._failed == 1:
            log.warning("stream.failing", stream=str(self.stream.pk), error=said)
        return wait


def _cut(events: list[Sequenced]) -> list[Sequenced]:
    """As many from the first on as fit into BYTES; one in any case."""
    size = 0
    for number, event in enumerate(events):
        size += len(event.text)
        if size > BYTES and number:
            return events[:number]
    return events
