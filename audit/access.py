"""Who may read the record: members whose role has `logs:read`."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from audit.leaf import Mode


class MemberRequest(HttpRequest):
    """A request as accounts.middleware passes it on; this room may not import that one."""

    membership: Any
    organization: Any
    mode: Mode
    user: Any


View = Callable[..., HttpResponseBase]


def reads_the_record(view: View) -> View:
    """Lets in whose membership says so; others get 403, people of no organization a page."""

    @wraps(view)
    def wrapped(request: MemberRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        membership = request.membership
        if not membership:
            return redirect("accounts:no_organization")
        if not membership.may("logs:read"):
            raise PermissionDenied(f"Your role, {membership.get_role_display().lower()}, does not include the record.")
        return view(request, *args, **kwargs)

    wrapped.ability = "logs:read"  # type: ignore[attr-defined]
    return wrapped
