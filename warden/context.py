"""What every page needs: the organization, the mode, who is there, how much waits."""

from typing import Any

from django.http import HttpRequest

from accounts.models import Organization
from approvals.models import Approval, BreakGlass
from approvals.stops import freezing
from notifications.models import Alert


def page(request: HttpRequest) -> dict[str, Any]:
    """For templates. A page for nobody in particular (log-in, errors) gets the theme alone."""
    user = getattr(request, "user", None)
    if not user or not user.is_authenticated or not getattr(request, "membership", None):
        return {"theme": getattr(user, "theme", "system"), "mode": "live", "membership": None, "organization": None}
    organization, mode = request.organization, request.mode  # type: ignore[attr-defined]
    return {
        "theme": user.theme,
        "membership": request.membership,  # type: ignore[attr-defined]
        "organization": organization,
        "organizations": Organization.objects.filter(memberships__user=user),
        "mode": mode,
        "stops": freezing.active(organization),
        "glass_due": (
            BreakGlass.objects.filter(organization=organization, mode=mode, signed_at=None)
            .select_related("approval")
            .order_by("due_at")
            if request.membership.may("owners:write")  # type: ignore[attr-defined]
            else ()
        ),
        "firing": (
            Alert.objects.filter(rule__organization=organization, rule__mode=mode, resolved_at=None).count()
            if request.membership.may("settings:read")  # type: ignore[attr-defined]
            else 0
        ),
        "inbox_count": Approval.objects.filter(organization=organization, mode=mode, state="pending").count(),
    }
