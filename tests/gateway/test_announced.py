"""What agents do reaches people at once: no beat runs here, so that nothing but the gateway's hint can bring it."""

import json
import time

import pytest
from celery import current_app
from celery.contrib.testing.worker import start_worker

from accounts.by import COMMAND_LINE
from notifications.services import channels
from tests.gateway.conftest import World
from tests.notifications.conftest import Receiver, receiver  # noqa: F401 - a fixture


@pytest.mark.django_db(transaction=True)
def test_whatever_an_agent_does_that_people_hear_of_is_sent_without_a_sweep(
    world: World,
    receiver: Receiver,  # noqa: F811
) -> None:
    channels.create(
        organization=world.acme,
        transport="webhook",
        address=receiver.url,
        by=COMMAND_LINE,
        mode="live",
        name="Everything",
    )

    def heard(event: str, count: int = 1) -> None:
        limit = time.monotonic() + 20
        while [json.loads(request.body)["event"] for request in list(receiver.received)].count(event) < count:
            assert time.monotonic() < limit, f"nobody heard of {event}"
            time.sleep(0.02)

    with start_worker(current_app, perform_ping_check=False, pool="solo", loglevel="WARNING"):
        asked = world.pending()
        heard("approval.requested")
        world.post(f"/sdk/approvals/{asked['approval_id']}/cancel", {})
        heard("approval.cancelled")
        taken = world.pending()
        heard("approval.requested", 2)
        world.decide(taken["approval_id"])
        heard("approval.approved")
        assert world.post(f"/sdk/approvals/{taken['approval_id']}/claim", None, Idempotency_Key="a").status_code == 200
        heard("approval.claimed")
        said = {"agent_id": "support-bot", "action": "stripe.refund", "status": "failed", "context": {}}
        assert world.post("/sdk/log", said).status_code < 300
        heard("log.failed")
