"""The client's programs against the running server, and the organization they speak for."""

from tests.gateway.conftest import world

__all__ = ["world"]
