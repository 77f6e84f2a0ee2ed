"""How one person hears from one organization: theirs to say, and that of whoever runs Warden."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import By, tell
from accounts.models import Membership
from audit.clock import database_now
from audit.ids import show_id
from notifications import preferences
from notifications.models import Preference

FIELDS = ("mail", "test_mode", "quiet_from", "quiet_until", "timezone", "critical_always")


def preference_of(membership: Membership) -> Preference:
    """What they chose, or the defaults (not saved)."""
    return Preference.objects.filter(membership=membership).first() or Preference(membership=membership)


def change(*, membership: Membership, by: By | None = None, **fields: Any) -> Preference:
    """Changes the fields that are given; by the person themselves, unless `by` says who. Raises ValidationError."""
    with transaction.atomic():
        # The membership's row, not the preference's, which may not exist yet, is what two savers queue on.
        Membership.objects.select_for_update(of=("self",)).get(pk=membership.pk)
        preference = preference_of(membership)
        before = {name: _plain(getattr(preference, name)) for name in FIELDS}
        for name, value in fields.items():
            if name not in FIELDS:
                raise ValidationError(f"There is no preference {name}.")
            setattr(preference, name, value)
        if (preference.quiet_from is None) != (preference.quiet_until is None):
            raise ValidationError({"quiet_until": "Quiet hours need a beginning and an end."})
        if preference.timezone != preferences.zone(preference.timezone).key:
            raise ValidationError({"timezone": "There is no such time zone."})
        preference.digest_due_at = preferences.next_digest(preference, database_now())
        preference.clean_fields(exclude=["membership"])
        preference.save()
        after = {name: _plain(getattr(preference, name)) for name in FIELDS}
        changes = {name: {"from": before[name], "to": after[name]} for name in FIELDS if before[name] != after[name]}
        if changes:
            target = show_id("mem", membership.pk)
            tell(
                "preference:change",
                organization=membership.organization,
                by=by or membership,
                target=target,
                changes=changes,
            )
    return preference


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool) or value is None else str(value)
