"""A script that looks at nothing but the exit code does what it asked for: then that has to be what was approved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._json import same
from ._exits import Exit, Trouble


def refuse_changes(asked: Mapping[str, Any] | None, approved: Mapping[str, Any] | None) -> None:
    """Raise Trouble (exit code 4) where the approver changed what was asked."""
    if approved is not None and not same(dict(asked or {}), dict(approved)):
        raise Trouble(
            "It was approved with changes, and this command would do what was asked:"
            " pass --accept-changes --json, and act on effective_context",
            Exit.ENDED,
        )
