"""No key, secret or token comes to stand in a log line, a page, an event, an error or a row (I11)."""

import logging
import uuid
from pathlib import Path

import httpx
import pytest
from django.db import connection

from accounts.models import Membership
from accounts.secrets import new_secret
from accounts.services import tokens
from agents.services.keys import create_key, roll_key
from tests.acceptance.person import PASSWORD
from tests.acceptance.visitor import cookies_of, everything
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
CHECK = {"agent_id": "support-bot", "action": "email.send"}


def use(world: World, secret: str) -> list[httpx.Response]:
    """Everywhere that somebody may put a secret, rightly or by mistake, on both sides of the house."""
    url = world.server.url
    with (
        httpx.Client(base_url=url, timeout=60) as anybody,
        httpx.Client(base_url=url, timeout=60, cookies=cookies_of(world.owner)) as owner,
    ):
        return [
            anybody.post("/sdk/check", json=CHECK, headers={"X-API-Key": secret}),
            anybody.post("/sdk/check", json=CHECK, headers={"Authorization": f"Bearer {secret}"}),
            anybody.post("/sdk/check", content=secret, headers={"X-API-Key": secret}),
            anybody.post("/sdk/check", json=CHECK | {secret: 1, "context": 5}, headers={"X-API-Key": secret}),
            anybody.post(f"/sdk/approvals/{secret}/claim", headers={"X-API-Key": secret, "Idempotency-Key": "k"}),
            anybody.get(f"/sdk/approvals/apr_0?api_key={secret}&wait={secret}", headers={"X-API-Key": secret}),
            anybody.get(f"/sdk/{secret}", headers={"X-API-Key": secret}),
            anybody.get("/api/agents", headers={"Authorization": f"Bearer {secret}"}),
            anybody.get("/api/agents", headers={"X-API-Key": secret}),
            anybody.get(f"/api/agents/{secret}?token={secret}", headers={"Authorization": f"Bearer {secret}"}),
            owner.get(f"/approvals/{secret}"),
            owner.get(f"/nowhere/{secret}"),
            anybody.get(f"/setup/{secret}"),
            anybody.get(f"/join/{secret}"),
            anybody.post("/switch/mode/", data={"mode": secret}),  # without a CSRF token: told in the log
            anybody.post("/accounts/login/", data={"login": "a@example.com", "password": secret}),
        ]


def every_row() -> list[str]:
    """All that the database holds, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f'SELECT each::text FROM "{table}" AS each')
            rows += [f"{table}: {text}" for (text,) in cursor.fetchall()]
    return rows


def test_a_secret_is_told_once_and_then_stands_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    owner = Membership.objects.get(user=world.owner)
    world.owner.set_password(PASSWORD)
    world.owner.save(update_fields=["password"])
    with caplog.at_level(logging.DEBUG):
        made = create_key(organization=world.acme, by=owner, mode="live", name="made", agent=world.bot)
        rolled = roll_key(key=made.key, by=owner)
        _, token = tokens.create(member=owner, name="script", scopes=["agents:read"], days=None, by=owner)
    secrets = {
        "a key": world.key,
        "a test key": world.test_key,
        "a key that was rolled": made.secret,
        "a fresh key": rolled.secret,
        "an access token": token,
        "a key that never was": new_secret("ak_"),
        "a token that never was": new_secret("wpat_"),
        "a password": PASSWORD,
    }
    answers = [answer for name, secret in secrets.items() if name != "a password" for answer in use(world, secret)]
    assert {answer.status_code for answer in answers} >= {200, 401, 404, 422}
    asked = world.pending(reasoning=uuid.uuid4().hex)
    world.decide(asked["approval_id"])
    pages = list(everything(world.server.url, world.owner))
    log = Path(world.server.log).read_text()
    assert "[redacted]" in log  # it was said, and blanked
    rows = every_row()
    assert any(row.startswith("audit_event: ") for row in rows)
    for name, secret in secrets.items():
        assert secret not in log, name
        assert secret not in caplog.text, name
        assert [row for row in rows if secret in row] == [], name
        assert [str(page.url) for page in pages if secret in page.text] == [], name
        # Nor in an answer: what a script sent by mistake must not end in its own log.
        assert [str(answer.url) for answer in answers if secret in answer.text] == [], name
