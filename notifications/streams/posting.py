"""A stream by webhook: JSON Lines, signed by the Standard Webhooks scheme. An answer of 2xx takes a batch."""

import json
from collections.abc import Sequence

from audit.clock import database_now
from audit.ids import show_id
from audit.sequenced import Sequenced, log_name
from notifications import http, vault
from notifications.models import Stream
from notifications.streams.sending import NotTaken, line
from notifications.transports import webhook

SHOWN = 200  # characters of an answer's body


class Webhook:
    """Each batch is one POST. The same batch has the same `webhook-id`, however often it is sent."""

    overlap = 0.0

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def send(self, events: Sequence[Sequenced]) -> None:
        first, last = events[0], events[-1]
        self._post(
            f"{show_id('str', self._stream.pk)}.{log_name(first.mode)}.{first.index}-{last.index}",
            "".join(line(self._stream, event) for event in events),
        )

    def test(self) -> str:
        said = {"test": True, "message": "A test from Warden: this stream works."}
        return f"The receiver answered {self._post(f'{show_id("str", self._stream.pk)}.test', json.dumps(said) + '\n')}"

    def lost(self) -> bool:
        return False  # what it answered for, it has

    def close(self) -> None:
        """Nothing stays open."""

    def _post(self, message_id: str, body: str) -> str:
        try:
            secret = vault.unseal(self._stream.secret)
        except vault.Unopenable as error:
            raise NotTaken("SECRET_KEY changed: give this stream a new secret.") from error
        timestamp = int(database_now().timestamp())
        headers = {
            "Content-Type": "application/jsonl",
            "User-Agent": "Warden",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": webhook.sign(secret, message_id, timestamp, body),
        }
        try:
            answer = http.post(self._stream.address, body=body.encode(), headers=headers)
        except (http.BadAddress, http.Unreachable) as error:
            raise NotTaken(str(error)) from error
        words = " ".join(answer.body.decode("utf-8", "replace").replace("\0", "\ufffd").split())
        said = f"{answer.status} {words[:SHOWN]}".strip()
        if not 200 <= answer.status < 300:
            raise NotTaken(said, smaller=answer.status == 413)
        return said
