"""The last checkpoint of each log, kept as files outside the database: a restored log is held against it.

One file for each log, `checkpoints/<organization>.<mode>` in WARDEN_HOME, each a signed note. Where checkpoints are
published to a folder (CHECKPOINT_DIR), the newest there counts too: it outlasts a machine that is rolled back whole.
"""

import os
import re
import secrets
import uuid
from pathlib import Path

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
PUBLISHED = re.compile(r"(\d{20})\.checkpoint")


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
    """Lets go of what was kept. What was published stays, and counts no more."""
    newest = _newest(organization_id, mode)
    if newest:
        folder().mkdir(mode=0o700, exist_ok=True)
        _forgotten(organization_id, mode).write_text(f"{newest[0]}\n")
    _file(organization_id, mode).unlink(missing_ok=True)


def published_folder(organization_id: uuid.UUID, mode: str) -> Path:
    """Where the checkpoints of a log are published, as `<size>.checkpoint` in 20 digits, if CHECKPOINT_DIR is set."""
    return Path(settings.CHECKPOINT_DIR) / f"{organization_id}.{mode or 'organization'}"


def known(organization_id: uuid.UUID, mode: str) -> list[str]:
    """The notes that a log is held against: what was kept, and what was published last."""
    notes = [read(organization_id, mode)]
    newest = _newest(organization_id, mode)
    if newest and newest[0] > _forgotten_size(organization_id, mode):
        notes.append(newest[1])
    return [note for note in notes if note]


def _newest(organization_id: uuid.UUID, mode: str) -> tuple[int, str] | None:
    """The size and note of the newest that was published; None too while the folder is out of reach."""
    if not settings.CHECKPOINT_DIR:
        return None
    try:
        files = published_folder(organization_id, mode).iterdir()
        sizes = [(int(found[1]), file) for file in files if (found := PUBLISHED.fullmatch(file.name))]
        size, newest = max(sizes, default=(0, None))
        return (size, newest.read_text()) if newest else None
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("record.published_unreadable", error=str(error))
        return None


def _forgotten(organization_id: uuid.UUID, mode: str) -> Path:
    file = _file(organization_id, mode)
    return file.with_name(f"{file.name}.forgotten")


def _forgotten_size(organization_id: uuid.UUID, mode: str) -> int:
    """Up to which size what was published counts no more: somebody accepted an older record."""
    try:
        return int(_forgotten(organization_id, mode).read_text())
    except FileNotFoundError:
        return 0
