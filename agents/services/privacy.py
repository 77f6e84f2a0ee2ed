"""What is kept covered: make a rule, delete one; and erase a subject, for good."""

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from accounts.by import By, check_by, lock, tell
from accounts.models import Membership, Organization
from accounts.rules import Refused
from agents.models import Permission, PrivacyRule
from agents.models.privacy import EVERY
from agents.policy.names import covers
from audit.ids import show_id
from audit.subjects import SubjectKey, tags

WRITE, ERASE = "settings:write", "subjects:erase"


def add_rule(
    *, organization: Organization, by: By, action: str, path: str, treatment: str, subject: str = ""
) -> PrivacyRule:
    """From the commit on, values at `path` are stored withheld or encrypted. Raises Refused, ValidationError."""
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, WRITE)
        rule = PrivacyRule(
            organization=organization, action=action.strip(), path=path, treatment=treatment, subject=subject
        )
        rule.created_by = by.user if isinstance(by, Membership) else None
        rule.full_clean(exclude=["id", "organization", "created_by", "created_at"], validate_constraints=False)
        if PrivacyRule.objects.filter(organization=organization, action=rule.action, path=rule.path).exists():
            raise ValidationError({"path": "There is a rule for this field of these actions: delete that first."})
        if rule.treatment == PrivacyRule.Treatment.REDACT and (reader := _reads(rule)):
            raise ValidationError(
                {
                    "path": f"The condition of '{reader.action}' may read this field, and could not be judged again"
                    " when an approval is taken: encrypt it instead."
                }
            )
        rule.save(force_insert=True)
        _tell("create", rule, by)
    return rule


def _reads(rule: PrivacyRule) -> Permission | None:
    """A tier of these actions whose condition names the field: a guess by its text, on the safe side."""
    field = rule.path.partition(".")[0]
    tiers = Permission.objects.filter(agent__organization=rule.organization, agent__deleted_at=None)
    for tier in tiers.filter(condition__contains=field).order_by("action"):
        # A rule for stripe.refund meets the tiers stripe.refund.large and stripe.*, too.
        meets = tier.action.startswith(f"{rule.action}.") or covers(tier.action, rule.action)
        if rule.action == EVERY or meets or covers(rule.action, tier.action):
            return tier
    return None


def delete_rule(*, rule: PrivacyRule, by: By) -> None:
    """From the commit on, these values are stored as they are; what was stored before stays covered. Raises Refused."""
    with transaction.atomic():
        organization = lock(rule.organization)
        check_by(by, organization, WRITE)
        if not PrivacyRule.objects.filter(pk=rule.pk).delete()[0]:
            raise Refused("Somebody else deleted this rule.")
        _tell("delete", rule, by)


def _tell(verb: str, rule: PrivacyRule, by: By) -> None:
    facts = {name: getattr(rule, name) for name in ("action", "path", "treatment", "subject")}
    target = show_id("pvr", rule.pk)
    tell(f"privacy:{verb}", organization=rule.organization, by=by, target=target, named=str(rule), rule=facts)


@dataclass(frozen=True, slots=True)
class Known:
    """A subject that has a key: since when."""

    created_at: datetime


def find_subject(*, organization: Organization, by: By, subject: str) -> Known | None:
    """Whether there is anything to erase. Raises Refused, ValidationError."""
    check_by(by, organization, ERASE)
    row = _rows(organization, subject).first()
    return Known(row.created_at) if row else None


def _rows(organization: Organization, subject: str) -> QuerySet[SubjectKey]:
    subject = subject.strip()
    if not subject:
        raise ValidationError({"subject": "Write the subject as requests name it, such as cus_ABC123."})
    return SubjectKey.objects.filter(organization_id=organization.pk, tag__in=tags(organization.pk, subject))


def erase_subject(*, organization: Organization, by: By, subject: str, reason: str, typed: str) -> None:
    """Destroys the subject's key: nobody reads any more what was encrypted under it, wherever it is stored.

    `typed` is the subject once more, to be sure. The record keeps who did it and why, and not who the subject is.
    Raises Refused, ValidationError.
    """
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, ERASE)
        rows = _rows(organization, subject)
        if typed.strip() != subject.strip():
            raise ValidationError({"typed": "Type the subject again, exactly: this cannot be undone."})
        if not reason.strip():
            raise ValidationError({"reason": "Say why, without naming the subject: the record keeps it."})
        if subject.strip() in reason:
            raise ValidationError({"reason": "Leave the subject's name out: the record keeps this for good."})
        erased = [str(number) for number in rows.values_list("pk", flat=True)]
        if not erased:
            raise Refused("There is no key of this subject: nothing of it is encrypted, or it was erased before.")
        rows.delete()
        tell("subject:erase", organization=organization, by=by, target=show_id("org", organization.pk),
             keys=erased, reason=reason.strip())  # fmt: skip
