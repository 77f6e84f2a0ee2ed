"""How django-allauth is bent to Warden: nobody signs up, links carry SITE_URL, mail waits for the commit."""

import base64
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from axes.utils import reset as forget_failures
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render

from accounts import identities, mail
from accounts.lockout import client_ip
from accounts.models import User
from accounts.services.people import tell_everywhere
from audit.clock import database_now


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def new_user(self, request: HttpRequest) -> User:
        """Never saved: django-allauth keeps it in a session, as JSON, which has no database defaults."""
        return User(created_at=database_now())

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request) or "0.0.0.0"  # noqa: S104 - nobody's address: the peer is a Unix socket

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Names the account to the lock-out, in one spelling, for log-in and for asking again."""
        login = str(credentials.get("email") or "").lower()
        user: User | None = super().authenticate(request, login=login, **credentials)
        return user

    def set_password(self, user: User, password: str) -> None:
        """Sets a password and says in the record how: changed, set for the first time, or reset by mail."""
        own = self.request.user.is_authenticated
        how = "reset" if not own else "change" if user.has_usable_password() else "set"
        with transaction.atomic():
            user.set_password(password)
            user.save(update_fields=["password"])
            tell_everywhere(user, f"password:{how}")
            if not own:
                forget_failures(username=user.email)  # they read the mail: the lock has done its work

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Sends after the commit. A failure is logged, and told to those who are logged in: a page that differed for
        strangers would tell them which addresses have accounts."""
        request = self.request
        about = {"request": request, "email": email, "site_url": settings.SITE_URL}
        message = self.render_mail(template_prefix, email, about | context)

        def send() -> None:
            why_not = mail.deliver(message)
            if why_not and request.user.is_authenticated:
                messages.error(request, f"{why_not} Tell whoever runs Warden.")

        transaction.on_commit(send)

    def format_email_subject(self, subject: str) -> str:
        return str(subject)

    def get_reset_password_from_key_url(self, key: str) -> str:
        return mail.site_url(urlsplit(super().get_reset_password_from_key_url(key)).path)

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return mail.site_url(urlsplit(super().get_email_confirmation_url(request, emailconfirmation)).path)


class MFAAdapter(DefaultMFAAdapter):
    """Second factors' secrets are encrypted at rest, under a key made from SECRET_KEY (or SECRET_KEY_FALLBACKS)."""

    def encrypt(self, text: str) -> str:
        return self._box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return self._box().decrypt(encrypted_text.encode()).decode()

    def _box(self) -> MultiFernet:
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    """A Fernet key of its own, so that SECRET_KEY is never used for two things."""
    return base64.urlsafe_b64encode(HKDF(SHA256(), 32, None, b"accounts: second factors").derive(key.encode()))


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Lets in who is linked, who is a member or invited by an address the provider has verified; nobody else."""
        if sociallogin.is_existing or sociallogin.state.get("process") in (AuthProcess.CONNECT, AuthProcess.REDIRECT):
            return
        found = identities.person_for(sociallogin)
        if found.user is None:
            page = render(request, "accounts/not_let_in.html", {"because": found.because}, status=403)
            raise ImmediateHttpResponse(page)
        sociallogin.connect(request, found.user)


class UserSessionsAdapter(DefaultUserSessionsAdapter):
    def end_sessions(self, sessions: Any) -> None:
        """Ends sessions, all in one transaction with the event that says how many."""
        sessions = list(sessions)
        with transaction.atomic():
            super().end_sessions(sessions)
            if sessions:
                tell_everywhere(context.request.user, "session:end", count=len(sessions))
