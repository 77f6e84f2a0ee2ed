"""After too many failures, nobody gets in from that address for a while: passwords and codes count alike."""

from allauth.core import context
from allauth.core.internal.httpkit import get_client_ip
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from axes.handlers.proxy import AxesProxyHandler
from django.core.exceptions import ValidationError
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str | None:
    """Whose request it is: the peer, or what the last of TRUSTED_PROXIES proxies says. None on a Unix socket."""
    return get_client_ip(request) or None


class _Lockable:
    """Asks before a code is looked at whether this person may try at all."""

    def clean_code(self) -> str:
        request = context.request
        if not AxesProxyHandler.is_allowed(request, {"login": self.user.email}):  # type: ignore[attr-defined]
            request.axes_locked_out = True  # the middleware answers with the page that says so
            raise ValidationError("Too many wrong codes. Try again in a quarter of an hour.")
        checked: str = super().clean_code()  # type: ignore[misc]
        return checked


class CodeForm(_Lockable, AuthenticateForm):
    """The second factor at log-in."""


class CodeAgainForm(_Lockable, ReauthenticateForm):
    """The second factor before something serious."""
