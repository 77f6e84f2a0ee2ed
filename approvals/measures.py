"""What approvals can be alerted on. Each reads the index of what waits."""

from datetime import timedelta

from django.db.models import ExpressionWrapper, F, Min, QuerySet
from django.db.models.fields import DurationField

from accounts.models import Organization
from agents.outlook import Staff
from approvals.models import Approval, still_waits
from notifications.alerts.measures import Measure, Scope, register

MANY = 10_000  # counted no further
SOON = 0.1  # of the time a request had


def connect() -> None:
    register(Measure("backlog", "Requests that wait", backlog, windowed=False))
    register(Measure("oldest_pending", "Age of the oldest request", oldest_pending, "minutes", windowed=False))
    register(Measure("stuck_rules", "Approval rules nobody can satisfy", stuck_rules, windowed=False))
    register(Measure("about_to_expire", "Requests about to expire", about_to_expire, windowed=False))


def stuck_rules(scope: Scope) -> float:
    """How many approval rules nobody could satisfy as people are now, or not for an agent whose owners they need."""
    organization = Organization.objects.get(id=scope.organization_id)
    staff = Staff(organization)
    return float(sum(bool(staff.trouble(rule)) for rule in organization.approval_rules.all()))


def backlog(scope: Scope) -> float:
    """How many requests wait now."""
    return float(_waiting(scope)[:MANY].count())


def oldest_pending(scope: Scope) -> float:
    """For how many minutes the oldest of them has waited; 0 where none does."""
    made = _waiting(scope).aggregate(at=Min("created_at"))["at"]
    return (scope.now - made) / timedelta(minutes=1) if made else 0.0


def about_to_expire(scope: Scope) -> float:
    """How many have at most a tenth of their time left."""
    lasts = ExpressionWrapper((F("expires_at") - F("created_at") - F("frozen_for")) * SOON, DurationField())
    late = _waiting(scope).annotate(tenth=lasts).filter(frozen_at=None, expires_at__lte=scope.now + F("tenth"))
    return float(late[:MANY].count())


def _waiting(scope: Scope) -> QuerySet[Approval]:
    return Approval.objects.filter(still_waits(scope.now), organization_id=scope.organization_id, mode=scope.mode)
