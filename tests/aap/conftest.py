"""An agent's side of AAP: the published clients, as they are, against a running Warden."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from agentapprovalprotocol import Client

from agents.services.provisioners import create_provisioner
from approvals.models import ToolCall
from tests.gateway.conftest import World, make_key, make_world
from tests.server import Server


@pytest.fixture(scope="session")
def aap_running(django_db_setup: None) -> Iterator[Server]:
    """A server that may send to receivers on this machine."""
    with Server(WEBHOOK_ALLOW_PRIVATE_NETWORKS="127.0.0.0/8", AAP_PROVISION_RATE_LIMIT="1000000") as server:
        yield server


@pytest.fixture
def aap_server(aap_running: Server, transactional_db: None) -> Server:
    return aap_running


@dataclass
class Desk:
    """A world with an agent that speaks AAP."""

    world: World
    token: str
    client: Client

    @property
    def base(self) -> str:
        return f"{self.world.server.url}/aap"

    def send(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.world.client.request(
            method,
            f"/aap/v1{path}",
            headers={"Authorization": f"Bearer {token or self.token}", **named},
            **({"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}),
            timeout=40,
        )

    def ask(self, key: str = "k-1", amount: float = 500, tool: str = "stripe.refund", **more: Any) -> dict[str, Any]:
        """A request of this tool; 500 asks a person, 20 is allowed."""
        body = {"tool": tool, "arguments": {"amount": amount, "order": key}, "timeout": "10m", **more}
        answer = self.send("POST", "/requests", body, Idempotency_Key=key)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made

    def decide(self, request: dict[str, Any], verdict: Any = "approve", reason: str = "fine") -> None:
        self.world.decide(request["id"], verdict, reason=reason)

    def row(self, request: dict[str, Any]) -> ToolCall:
        return ToolCall.objects.get(id=request["id"])

    def provisioner(self, **fields: Any) -> str:
        return create_provisioner(agent=self.world.bot, by=self.world.owner, **fields).token


@pytest.fixture
def desk(aap_server: Server) -> Iterator[Desk]:
    with httpx.Client(base_url=aap_server.url, timeout=20) as http:
        world = make_world(aap_server, http)
        token = make_key(world.acme, agent=world.bot, scopes=["aap"])
        client = Client(f"{aap_server.url}/aap", token, retry_budget=5)
        yield Desk(world, token, client)
        client.close()
