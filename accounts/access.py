"""Who may open a view: `@requires("agents:write")` on every view that shows or changes an organization's things."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

View = Callable[..., HttpResponse]


def requires(ability: str) -> Callable[[View], View]:
    """Lets in members whose role has `ability` (accounts.roles); others get 403, people of no organization a page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            membership = request.membership  # type: ignore[attr-defined]
            if not membership:
                return redirect("accounts:no_organization")
            if not membership.may(ability):
                raise PermissionDenied(f"Your role, {membership.get_role_display().lower()}, does not include this.")
            return view(request, *args, **kwargs)

        wrapped.ability = ability  # type: ignore[attr-defined]
        return wrapped

    return decorate
