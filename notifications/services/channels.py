"""Channels: made, changed, tested, switched on again, deleted. Nobody sees a secret twice."""

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models.functions import Least, Now

from accounts.by import By, check_by, tell
from accounts.models import Organization, Team
from accounts.names import clean_name
from accounts.rules import Refused
from agents.models import Agent
from audit.clock import database_now
from audit.ids import show_id
from notifications import fanning, hints, http, registry, vault
from notifications.models import TRANSPORTS, Announcement, Channel, Delivery
from notifications.transports import webhook

FILTERS = ("events", "agents", "teams", "risks", "environments")
FIELDS = ("name", "address", *FILTERS)
RISKS = ("low", "medium", "high", "critical")
TEST = "channel.test"


def create(
    *, organization: Organization, mode: str, transport: str, name: str, address: str, by: By, **filters: Any
) -> tuple[Channel, str]:
    """A channel, and a webhook's signing secret, shown this once (else empty). Raises Refused, ValidationError."""
    if transport not in dict(TRANSPORTS):
        raise ValidationError({"transport": "There is no such kind of channel."})
    secret = webhook.new_secret() if transport == "webhook" else ""
    with transaction.atomic():
        check_by(by, organization, "settings:write")
        values = _clean(organization, transport, {"name": name, "address": address} | filters)
        channel = Channel(
            organization=organization, mode=mode, transport=transport, secret=vault.seal(secret), **values
        )
        channel.created_by = getattr(by, "user", None)
        _insert(channel)
        _tell("create", channel, by, transport=transport, mode=mode, **_shown(channel))
    return channel, secret


def change(*, channel: Channel, by: By, **fields: Any) -> Channel:
    """Changes the fields that are given, and records each from what to what. Raises Refused, ValidationError.

    What it is still owed goes to the new address.
    """
    with transaction.atomic():
        channel = _fresh(channel, by)
        before = _shown(channel)
        values = _clean(
            channel.organization, channel.transport, {name: getattr(channel, name) for name in FIELDS} | fields
        )
        for name, value in values.items():
            setattr(channel, name, value)
        after = _shown(channel)
        changes = {name: {"from": before[name], "to": after[name]} for name in FIELDS if before[name] != after[name]}
        if changes:
            try:
                with transaction.atomic():
                    channel.save(update_fields=list(changes))
            except IntegrityError as error:
                raise _taken(channel) from error
            if "address" in changes:
                owed = Delivery.objects.filter(channel=channel, state=Delivery.State.DUE)
                owed.update(address=channel.address, due_at=Least("due_at", Now()))
                hints.poke()
            _tell("change", channel, by, changes=changes)
    return channel


def rotate_secret(*, channel: Channel, by: By) -> str:
    """A new signing secret; the old one signs nothing any more, not even what is tried again. Raises Refused."""
    with transaction.atomic():
        channel = _fresh(channel, by)
        if channel.transport != "webhook":
            raise Refused("Only webhooks are signed.")
        secret = webhook.new_secret()
        Channel.objects.filter(pk=channel.pk).update(secret=vault.seal(secret))
        _tell("rotate", channel, by)
    return secret


def enable(*, channel: Channel, by: By) -> int:
    """Switches a channel on again, and sends what was given up because it was off. Returns how many. Raises Refused."""
    with transaction.atomic():
        channel = _fresh(channel, by)
        if channel.is_active:
            return 0
        since = channel.disabled_at
        Channel.objects.filter(pk=channel.pk).update(is_active=True, disabled_at=None, disabled_because="")
        missed = Delivery.objects.filter(channel=channel, state=Delivery.State.FAILED, attempts_made__at__gte=since)
        again = Delivery.objects.filter(pk__in=missed.values("pk")).update(
            state=Delivery.State.DUE, attempts=0, due_at=database_now(), address=channel.address
        )
        _tell("enable", channel, by, again=again)
        hints.poke()
    return again


def disable(*, channel: Channel, by: By) -> None:
    """Switches a channel off; nothing is sent to it. Raises Refused."""
    with transaction.atomic():
        channel = _fresh(channel, by)
        now = database_now()
        changed = Channel.objects.filter(pk=channel.pk, is_active=True).update(
            is_active=False, disabled_at=now, disabled_because="Switched off by hand"
        )
        if changed:
            _tell("disable", channel, by)


def delete(*, channel: Channel, by: By) -> None:
    """Deletes a channel. What it is still owed is given up; what was sent stays in the log. Raises Refused."""
    with transaction.atomic():
        channel = _fresh(channel, by)
        Delivery.objects.filter(channel=channel, state=Delivery.State.DUE).update(
            state=Delivery.State.FAILED, leased_until=None, error="The channel was deleted."
        )
        _tell("delete", channel, by, address=channel.address, transport=channel.transport)
        channel.delete()


def send_test(*, channel: Channel, by: By) -> Delivery:
    """Owes the channel a test message, through the same outbox as everything else. Raises Refused."""
    with transaction.atomic():
        channel = _fresh(channel, by)
        if not channel.is_active:
            raise Refused("This channel is disabled: enable it first.")
        announcement = Announcement.objects.create(
            organization=channel.organization,
            mode=channel.mode,
            event=TEST,
            target=show_id("chn", channel.id),
            fanned_out_at=database_now(),
        )
        announcement.refresh_from_db()
        topic = registry.topic_of(TEST)
        if topic is None:
            raise RuntimeError(f"nothing tells of {TEST}")
        delivery = fanning.to_channel(channel, announcement, topic)
        delivery.save(force_insert=True)
        _tell("test", channel, by)
        hints.poke()
    return delivery


def _fresh(channel: Channel, by: By) -> Channel:
    """The row as it is, locked, for somebody who may change it. Raises Refused."""
    check_by(by, channel.organization, "settings:write")
    locked = Channel.objects.select_for_update(of=("self",)).select_related("organization")
    found = locked.filter(pk=channel.pk, organization=channel.organization_id).first()
    if found is None:
        raise Refused("This channel is gone: somebody deleted it.")
    return found


def _clean(organization: Organization, transport: str, values: dict[str, Any]) -> dict[str, Any]:
    """The fields, checked. Raises ValidationError by field."""
    errors: dict[str, str] = {}
    clean: dict[str, Any] = {"name": clean_name(values["name"], 80), "address": values["address"].strip()}
    if not clean["name"]:
        errors["name"] = "Give the channel a name."
    try:
        _check_address(transport, clean["address"])
    except (ValidationError, http.BadAddress) as error:
        errors["address"] = error.messages[0] if isinstance(error, ValidationError) else str(error)
    known: dict[str, set[Any]] = {
        "events": set(registry.events()),
        "risks": set(RISKS),
        "environments": set(organization.environments),
        "agents": set(Agent.objects.filter(organization=organization, deleted_at=None).values_list("id", flat=True)),
        "teams": set(Team.objects.filter(organization=organization).values_list("id", flat=True)),
    }
    for name in FILTERS:
        chosen = list(dict.fromkeys(values.get(name) or []))
        if unknown := [str(value) for value in chosen if value not in known[name]]:
            errors[name] = f"There is no {', '.join(unknown)}."
        clean[name] = chosen
    if errors:
        raise ValidationError(errors)
    return clean


def _check_address(transport: str, address: str) -> None:
    if not address:
        raise ValidationError("Say where to send.")
    if len(address) > 2_048:
        raise ValidationError("At most 2,048 characters.")
    if transport == "webhook":
        http.check_url(address)
    elif transport == "email":
        validate_email(address)


def _insert(channel: Channel) -> None:
    try:
        with transaction.atomic():
            channel.save(force_insert=True)
    except IntegrityError as error:
        raise _taken(channel) from error


def _taken(channel: Channel) -> ValidationError:
    return ValidationError({"name": f"There is a channel “{channel.name}” already."})


def _shown(channel: Channel) -> dict[str, Any]:
    """What the record keeps: identifiers as text, no secret."""
    return {
        name: [str(each) if isinstance(each, uuid.UUID) else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in ((name, getattr(channel, name)) for name in FIELDS)
    }


def _tell(what: str, channel: Channel, by: By, **data: Any) -> None:
    data = {"name": channel.name} | {key: value for key, value in data.items() if key != "name"}
    tell(f"channel:{what}", organization=channel.organization, by=by, target=show_id("chn", channel.id), **data)
