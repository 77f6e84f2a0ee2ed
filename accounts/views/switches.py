"""The small switches on top of every page: organization, live or test, theme."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.middleware import MODE, ORGANIZATION
from accounts.models import User
from accounts.requests import MemberRequest
from accounts.services import people
from accounts.views.answers import next_url
from audit.ids import read_id


@require_POST
def switch_organization(request: MemberRequest) -> HttpResponse:
    """To another organization one belongs to; always to the start, as this page's things are not there."""
    chosen = read_id("org", request.POST.get("organization", ""))
    if chosen is None or not request.user.memberships.filter(organization=chosen).exists():
        raise Http404
    request.session[ORGANIZATION] = str(chosen)
    return redirect("/")


@require_POST
def switch_mode(request: MemberRequest) -> HttpResponse:
    """Between live and test, for this session."""
    mode = request.POST.get("mode")
    if mode not in ("live", "test"):
        raise Http404
    request.session[MODE] = mode
    return redirect(next_url(request))


@require_POST
@login_not_required
def set_theme(request: HttpRequest) -> HttpResponse:
    """Light, dark or as the system: kept for those who are logged in."""
    theme = request.POST.get("theme", "")
    if theme not in dict(User.THEMES):
        raise Http404
    if isinstance(request.user, User):
        people.set_theme(user=request.user, theme=theme)
    return redirect(next_url(request))
