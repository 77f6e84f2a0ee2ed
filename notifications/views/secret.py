"""The signing secret of a webhook, a channel's or a stream's: shown once, and made anew after asking."""

from collections.abc import Callable
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.views.answers import private


class Signed(NamedTuple):
    """Whose secret it is: the page of all of its kind, and its own."""

    kind: str  # channel or stream
    name: str
    all_url: str
    url: str


def show(request: MemberRequest, of: Signed, secret: str) -> HttpResponse:
    """The secret, this once."""
    return private(render(request, "notifications/secret.html", {"of": of, "secret": secret, "nav": "settings"}))


def rotate(request: MemberRequest, of: Signed, make: Callable[[], str]) -> HttpResponse:
    """Asks, then makes a new one and shows it once."""
    if request.method != "POST":
        return render(request, "notifications/secret_rotate.html", {"of": of, "nav": "settings"})
    try:
        return show(request, of, make())
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(of.url)
