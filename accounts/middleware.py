"""Who is asking, in which organization, live or test: set once for every request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from accounts.models import Membership

ORGANIZATION, MODE = "organization", "mode"  # keys in the session


def _membership(request: HttpRequest) -> Membership | None:
    if not request.user.is_authenticated:
        return None
    memberships = Membership.objects.filter(user=request.user).select_related("organization", "user")
    chosen = request.session.get(ORGANIZATION)
    if chosen:
        for membership in memberships.filter(organization_id=chosen):
            return membership
    return memberships.order_by("created_at").first()


class CurrentOrganization:
    """Sets request.membership (None for a stranger), request.organization and request.mode ('live' or 'test').

    Views scope every look-up by them; what belongs to another organization is a 404.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.membership = SimpleLazyObject(lambda: _membership(request))  # type: ignore[attr-defined]
        request.organization = SimpleLazyObject(  # type: ignore[attr-defined]
            lambda: request.membership.organization if request.membership else None  # type: ignore[attr-defined]
        )
        request.mode = "test" if request.session.get(MODE) == "test" else "live"  # type: ignore[attr-defined]
        return self.get_response(request)
