"""Django's database, for connections that are not Django's."""

from typing import Any

from django.db import connections


def conninfo() -> dict[str, Any]:
    """Django's database, as psycopg wants it; the pool stays Django's own."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    return {
        name: value
        for name, value in parameters.items()
        if name not in ("pool", "cursor_factory", "context", "prepare_threshold")
    }
