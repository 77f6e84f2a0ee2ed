"""The places that a checkpoint is published to, as the environment names them."""

import json
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import cryptography.x509
from django.conf import settings
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerificationError, VerifierBuilder
from rfc3161_client import decode_timestamp_response as decode

from audit import kept
from audit.clock import database_now
from audit.leaf import timestamp
from audit.log import Checkpoint
from notifications import http
from notifications.models import TimeStamp
from notifications.transports import webhook

Way = Callable[[Checkpoint], None]


class NotPublished(Exception):
    """The checkpoint did not get there. The text is for the page."""


def configured() -> dict[str, Way]:
    """The ways that are set, by name."""
    ways: dict[str, Way] = {}
    if settings.CHECKPOINT_DIR:
        ways["folder"] = to_folder
    if settings.CHECKPOINT_WEBHOOK_URL:
        ways["webhook"] = to_webhook
    if settings.TIMESTAMP_URL:
        ways["timestamp"] = to_authority
    return ways


def to_folder(head: Checkpoint) -> None:
    """A file that nobody sees half written: `<organization>.<mode>/<size>.checkpoint`. One that is there stays."""
    folder = kept.published_folder(head.log.organization_id, head.log.mode)
    file = folder / f"{head.size:020}.checkpoint"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists():
            if file.read_text() != head.note:
                raise NotPublished(f"{file.name} is there, and says something else: the log was forked.")
            return
        fresh = folder / f".{file.name}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as out:
            out.write(head.note)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    except OSError as error:
        raise NotPublished(f"{folder} cannot be written: {error.strerror}") from error


def to_webhook(head: Checkpoint) -> None:
    """One signed POST; the same checkpoint has the same `webhook-id`."""
    said = {
        "event": "record.checkpoint",
        "data": {
            "origin": head.log.origin,
            "organization": str(head.log.organization_id),
            "mode": head.log.mode,
            "size": head.size,
            "note": head.note,
        },
        "timestamp": timestamp(head.at),
    }
    body, number, now = json.dumps(said, ensure_ascii=False), f"ckp_{head.log_id}_{head.size}", database_now()
    moment = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Warden",
        "webhook-id": number,
        "webhook-timestamp": str(moment),
        "webhook-signature": webhook.sign(settings.CHECKPOINT_WEBHOOK_SECRET, number, moment, body),
    }
    answer = _post(settings.CHECKPOINT_WEBHOOK_URL, body.encode(), headers)
    if not 200 <= answer.status < 300:
        raise NotPublished(f"The receiver answered {answer.status}.")


def to_authority(head: Checkpoint) -> None:
    """Has a time-stamp authority sign the note's bytes (RFC 3161), believes it only if TIMESTAMP_CA does, keeps it."""
    note = head.note.encode()
    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    headers = {"Content-Type": "application/timestamp-query", "User-Agent": "Warden"}
    answer = _post(settings.TIMESTAMP_URL, request.as_bytes(), headers, plain=True)
    if answer.status != 200:
        raise NotPublished(f"The authority answered {answer.status}.")
    at = _believed(answer.body, note, request.nonce)
    TimeStamp.objects.get_or_create(log=head.log, size=head.size, defaults={"at": at, "response": answer.body})


def _believed(data: bytes, note: bytes, nonce: int | None) -> datetime:
    """The time that the authority says. Raises NotPublished for what is no time-stamp of this note by it."""
    try:
        response = decode(data)
        builder = VerifierBuilder(nonce=nonce)
        for root in cryptography.x509.load_pem_x509_certificates(Path(settings.TIMESTAMP_CA).read_bytes()):
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(response, note)
        at: datetime = response.tst_info.gen_time
    except OSError as error:
        raise NotPublished(f"TIMESTAMP_CA cannot be read: {error.strerror}") from error
    except (VerificationError, ValueError) as error:
        raise NotPublished(f"The authority's answer is not to be believed: {error}") from error
    return at


def _post(url: str, body: bytes, headers: dict[str, str], *, plain: bool = False) -> http.Answer:
    try:
        return http.request("POST", url, body=body, headers=headers, plain=plain)
    except (http.BadAddress, http.Unreachable) as error:
        raise NotPublished(str(error)) from error
