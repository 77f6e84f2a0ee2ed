"""Streams: made, changed, paused, moved, tested, deleted, each with its event. Nobody sees a secret twice."""

import hashlib
import ssl
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.by import By, check_by, tell
from accounts.models import Organization
from accounts.names import clean_name
from accounts.rules import Refused
from audit.clock import database_now
from audit.ids import show_id
from audit.log import Log
from audit.sequenced import log_name, size_of
from notifications import http, vault
from notifications.models import Position, Stream
from notifications.models.stream import FORMATS, KINDS
from notifications.streams import tcp
from notifications.streams.sending import NotTaken
from notifications.streams.worker import sender_of
from notifications.transports import webhook

FIELDS = ("name", "address", "format", "payloads", "authority", "certificate")
PEMS = ("authority", "certificate")
LONGEST_PEM = 100_000  # characters


def create(
    *, organization: Organization, mode: str, kind: str, by: By, everything: bool = True, key: str = "", **fields: Any
) -> tuple[Stream, str]:
    """A stream, and a webhook's signing secret, shown this once (else empty). Raises Refused, ValidationError.

    It begins with the first event there is, or, where not `everything`, with what comes from now on. `key`: that of
    `certificate`, as PEM.
    """
    if kind not in dict(KINDS):
        raise ValidationError({"kind": "There is no such kind of stream."})
    secret = webhook.new_secret() if kind == "webhook" else ""
    with transaction.atomic():
        check_by(by, organization, "settings:write")
        stream = Stream(organization=organization, mode=mode, kind=kind, secret=vault.seal(secret or key.strip()))
        stream.created_by = getattr(by, "user", None)
        _set(stream, {"name": "", "address": ""} | fields)
        _save(stream, force_insert=True)
        for scope in stream.scopes:
            start = 0 if everything else _size(stream, scope)
            Position.objects.create(stream=stream, scope=scope, next_index=start, settled_index=start)
        _tell("create", stream, by, kind=kind, mode=mode, everything=everything, **_shown(stream))
    return stream, secret


def change(*, stream: Stream, by: By, key: str = "", **fields: Any) -> Stream:
    """Changes the fields that are given, and records each from what to what. An empty `key` leaves the key as it is.

    Raises Refused, ValidationError.
    """
    with transaction.atomic():
        stream = _fresh(stream, by)
        before = _shown(stream)
        if key.strip() and stream.is_syslog:
            stream.secret = vault.seal(key.strip())
        _set(stream, {name: getattr(stream, name) for name in FIELDS} | fields)
        if not stream.certificate and stream.is_syslog:
            stream.secret = ""
        after = _shown(stream)
        changes = {name: {"from": before[name], "to": after[name]} for name in FIELDS if before[name] != after[name]}
        if changes or key.strip():
            _anew(stream)
            _save(stream, update_fields=[*FIELDS, "secret", "revision"])
            _tell("change", stream, by, changes=changes | ({"key": {"to": "another"}} if key.strip() else {}))
    return stream


def rotate_secret(*, stream: Stream, by: By) -> str:
    """A new signing secret; the old one signs nothing any more. Raises Refused."""
    with transaction.atomic():
        stream = _fresh(stream, by)
        if stream.is_syslog:
            raise Refused("Only webhooks are signed.")
        secret = webhook.new_secret()
        stream.secret = vault.seal(secret)
        _anew(stream)
        stream.save(update_fields=["secret", "revision"])
        _tell("rotate", stream, by)
    return secret


def pause(*, stream: Stream, by: By) -> None:
    """Nothing is sent until somebody resumes it; nothing is lost meanwhile. Raises Refused."""
    _switch(stream, by, on=False)


def resume(*, stream: Stream, by: By) -> None:
    """Goes on where it was. Raises Refused."""
    _switch(stream, by, on=True)


def move(*, stream: Stream, scope: str, index: int, by: By) -> None:
    """Begins anew in one of its logs at an index: what follows is sent again, or what is before it not at all.

    Raises Refused, ValidationError.
    """
    with transaction.atomic():
        stream = _fresh(stream, by)
        if scope not in stream.scopes:
            raise ValidationError({"log": f"This stream carries {_logs(stream)}."})
        size = _size(stream, scope)
        if not 0 <= index <= size:
            raise ValidationError({"index": f"The log has {size} events: an index from 0 to {size}."})
        position = Position.objects.select_for_update().get(stream=stream, scope=scope)
        Position.objects.filter(pk=position.pk).update(next_index=index, settled_index=index)
        _anew(stream)
        stream.save(update_fields=["revision"])
        _tell("move", stream, by, log=log_name(scope), at=position.next_index, index=index)


def delete(*, stream: Stream, by: By) -> None:
    """Deletes a stream and its position. What the receiver has, it keeps. Raises Refused."""
    with transaction.atomic():
        stream = _fresh(stream, by)
        _tell("delete", stream, by, address=stream.address, kind=stream.kind)
        stream.delete()


def test(*, stream: Stream, by: By) -> tuple[str, bool]:
    """Sends a test now, and records it. Returns what came of it, and whether it was taken. Raises Refused."""
    check_by(by, stream.organization, "settings:write")
    sender = sender_of(stream)
    try:
        answer, taken = sender.test(), True
    except NotTaken as error:
        answer, taken = str(error), False
    finally:
        sender.close()
    with transaction.atomic():
        stream = _fresh(stream, by)
        _tell("test", stream, by, answer=answer, taken=taken)
    return answer, taken


def _switch(stream: Stream, by: By, *, on: bool) -> None:
    with transaction.atomic():
        stream = _fresh(stream, by)
        if on == (stream.paused_at is None):
            return
        stream.paused_at = None if on else database_now()
        _anew(stream)
        stream.save(update_fields=["paused_at", "revision"])
        _tell("resume" if on else "pause", stream, by)


def _anew(stream: Stream) -> None:
    """Has the worker begin anew, at once."""
    stream.revision += 1
    Stream.objects.filter(pk=stream.pk).update(error="", failing_since=None, attempts=0, retry_at=None)


def _size(stream: Stream, scope: str) -> int:
    return size_of(Log.objects.filter(organization_id=stream.organization_id, mode=scope).first())


def _logs(stream: Stream) -> str:
    return " and ".join(log_name(scope) for scope in stream.scopes)


def _fresh(stream: Stream, by: By) -> Stream:
    """The row as it is, locked, for somebody who may change it. Raises Refused."""
    check_by(by, stream.organization, "settings:write")
    locked = Stream.objects.select_for_update(of=("self",)).select_related("organization")
    found = locked.filter(pk=stream.pk, organization=stream.organization_id).first()
    if found is None:
        raise Refused("This stream is gone: somebody deleted it.")
    return found


def _set(stream: Stream, values: dict[str, Any]) -> None:
    """Puts in what was given, checked. Raises ValidationError by field."""
    if unknown := values.keys() - set(FIELDS):
        raise TypeError(f"a stream's {', '.join(sorted(unknown))} cannot be set here")
    for name, value in values.items():
        setattr(stream, name, value.strip() if isinstance(value, str) else value)
    stream.name = clean_name(stream.name, 80)
    wrong: dict[str, str] = {}
    if not stream.name:
        wrong["name"] = "Give the stream a name."
    if stream.format not in dict(FORMATS):
        wrong["format"] = "There is no such format."
    try:
        _check_address(stream)
    except http.BadAddress as error:
        wrong["address"] = str(error)
    if stream.kind != "syslog_tls" and (stream.authority or stream.certificate):
        wrong["authority" if stream.authority else "certificate"] = "Only syslog over TLS has its own certificates."
    if not wrong:
        wrong = _check_certificates(stream)
    if wrong:
        raise ValidationError(wrong)


def _check_address(stream: Stream) -> None:
    """Whether Warden may go there at all; names are looked up when it does."""
    if not stream.address or len(stream.address) > 2_048:
        raise http.BadAddress("Say where to send, in at most 2,048 characters.")
    if stream.is_syslog:
        host, port = tcp.split(stream.address)
        http.check_url(f"https://{f'[{host}]' if ':' in host else host}:{port}/")
    else:
        http.check_url(stream.address)


def _check_certificates(stream: Stream) -> dict[str, str]:
    if max(len(stream.authority), len(stream.certificate)) > LONGEST_PEM:
        return {"authority": f"At most {LONGEST_PEM:,} characters."}
    if stream.authority:
        try:
            ssl.create_default_context(cadata=stream.authority)
        except (ssl.SSLError, ValueError):
            return {"authority": "This is no certificate in PEM: -----BEGIN CERTIFICATE----- and so on."}
    if stream.certificate:
        try:
            tcp.context_of(stream)
        except vault.Unopenable:
            return {"key": "SECRET_KEY changed: enter the key again."}
        except (OSError, ValueError):
            return {"certificate": "The certificate and its key do not belong together, or are not PEM."}
    return {}


def _save(stream: Stream, **how: Any) -> None:
    try:
        with transaction.atomic():
            stream.save(**how)
    except IntegrityError as error:
        raise ValidationError({"name": f"There is a stream “{stream.name}” already."}) from error


def _shown(stream: Stream) -> dict[str, Any]:
    """What the record keeps: certificates by their hash, and no secret."""
    return {name: _hashed(getattr(stream, name)) if name in PEMS else getattr(stream, name) for name in FIELDS}


def _hashed(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if text else ""


def _tell(what: str, stream: Stream, by: By, **data: Any) -> None:
    data = {"name": stream.name} | {key: value for key, value in data.items() if key != "name"}
    tell(f"stream:{what}", organization=stream.organization, by=by, target=show_id("str", stream.pk), **data)
