"""The one error of every transport."""


class TransportError(Exception):
    """The message was not handed over. `permanent`: trying again cannot help. The text is for the delivery log."""

    def __init__(self, text: str, *, permanent: bool) -> None:
        super().__init__(text)
        self.permanent = permanent
