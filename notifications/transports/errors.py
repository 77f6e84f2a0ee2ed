"""The one error of every transport."""

from datetime import timedelta


class TransportError(Exception):
    """The message was not handed over. The text is for the delivery log.

    `permanent`: trying again cannot help. `retry_after`: not before that, as the other side asked. `disable`: the
    channel itself is gone or its credentials are void, and nothing should be sent to it until somebody mends it.
    `silent`: the other side was not heard, or asks to be left in peace; what else is for it rests a little too.
    """

    def __init__(
        self,
        text: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        disable: bool = False,
        silent: bool = False,
    ) -> None:
        super().__init__(text)
        self.permanent = permanent or disable
        self.retry_after = retry_after
        self.disable = disable
        self.silent = silent
