"""Instances over HTTP: made, changed and retired with a provisioner's token.

A receiver is verified by a request to wherever its owner says, which may take ten seconds: all of this runs on threads
of its own, away from the event loop and from the lanes, and no transaction is open meanwhile.
"""

import asyncio
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, close_old_connections, connection
from msgspec import UNSET

from accounts.secrets import hash_secret, is_well_formed
from agents.models import Instance, Provisioner
from agents.models.instance import PREFIX
from agents.models.key import PREFIXES
from agents.services import instances as services
from agents.services.instances import Gone, Receiver, Taken
from audit.canonical import canonical
from audit.clock import database_now
from audit.leaf import timestamp
from gateway import answers
from gateway.aap import errors, receivers
from gateway.aap.bodies import (
    CredentialAnswer,
    DeliveryBody,
    InstanceAnswer,
    InstanceBody,
    InstanceChange,
    ProvisionedAnswer,
    ReceiverAnswer,
)
from gateway.answers import Answer, encode, error
from gateway.limits import Limits
from gateway.models import Idempotency
from gateway.parse import Malformed, parse, read
from gateway.routes import idempotency_key
from gateway.writer import Unavailable
from notifications import vault

if TYPE_CHECKING:
    from gateway.app import Request

log = structlog.get_logger(__name__)
THREADS = 16
AT_ONCE = 4  # of one provisioner: slow receivers of one keep nobody else waiting
ISSUED = timedelta(days=7)  # for as long a repeated creation gets its credential again
LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"
BUSY = error(429, f"More than {AT_ONCE} operations of this provisioner at once", None, (b"retry-after", b"2"))


class Instances:
    """One per process: the threads that instances are managed on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(THREADS, "instances")
        self._busy: Counter[uuid.UUID] = Counter()

    def stop(self) -> None:
        """Lets go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def knows(self, token: str) -> bool:
        """Whether that is a provisioner's token that opens something."""
        return is_well_formed(token, PREFIX) and await self._in_thread(_find, hash_secret(token)) is not None

    async def run(self, request: "Request", work: Callable[[Provisioner], Answer]) -> Answer:
        """`work` for the provisioner of this request; without one, why not. Raises Malformed, Unavailable."""
        token = request.bearer()
        if is_well_formed(token, *PREFIXES.values()):
            era = request.gateway.policies.current
            known = await era.key(hash_secret(token))
            return errors.NO_TOKEN if known is None or known.revoked else errors.NOT_A_PROVISIONER
        if not is_well_formed(token, PREFIX):
            return errors.NO_TOKEN
        provisioner = await self._in_thread(_find, hash_secret(token))
        if provisioner is None:
            return errors.NO_TOKEN
        quota = await self._limits.take(provisioner.id, settings.AAP_PROVISION_RATE_LIMIT)
        if quota.remaining < 0:
            retry = (b"retry-after", b"%d" % quota.reset)
            return error(429, f"More than {quota.limit} operations in a minute", None, *quota.headers, retry)
        if self._busy[provisioner.id] >= AT_ONCE:
            return BUSY
        self._busy[provisioner.id] += 1
        try:
            return await self._in_thread(work, provisioner)
        finally:
            self._busy[provisioner.id] -= 1
            if not self._busy[provisioner.id]:
                del self._busy[provisioner.id]

    async def _in_thread[T](self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _with_connection, function, *arguments)


def _with_connection[T](function: Callable[..., T], *arguments: Any) -> T:
    close_old_connections()
    try:
        return function(*arguments)
    except DatabaseError as problem:
        log.warning("gateway.instance_failed", error=type(problem).__name__)
        raise Unavailable from problem
    finally:
        connection.close()  # and with it whatever it still locks


def _find(token_hash: bytes) -> Provisioner | None:
    found = Provisioner.objects.select_related("organization", "agent", "created_by").filter(
        token_hash=token_hash, revoked_at=None, agent__deleted_at=None
    )
    return found.exclude(expires_at__lte=database_now()).first()


class Asked(NamedTuple):
    """A change that is asked for under an idempotency key."""

    key: str
    hash: bytes
    body: Any


def _asked(request: "Request", form: type[Any]) -> Asked | Answer:
    key = idempotency_key(request)
    if key is None:
        return errors.NEEDS_KEY
    body = read(request.body, form)
    digest = hashlib.sha256(canonical(parse(request.body)).encode()).digest()
    return Asked(key, digest, body)


async def create(request: "Request", _: uuid.UUID | None) -> Answer:
    """POST /aap/v1/instances"""
    asked = _asked(request, InstanceBody)
    if isinstance(asked, Answer):
        return asked
    return await request.gateway.instances.run(request, lambda provisioner: _create(provisioner, asked))


def _create(provisioner: Provisioner, asked: Asked) -> Answer:
    name = f"aap:{provisioner.id}:create:{asked.key}"
    with connection.cursor() as cursor:  # those who send it twice wait here: one of them verifies and makes it
        cursor.execute(LOCK, [name])
        try:
            return _replayed(provisioner, asked) or _made(provisioner, asked)
        finally:
            cursor.execute(UNLOCK, [name])


def _replayed(provisioner: Provisioner, asked: Asked) -> Answer | None:
    found = provisioner.instances.select_related("key").filter(creation_key=asked.key).first()
    if found is None:
        return None
    if bytes(found.creation_hash) != asked.hash:
        return errors.KEY_REUSED
    if found.retired_at:
        return errors.INSTANCE_DELETED
    if not found.issued:  # a week has passed: the credential is nobody's to hand out again
        return errors.KEY_REUSED
    return _provisioned(found, vault.unseal(found.issued), 200)


def _made(provisioner: Provisioner, asked: Asked) -> Answer:
    body: InstanceBody = asked.body
    key, secret = services.new_key(provisioner, "" if body.instance_name is UNSET else body.instance_name)
    receiver = None if body.delivery is UNSET else _verified(body.delivery, key.id)
    if isinstance(receiver, Answer):
        return receiver
    try:
        made = services.provision(
            provisioner=provisioner,
            key=key,
            secret=secret,
            sealed=vault.seal(secret),
            creation_key=asked.key,
            creation_hash=asked.hash,
            receiver=receiver,
        )
    except Gone:
        return errors.NO_TOKEN
    except Taken:
        return _replayed(provisioner, asked) or errors.KEY_REUSED
    except ValidationError as problem:
        raise Malformed(f"instance_name: {problem.messages[0]}") from problem
    return _provisioned(made, secret, 201)


def _verified(delivery: DeliveryBody, instance_id: uuid.UUID) -> Receiver | Answer:
    """The receiver, which has just shown that it expects this; else why it cannot be taken."""
    if delivery.type != "webhook":
        return error(400, "delivery.type: only webhook is delivered here", "unsupported_delivery_type")
    try:
        receivers.verify(
            url=delivery.url,
            secret=delivery.signing_secret,
            registration_id=delivery.registration_id,
            instance_id=instance_id,
        )
    except receivers.Unsafe as problem:
        return error(400, f"delivery.url: {problem}", "invalid_webhook_url")
    except receivers.Unverified as problem:
        return error(422, str(problem), errors.NOT_VERIFIED)
    return Receiver(delivery.url, delivery.registration_id, vault.seal(delivery.signing_secret))


async def fetch(request: "Request", instance_id: uuid.UUID | None) -> Answer:
    """GET /aap/v1/instances/{id}"""

    def work(provisioner: Provisioner) -> Answer:
        found = _of(provisioner, instance_id)
        return errors.NO_INSTANCE if found is None or found.retired_at else _shown(found)

    return await request.gateway.instances.run(request, work)


async def change(request: "Request", instance_id: uuid.UUID | None) -> Answer:
    """PATCH /aap/v1/instances/{id}"""
    asked = _asked(request, InstanceChange)
    if isinstance(asked, Answer):
        return asked
    if asked.body.instance_name is UNSET and asked.body.delivery is UNSET:
        raise Malformed("Give instance_name, delivery or both")
    return await request.gateway.instances.run(request, lambda provisioner: _change(provisioner, instance_id, asked))


def _change(provisioner: Provisioner, instance_id: uuid.UUID | None, asked: Asked) -> Answer:
    name = f"aap:{provisioner.id}:{instance_id}:{asked.key}"
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [name])
        try:
            found = _of(provisioner, instance_id)
            if found is None or found.retired_at:
                return errors.NO_INSTANCE
            scope = f"aap:{provisioner.id}:{found.pk}"
            before = Idempotency.objects.filter(scope=scope, key=asked.key).first()
            if before:
                same = bytes(before.body_hash) == asked.hash
                return Answer(before.status, before.answer.encode()) if same else errors.KEY_REUSED
            return _changed(provisioner, found, scope, asked)
        finally:
            cursor.execute(UNLOCK, [name])


def _changed(provisioner: Provisioner, instance: Instance, scope: str, asked: Asked) -> Answer:
    body: InstanceChange = asked.body
    receiver = _verified(body.delivery, instance.pk) if isinstance(body.delivery, DeliveryBody) else None
    if isinstance(receiver, Answer):
        return receiver

    def keep(row: Instance) -> None:
        answer = _shown(row)
        Idempotency.objects.create(
            scope=scope, key=asked.key, body_hash=asked.hash, status=answer.status, answer=answer.body.decode()
        )

    try:
        row = services.change(
            instance=instance,
            provisioner=provisioner,
            name=None if body.instance_name is UNSET else body.instance_name,
            receiver=receiver,
            remove=body.delivery is None,
            then=keep,
        )
    except Gone:
        return errors.NO_TOKEN
    except Instance.DoesNotExist:  # a deletion comes before a change that was still being verified
        return errors.NO_INSTANCE
    except ValidationError as problem:
        raise Malformed(f"instance_name: {problem.messages[0]}") from problem
    return _shown(row)


async def retire(request: "Request", instance_id: uuid.UUID | None) -> Answer:
    """DELETE /aap/v1/instances/{id}"""

    def work(provisioner: Provisioner) -> Answer:
        found = _of(provisioner, instance_id)
        if found is None:
            return errors.NO_INSTANCE
        services.retire(instance=found, by=provisioner)
        return Answer(204, b"")

    return await request.gateway.instances.run(request, work)


def _of(provisioner: Provisioner, instance_id: uuid.UUID | None) -> Instance | None:
    return provisioner.instances.select_related("key__organization").filter(pk=instance_id).first()


def show(instance: Instance) -> InstanceAnswer:
    """What a provisioner may read of it: no secret."""
    delivery = ReceiverAnswer(instance.delivery_url, instance.registration_id) if instance.delivery_url else UNSET
    return InstanceAnswer(str(instance.pk), instance.key.name, delivery)


def _shown(instance: Instance) -> Answer:
    return answers.ok(show(instance))


def _provisioned(instance: Instance, secret: str, status: int) -> Answer:
    until = instance.key.expires_at
    credential = CredentialAnswer(secret, timestamp(until) if until else UNSET)
    return Answer(status, encode(ProvisionedAnswer(show(instance), credential)))
