"""Subjects' data keys: one each, wrapped by a key made from SECRET_KEY. To erase a subject is to delete its row.

No column names the subject: `tag` is a keyed hash of what the context called it.
"""

import hmac
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from psycopg import AsyncConnection

from audit.ids import new_id
from audit.sealing import SECRET, Key, keys_in, reveal

log = structlog.get_logger(__name__)
NONCE = 12  # bytes


class SubjectKey(models.Model):
    """The data key of one subject of one organization. Its table is not the record's: who serves may delete a row."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization_id = models.UUIDField()
    tag = models.BinaryField(max_length=32, help_text="HMAC-SHA256 of the subject's name.")
    wrapped = models.BinaryField(max_length=128, help_text="AES-GCM, by a key made from SECRET_KEY.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "privacy_subjectkey"
        constraints = [models.UniqueConstraint(fields=["organization_id", "tag"], name="subject_key_once")]

    def __str__(self) -> str:
        return str(self.id)


@lru_cache(maxsize=8)
def _derived(secret_key: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, b"warden.privacy." + purpose).derive(secret_key.encode())


def _installation() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def tags(organization_id: uuid.UUID, subject: str) -> list[bytes]:
    """What the subject's row may be found by: by the key of now, and by those of before."""
    said = organization_id.bytes + subject.encode()
    return [hmac.digest(_derived(key, b"tag"), said, "sha256") for key in _installation()]


def _wrap(organization_id: uuid.UUID, secret: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(_derived(settings.SECRET_KEY, b"wrap")).encrypt(nonce, secret, organization_id.bytes)


def _unwrap(organization_id: uuid.UUID, wrapped: bytes) -> bytes | None:
    for key in _installation():
        try:
            box = AESGCM(_derived(key, b"wrap"))
            return box.decrypt(wrapped[:NONCE], wrapped[NONCE:], organization_id.bytes)
        except InvalidTag:
            continue
    return None


class Lost(Exception):
    """A data key was wrapped under a SECRET_KEY that is neither the present one nor in SECRET_KEY_FALLBACKS."""


async def obtain(
    connection: AsyncConnection[Any], wanted: Collection[tuple[uuid.UUID, str]]
) -> dict[tuple[uuid.UUID, str], Key]:
    """The keys of these subjects, each an organization and a name, made where there is none. Within the transaction
    that stores what they seal. Raises Lost.
    """
    found: dict[tuple[uuid.UUID, str], Key] = {}
    of = {(organization, tag): (organization, subject) for organization, subject in wanted
          for tag in tags(organization, subject)}  # fmt: skip
    for _ in range(3):
        cursor = await connection.execute(
            "SELECT id, organization_id, tag, wrapped FROM privacy_subjectkey WHERE (organization_id, tag) IN"
            " (SELECT * FROM unnest(%s::uuid[], %s::bytea[]))",
            [[organization for organization, _ in of], [tag for _, tag in of]],
        )
        async for number, organization, tag, wrapped in cursor:
            secret = _unwrap(organization, bytes(wrapped))
            if secret is None:
                raise Lost(str(number))
            found.setdefault(of[organization, bytes(tag)], Key(number, secret))
        missing = sorted(set(wanted) - found.keys())  # one order for everybody: nobody waits in a circle
        if not missing:
            return found
        rows = [(new_id(), organization, tags(organization, subject)[0],
                 _wrap(organization, secrets.token_bytes(SECRET))) for organization, subject in missing]  # fmt: skip
        async with connection.cursor() as insert:
            await insert.executemany(
                "INSERT INTO privacy_subjectkey (id, organization_id, tag, wrapped) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )
    raise RuntimeError("subjects are erased as fast as they come: no key is certain")


def _opened(rows: Iterable[tuple[uuid.UUID, uuid.UUID, Any]]) -> dict[uuid.UUID, Key]:
    found: dict[uuid.UUID, Key] = {}
    for number, organization, wrapped in rows:
        secret = _unwrap(organization, bytes(wrapped))
        if secret is None:
            log.error("privacy.key_lost", key=str(number))
        else:
            found[number] = Key(number, secret)
    return found


def reveal_for_people(organization_id: uuid.UUID, stored: Any) -> Any:
    """Stored data with what can be decrypted, decrypted; see sealing.reveal."""
    wanted = keys_in(stored)
    keys: Mapping[uuid.UUID, Key] = {}
    if wanted:
        rows = SubjectKey.objects.filter(id__in=wanted, organization_id=organization_id)
        keys = _opened(rows.values_list("id", "organization_id", "wrapped"))
    return reveal(organization_id, stored, keys)


async def reveal_for_policy(connection: AsyncConnection[Any], organization_id: uuid.UUID, stored: Any) -> Any:
    """The same on an asynchronous connection, for the policy to judge again."""
    wanted = keys_in(stored)
    if not wanted:
        return reveal(organization_id, stored, {})
    cursor = await connection.execute(
        "SELECT id, organization_id, wrapped FROM privacy_subjectkey WHERE id = ANY(%s) AND organization_id = %s",
        [list(wanted), organization_id],
    )
    return reveal(organization_id, stored, _opened(await cursor.fetchall()))


def keys_left(organization_id: uuid.UUID, stored: Any) -> set[uuid.UUID]:
    """Those of the keys that stored data names which are not erased."""
    wanted = keys_in(stored)
    rows = SubjectKey.objects.filter(id__in=wanted, organization_id=organization_id)
    return set(rows.values_list("id", flat=True)) if wanted else set()
