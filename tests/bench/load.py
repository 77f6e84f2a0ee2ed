"""A load generator in its own process: raw HTTP/1.1 on keep-alive connections, one request after the other on each.

`python -m tests.bench.load` reads a job as JSON on stdin and prints the result as JSON; where the job says `tell`, it
prints `connected` first.
"""

import asyncio
import json
import sys
import time
import uuid

import uvloop


class Caller(asyncio.Protocol):
    """One connection. Counts an answer only when it is the expected status and has the expected bytes in it."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""
        self.needed = 0
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.load.request())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.needed:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            stop = head.find(b"\r\n", at)
            self.needed = end + 4 + int(head[at : stop if stop > 0 else None])
        if len(self.buffer) < self.needed:
            return
        answer, self.buffer, self.needed = self.buffer[: self.needed], self.buffer[self.needed :], 0
        self.load.answered(answer, time.perf_counter() - self.began)
        if self.load.running:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.load.gone()


class Load:
    def __init__(self, job: dict) -> None:
        self.job = job
        self.running = True
        self.measuring = False
        self.times: list[float] = []
        self.wrong: list[str] = []
        self.answers = 0
        self.last = 0.0  # of the expected answers; time.monotonic() is the same in all processes
        self.expected = job["expected"].encode()
        self.open = 0
        self.finished = asyncio.Event()
        head = "POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
        self.head = head.format(**job).encode()
        self.body = json.dumps(job["body"])

    def request(self) -> bytes:
        body = self.body.replace("UNIQUE", uuid.uuid4().hex).encode()
        return self.head + b"content-length: %d\r\n\r\n" % len(body) + body

    def answered(self, answer: bytes, seconds: float) -> None:
        self.answers += self.measuring
        if answer[9:12] != b"200" or self.expected not in answer:
            self.wrong.append(answer.decode(errors="replace"))
            return
        self.last = time.monotonic()
        if self.measuring:
            self.times.append(seconds)

    def gone(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.finished.set()

    async def run(self) -> dict:
        loop = asyncio.get_running_loop()
        for _ in range(self.job["connections"]):
            await loop.create_connection(lambda: Caller(self), self.job["host"], self.job["port"])
            self.open += 1
        if self.job.get("tell"):
            print("connected", flush=True)
        await asyncio.sleep(self.job["warm_up"])
        began = time.perf_counter()
        self.measuring = True
        await asyncio.sleep(self.job["seconds"])
        self.measuring = False
        took = time.perf_counter() - began
        self.running = False
        await asyncio.wait_for(self.finished.wait(), 30)
        times = sorted(self.times)
        return {
            "per_second": len(times) / took,
            "answers_per_second": self.answers / took,
            "last": self.last,
            "p50_ms": 1000 * times[len(times) // 2] if times else None,
            "p99_ms": 1000 * times[len(times) * 99 // 100] if times else None,
            "wrong": len(self.wrong),
            "first_wrong": self.wrong[:1],
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Load(json.load(sys.stdin)).run())))
