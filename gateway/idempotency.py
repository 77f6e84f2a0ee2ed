"""One key, one body, one answer (I4). The row is taken before the work, and holds the answer when it commits."""

from gateway.answers import KEY_REUSED, Answer
from gateway.jobs import Asked
from gateway.writer import Batch

TAKE = (
    "INSERT INTO gateway_idempotency (scope, key, body_hash, status, answer) VALUES (%s, %s, %s, 0, '')"
    " ON CONFLICT DO NOTHING"
)
Scoped = tuple[str, str]


class Keys:
    """The idempotency keys of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._taken: dict[Scoped, Asked] = {}
        self._followers: list[tuple[Asked, Asked]] = []

    async def open(self, jobs: dict[Scoped, list[Asked]]) -> list[Asked]:
        """Answers the jobs whose key was used before; returns those to be worked on. `jobs` are grouped by key."""
        order = sorted(jobs)  # one order for everybody: two writers never wait for each other in a circle
        taken = await self._take(order, jobs)
        used = [scoped for scoped in order if scoped not in taken]
        stored = await self._stored(used)
        todo: list[Asked] = []
        for scoped in order:
            first, *others = jobs[scoped]
            if scoped in taken:
                self._taken[scoped] = first
                todo.append(first)
                for other in others:
                    if other.body_hash() == first.body_hash():
                        self._followers.append((other, first))
                    else:
                        other.answer = KEY_REUSED
            else:
                body_hash, answer = stored[scoped]
                for job in jobs[scoped]:
                    job.answer = answer if job.body_hash() == body_hash else KEY_REUSED
        return todo

    async def _take(self, order: list[Scoped], jobs: dict[Scoped, list[Asked]]) -> set[Scoped]:
        taken: set[Scoped] = set()
        if not order:
            return taken
        async with self._batch.connection.cursor() as cursor:
            await cursor.executemany(TAKE, [(*scoped, jobs[scoped][0].body_hash()) for scoped in order], returning=True)
            for scoped in order:
                if cursor.rowcount == 1:
                    taken.add(scoped)
                cursor.nextset()
        return taken

    async def _stored(self, used: list[Scoped]) -> dict[Scoped, tuple[bytes, Answer]]:
        if not used:
            return {}
        cursor = await self._batch.connection.execute(
            "SELECT scope, key, body_hash, status, answer FROM gateway_idempotency"
            " WHERE (scope, key) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [[scope for scope, _ in used], [key for _, key in used]],
        )
        return {
            (scope, key): (bytes(body_hash), Answer(status, answer.encode()))
            async for scope, key, body_hash, status, answer in cursor
        }

    async def close(self) -> None:
        """Keeps the answers of what was done; lets go of keys whose request came to nothing."""
        kept: list[tuple[int, str, str, str]] = []
        freed: list[Scoped] = []
        for scoped, job in self._taken.items():
            if job.answer and job.answer.status == 200:
                kept.append((job.answer.status, job.answer.body.decode(), *scoped))
            else:
                freed.append(scoped)
        for follower, first in self._followers:
            follower.answer = first.answer
            if first.answer is None:  # it goes back, as do those who wait for its answer
                self._batch.after.append(follower.again)
        async with self._batch.connection.cursor() as cursor:
            if kept:
                await cursor.executemany(
                    "UPDATE gateway_idempotency SET status = %s, answer = %s WHERE scope = %s AND key = %s", kept
                )
            if freed:
                await cursor.executemany("DELETE FROM gateway_idempotency WHERE scope = %s AND key = %s", freed)
