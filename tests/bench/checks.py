"""Durable checks a second, beside pgbench at the same number of connections."""

from typing import Any

from tests.bench import pgbench

KINDS = {
    "allow": (25.0, '"allowed":true'),
    "deny": (5000.0, '"status":"denied"'),
    "ask": (500.0, '"status":"pending"'),
}


def measure(results: dict[str, Any], server: Any, made: Any, database_url: str, seconds: int, load: Any) -> None:
    """Allow, deny and ask at 1, 32 and 128 connections."""
    key = made[2]
    load(server, key, 25.0, '"allowed":true', 4, 1)
    pgbench.prepare()
    print(f"{'connections':>12} {'what':>8} {'a second':>10} {'p50 ms':>8} {'p99 ms':>8} {'of pgbench':>11}")
    for connections in (1, 32, 128):
        yardstick = pgbench.run(database_url, min(connections, 90), seconds)["per_second"]
        results["per_second"][f"pgbench_c{connections}"] = yardstick
        print(f"{connections:>12} {'pgbench':>8} {yardstick:>10.0f}")
        for kind, (amount, expected) in KINDS.items():
            measured = load(server, key, amount, expected, connections, seconds)
            name = f"{kind}_c{connections}"
            results["ratios"][name] = measured["per_second"] / yardstick
            results["p99_ms"][name] = measured["p99_ms"]
            results["per_second"][name] = measured["per_second"]
            print(
                f"{connections:>12} {kind:>8} {measured['per_second']:>10.0f} {measured['p50_ms']:>8.2f}"
                f" {measured['p99_ms']:>8.2f} {results['ratios'][name]:>11.2f}"
            )
