"""Small things that the views of this room share."""

from collections.abc import Iterator
from contextlib import contextmanager

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import User
from accounts.rules import Refused


@contextmanager
def told(request: HttpRequest, success: str) -> Iterator[None]:
    """Says on the next page how it went: `success`, or why it was refused."""
    try:
        yield
    except Refused as why_not:
        messages.error(request, str(why_not))
    else:
        messages.success(request, success)


@contextmanager
def told_in(form: BaseForm) -> Iterator[None]:
    """Puts a refusal into the form, which is then not valid any more: nothing that was typed is lost."""
    try:
        yield
    except Refused as why_not:
        form.add_error(None, str(why_not))
    except ValidationError as error:
        for field, errors in error.message_dict.items():
            form.add_error(field if field in form.fields else None, errors)


def status_of(form: BaseForm) -> int:
    """422 for a page that shows a form with errors, so that htmx and scripts can tell; else 200."""
    return 422 if form.is_bound and form.errors else 200


def log_in(request: HttpRequest, user: User) -> HttpResponse:
    """Logs in somebody who has just chosen a password. Returns the redirect to the start."""
    record_authentication(request, user, method="password", email=user.email)
    response: HttpResponse = perform_login(request, user, email_verification="none", redirect_url="/")
    request.session.set_expiry(0)
    return response


def next_url(request: HttpRequest) -> str:
    """Where a small form wants to go back to: `next`, if it is an address of ours, else the start."""
    url = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return url if ours else "/"


def private(response: HttpResponse) -> HttpResponse:
    """An answer that shows a secret: no cache keeps it. (Its address goes to nobody: the referrer policy is ours.)"""
    response["Cache-Control"] = "no-store"
    return response
