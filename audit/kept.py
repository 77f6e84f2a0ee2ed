"""The last checkpoint of each log, kept as files outside the database: a restored log is held against it.

One file for each log, `checkpoints/<organization>.<mode>` in WARDEN_HOME, each a signed note.
"""

import os
import secrets
import uuid
from pathlib import Path

from django.conf import settings


def folder() -> Path:
    return Path(settings.WARDEN_HOME) / "checkpoints"


def _file(organization_id: uuid.UUID, mode: str) -> Path:
    return folder() / f"{organization_id}.{mode or 'organization'}"


def keep(organization_id: uuid.UUID, mode: str, note: str) -> None:
    """Replaces what was kept."""
    folder().mkdir(mode=0o700, exist_ok=True)
    file = _file(organization_id, mode)
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(note)
    fresh.replace(file)


def read(organization_id: uuid.UUID, mode: str) -> str:
    """The note that was kept; empty where none was."""
    try:
        return _file(organization_id, mode).read_text()
    except FileNotFoundError:
        return ""


def forget(organization_id: uuid.UUID, mode: str) -> None:
    """Lets go of what was kept."""
    _file(organization_id, mode).unlink(missing_ok=True)
