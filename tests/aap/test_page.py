"""docs/aap.md: the Python it shows works, against the running server."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Any

import pytest

from tests.aap.conftest import Desk
from tests.aap.receiving import Inbox
from tests.docs.pages import blocks
from tests.notifications.sending import send_all

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "docs/aap.md"
EXAMPLES = {block.label: block.text for block in blocks(PAGE, "python")}


def run(desk: Desk, label: str, **names: Any) -> dict[str, Any]:
    """What the example leaves behind, with this server in the place of the page's."""
    text = EXAMPLES[label].replace("https://warden.example.com/aap", desk.base)
    exec(compile(text, PAGE, "exec"), names)
    return names


def test_every_example_is_run() -> None:
    assert set(EXAMPLES) == {"gate", "receiver", "provision"}


@pytest.mark.parametrize(("amount", "said"), [("20", "run it"), ("5000", "denied this call")])
def test_a_guarded_call_runs_where_warden_allows_it(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, amount: str, said: str
) -> None:
    monkeypatch.setitem(EXAMPLES, "gate", EXAMPLES["gate"].replace('"amount": 20', f'"amount": {amount}'))
    run(desk, "gate", token=desk.token)["gate"].client.close()
    assert said in capsys.readouterr().out


def test_a_receiver_is_served_verified_and_told(desk: Desk, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    woken = asyncio.Event()

    def resumer(agent: Any) -> Any:
        return lambda handle, request: woken.set()

    names = run(desk, "receiver", resumer=resumer, agent=None) | {"provisioner_token": desk.provisioner()}
    assert callable(names["app"])

    async def story() -> None:
        async with Inbox(names["receiver"]) as inbox:
            text = EXAMPLES["provision"].replace("https://warden.example.com/aap", desk.base)
            text = text.replace("https://agent.example.com/aap/events", inbox.url)
            lines = "".join(f"    {line}\n" for line in text.splitlines())
            exec(f"async def example():\n{lines}    return provisioned", names)
            made = await names["example"]()
            asked = await asyncio.to_thread(_ask, desk, made.token, {"resume": {"framework": "langgraph"}})
            await asyncio.to_thread(desk.decide, asked)
            await asyncio.to_thread(send_all)
            await asyncio.wait_for(woken.wait(), 30)
            await names["receiver"].client.aclose()
            [message] = inbox.told
            assert (message.data["request_id"], message.data["instance_id"]) == (asked["id"], made.instance_id)

    asyncio.run(story())


def _ask(desk: Desk, token: str, context: Mapping[str, Any]) -> dict[str, Any]:
    body = {"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m", "context": context}
    made: dict[str, Any] = desk.send("POST", "/requests", body, token, Idempotency_Key="k-1").json()
    return made
