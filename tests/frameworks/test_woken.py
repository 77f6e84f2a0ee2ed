"""A paused run of a real framework goes on because Warden's worker told its receiver, over HTTP, signed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from celery import current_app

from agents.services.provisioners import create_provisioner
from notifications.models import Delivery
from tests import server as servers
from tests.aap.conftest import aap_running
from tests.docs.pages import blocks
from tests.frameworks.conftest import PATIENCE, Desk, tiers
from tests.frameworks.model import Model, Use
from tests.gateway.conftest import make_world

__all__ = ["aap_running"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(django_db_setup: None, tmp_path: Path) -> Iterator[None]:
    """The worker that delivers, as it runs beside the server."""
    with servers.celery_worker(tmp_path, 1, WEBHOOK_ALLOW_PRIVATE_NETWORKS="127.0.0.0/8"):
        yield


@pytest.fixture
def desk(aap_running: servers.Server, transactional_db: None, interpreter: str, tmp_path: Path) -> Iterator[Desk]:
    with httpx.Client(base_url=aap_running.url, timeout=20) as client:
        world = make_world(aap_running, client)
        tiers(world)
        port = servers.free_port()
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        ours = {
            "AAP_BASE_URL": f"{aap_running.url}/aap",
            "AAP_PROVISIONER_TOKEN": create_provisioner(agent=world.bot, by=world.owner).token,
            "PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}/aap/events",
            "NO_PROXY": "127.0.0.1",
        }
        yield Desk(world, interpreter, tmp_path, kept | ours)


def test_a_run_goes_on_when_warden_tells_its_receiver(desk: Desk, worker: None) -> None:
    [text] = [block.text for block in blocks("docs/langgraph.md", "python") if block.label == "service.py"]
    refund = Use("issue_refund", {"order": "ord_1042", "amount": 480})
    with (
        Model(refund, "It is paid.") as model,
        desk.running(model, text, "ticket-7", "Please refund order ord_1042") as service,
    ):
        asked = desk.next(service)
        assert model.read == []
        desk.world.decide(asked.approval_id, "approve")
        until = time.monotonic() + PATIENCE
        while not model.read:
            assert service.poll() is None, service.communicate()
            assert time.monotonic() < until, f"not woken: {list(Delivery.objects.values_list('state', 'error'))}"
            current_app.send_task("notifications.tasks.sweep", expires=5)
            time.sleep(0.2)
        assert service.stdout
        assert service.stdout.readline() == "paid 480.0 for ord_1042\n"
    asked.refresh_from_db()
    assert asked.claimed_at is not None
    [told] = Delivery.objects.filter(transport="aap")
    assert (told.instance_id, told.attempts) == (asked.key_id, 1)
