"""Parts that need more than httpx are extras of the package: whoever lacks one is told which."""

from __future__ import annotations

from importlib.util import find_spec

from ._exits import Trouble


def needs(module: str) -> None:
    """Raise Trouble where `module`, which the extra of the same name brings, is not installed."""
    if find_spec(module) is None:
        raise Trouble(f"This needs the extra {module!r}: pip install 'agentwarden-client[{module}]'")
