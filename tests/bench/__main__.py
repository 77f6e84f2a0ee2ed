"""`./script/bench [--quick] [--output FILE]`: what Warden does on this machine, as ratios to what PostgreSQL does.

Machines are noisy: compare ratios of one run, never figures of two.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from warden.embedded.home import Home
from warden.embedded.services import services

CONNECTIONS = (1, 32, 128)
BARS = {"allow_c128": 0.35, "allow_c32": 0.2, "ask_c128": 0.15, "sequenced_c32": 0.9}
OF = {"sequenced_c32": "what there is without a sequencer"}  # the others: of pgbench


def load(server: Any, key: str, amount: float, expected: str, connections: int, seconds: float) -> dict[str, Any]:
    """One measurement of /sdk/check."""
    from tests.bench import world

    job = {
        "host": "127.0.0.1",
        "port": server.port,
        "path": "/sdk/check",
        "key": key,
        "body": {"agent_id": "support-bot", "action": "stripe.refund", "context": world.context(amount)},
        "expected": expected,
        "connections": connections,
        "seconds": seconds,
        "warm_up": 1,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"], input=json.dumps(job), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    if result["wrong"]:
        raise RuntimeError(f"{result['wrong']} wrong answers, such as {result['first_wrong']}")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs and a small record: for a look, not for a bar")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    parser.add_argument("--only", choices=["checks", "sequenced", "waiting", "record", "volume"], help="one part")
    parser.add_argument("--events", type=int, default=0, help="how many the volume has (10,000,000; quick: 200,000)")
    arguments = parser.parse_args()
    seconds = 2 if arguments.quick else 5
    results: dict[str, Any] = {"ratios": {}, "p99_ms": {}, "per_second": {}}
    with tempfile.TemporaryDirectory(prefix="warden-bench-") as folder, services(Home(folder)) as addresses:
        os.environ |= {
            "WARDEN_ENV": "test",
            "WARDEN_HOME": folder,
            "DATABASE_URL": addresses.database_url,
            "REDIS_URL": addresses.redis_url,
            "SECRET_KEY": "for measurements only",
            "SITE_URL": "http://127.0.0.1:8000",
            "DJANGO_SETTINGS_MODULE": "warden.settings",
        }
        import django

        django.setup()
        from django.core.management import call_command

        from tests.bench import checks, record, sequenced, volume, waiting, world
        from tests.server import Server

        call_command("migrate", verbosity=0)
        made = world.make()
        with Server(DATABASE_URL=addresses.database_url) as server:
            if arguments.only in (None, "checks"):
                checks.measure(results, server, made, addresses.database_url, seconds, load)
            if arguments.only in (None, "sequenced"):
                sequenced.measure(results, server, made[2], seconds, load)
            if arguments.only in (None, "waiting"):
                waiting.measure(results, server, made, 200 if arguments.quick else 2000)
            if arguments.only in (None, "record"):
                record.measure(results, quick=arguments.quick)
            if arguments.only in (None, "volume"):
                events = arguments.events or (200_000 if arguments.quick else 10_000_000)
                volume.measure(results, server, made, seconds, load, many=events)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nWritten to {arguments.output}")
    return report(results)


def report(results: dict[str, Any]) -> int:
    """Says which bars are met."""
    missed = 0
    for name, bar in BARS.items():
        if name in results["ratios"]:
            ratio = results["ratios"][name]
            missed += ratio < bar
            verdict = "ok" if ratio >= bar else "MISSED"
            print(f"  {name:14} {ratio:.2f} of {OF.get(name, 'pgbench')} (bar {bar}) {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
