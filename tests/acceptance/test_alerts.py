"""The default alerts on real traffic: the example agent works, things go wrong, it is told once, and it passes."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from approvals.models import Approval
from audit.models import Event
from notifications.alerts import rules
from notifications.alerts.tasks import evaluate
from notifications.models import Alert, Delivery
from tests.gateway.conftest import World
from tests.notifications.sending import send_all
from warden.embedded.run import REPOSITORY

pytestmark = pytest.mark.django_db(transaction=True)
EXAMPLE = REPOSITORY / "sdk/examples/refund_agent.py"


def works(world: World, folder: Path, **tickets: int) -> str:
    """One run of the example agent over so many tickets: of 20 dollars, of 500, of 5,000, and broken ones."""
    lines = []
    for kind, count in tickets.items():
        for _ in range(count):
            number = len(list(folder.iterdir())) * 1_000 + len(lines)
            amount = {"small": 20, "large": 500, "huge": 5_000}.get(kind)
            ticket = {"ticket_id": f"TCK-{number:04}", "amount": amount, "currency": "USD"}
            lines.append(json.dumps(ticket) if amount else '{"ticket_id": ')
    file = folder / f"tickets-{len(list(folder.iterdir()))}.jsonl"
    file.write_text("\n".join(lines))
    options = ["--agent", "support-bot", "--timeout", "0", "--ledger", str(folder / "ledger.sqlite3")]
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), str(file), *options],
        env=os.environ | {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def firing() -> set[str]:
    """What fires after three looks of the beat, two of which are too many."""
    for _ in range(3):
        evaluate()
    return {alert.rule.name for alert in Alert.objects.filter(resolved_at=None).select_related("rule")}


def mailed(word: str, to: str) -> list[str]:
    """The names of the alerts of which this person was owed a mail that begins so."""
    rows = Delivery.objects.filter(address=to, event__startswith="alert.", subject__startswith=f"{word}: ")
    return sorted(row.subject.partition(": ")[2] for row in rows)


def test_the_default_alerts_fire_once_and_resolve_once_on_what_the_example_agent_does(
    world: World, tmp_path: Path
) -> None:
    rules.begin(organization=world.acme)
    works(world, tmp_path, small=12)
    assert firing() == set()
    said = works(world, tmp_path, small=2, large=11, huge=12, broken=3)
    assert "12 denied" in said
    assert "11 still waiting" in said
    three = {"Backlog", "Denial rate", "Error rate"}
    assert firing() == three
    send_all()
    assert mailed("Alert", world.owner.email) == sorted(three)
    assert mailed("Resolved", world.owner.email) == []

    for approval in Approval.objects.filter(state="pending"):
        world.decide(approval.approval_id)
    works(world, tmp_path, small=45)  # the agent does well again; the errors are a smaller and smaller share
    assert firing() == set()
    send_all()
    assert mailed("Alert", world.owner.email) == mailed("Resolved", world.owner.email) == sorted(three)
    assert mailed("Alert", world.approver.email) == []
    for verb in ("fire", "resolve"):
        events = Event.objects.filter(kind=f"system:alert:{verb}")
        assert sorted(event.data["named"] for event in events) == sorted(three)
    worst = {alert.rule.name: alert.worst for alert in Alert.objects.select_related("rule")}
    assert worst["Backlog"] == 11
    assert worst["Denial rate"] == pytest.approx(12 / 26)
    assert worst["Error rate"] == pytest.approx(3 / 40)


def read_metrics(world: World) -> dict[str, Metric]:
    with urllib.request.urlopen(f"{world.server.url}/metrics") as answer:
        return {each.name: each for each in text_string_to_metric_families(answer.read().decode())}


def counted(world: World) -> Counter[tuple[str, str]]:
    """Checks by action and result."""
    found = Counter[tuple[str, str]]()
    checks = read_metrics(world).get("agentwarden_checks")
    for each in checks.samples if checks else ():
        if each.name.endswith("_total"):
            found[each.labels["action"], each.labels["result"]] += int(each.value)
    return found


def test_prometheus_own_library_reads_what_that_counted(world: World, tmp_path: Path) -> None:
    works(world, tmp_path, small=3, huge=2)
    deadline = time.monotonic() + 30
    while counted(world)["stripe.refund.small", "allowed"] < 3:  # the gateway writes what it counted now and then
        assert time.monotonic() < deadline
        time.sleep(0.1)
    families = read_metrics(world)
    assert families["agentwarden_check_duration_seconds"].type == "histogram"
    assert {"agentwarden_approvals_pending", "agentwarden_deliveries", "agentwarden_queue_age_seconds"} <= set(families)
