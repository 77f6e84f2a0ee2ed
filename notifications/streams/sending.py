"""What every way out shares: it takes events until the receiver has them, or says why not."""

from collections.abc import Sequence
from typing import Protocol

from audit import ocsf
from audit.sequenced import Sequenced, json_line
from notifications.models import Stream


class NotTaken(Exception):
    """The receiver did not take them, as far as anybody can tell. The text is for the page.

    `smaller`: it might take fewer at once.
    """

    def __init__(self, text: str, *, smaller: bool = False) -> None:
        super().__init__(text)
        self.smaller = smaller


class Sender(Protocol):
    """One way to one receiver."""

    overlap: float  # seconds: what was taken no longer ago is sent again when the receiver was lost

    def send(self, events: Sequence[Sequenced]) -> None:
        """Returns once the receiver has taken all of them. Raises NotTaken."""

    def test(self) -> str:
        """Sends a test, which is no event. Returns what the receiver said. Raises NotTaken."""

    def lost(self) -> bool:
        """Whether the receiver, once reached, has gone away since: it may have lost what it took last."""

    def close(self) -> None:
        """Lets go of what is open."""


def line(stream: Stream, event: Sequenced) -> str:
    """The event as the stream tells it, with a newline at the end."""
    tell = ocsf.line if stream.format == "ocsf" else json_line
    return tell(event, payloads=stream.payloads)
