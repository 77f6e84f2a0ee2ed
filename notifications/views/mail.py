"""The mail server: what is configured, and a test with its answer."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.mail import EmailMultiAlternatives
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import mail as configured
from accounts.access import requires
from accounts.requests import MemberRequest
from notifications.letters import letter, plain
from notifications.services.mail import tested
from notifications.transports import TransportError
from notifications.transports.email import hand_over


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:read")
def mail(request: MemberRequest) -> HttpResponse:
    """What the environment says of the mail server. POST mails whoever asks, and shows what the server said."""
    may_test = request.membership.may("settings:write")
    if request.method == "POST" and may_test:
        answer, accepted = _test(request)
        tested(organization=request.organization, by=request.membership, answer=answer, accepted=accepted)
        (messages.success if accepted else messages.error)(request, answer)
        return redirect("notifications:mail")
    mailer: dict[str, Any] = settings.MAILERS["default"]
    options = mailer.get("OPTIONS", {})
    tls = "from the start" if options.get("use_ssl") else "STARTTLS" if options.get("use_tls") else "none"
    context = {
        "is_configured": configured.is_configured(),
        "server": f"{options.get('host')}:{options.get('port')}",
        "tls": tls,
        "user": options.get("username", ""),
        "sender": settings.DEFAULT_FROM_EMAIL,
        "may_test": may_test,
        "nav": "settings",
    }
    return render(request, "notifications/mail.html", context)


def _test(request: MemberRequest) -> tuple[str, bool]:
    """Mails the person who asks. Returns what came of it, and whether the server took it."""
    words = letter(
        subject="A test from Warden",
        opening="This is a test: mail from Warden reaches you.",
        facts={"Organization": plain(request.organization.name)},
        links=[("Open Warden", settings.SITE_URL)],
    )
    message = EmailMultiAlternatives(
        subject=words.subject,
        body=words.text,
        to=[request.user.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(words.html, "text/html")
    try:
        answer = hand_over(message)
    except TransportError as error:
        return f"Not sent. {error}", False
    if not configured.is_configured():
        return answer, False
    return f"The mail server took the message to {request.user.email} and said: {answer}", True
