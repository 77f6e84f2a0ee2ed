"""Where the rule wants a fresh second factor: given by an app's code, and what is none."""

import time
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.test import Client

from accounts.stepup import FRESH_SECONDS
from approvals.models import Approval, Review
from tests import factories
from tests.approvals.conftest import Acme

STEPUP = {"assurance": "stepup"}
METHODS = "account_authentication_methods"


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def address(approval: Approval) -> str:
    return f"/approvals/{approval.approval_id}/approve"


@pytest.mark.django_db
def test_a_code_of_an_app_that_was_given_just_now_is_enough(acme: Acme, enter: Any) -> None:
    approval, secret = factories.an_approval(agent=acme.bot, rule=STEPUP), generate_totp_secret()
    TOTP.activate(acme.approver, secret)
    client: Client = enter(acme.approver)
    page = client.get(address(approval)).content.decode()
    assert "Confirm that it is you" in page
    there = f"/accounts/2fa/reauthenticate/?next=%2Fapprovals%2F{approval.approval_id}%2Fapprove"
    assert f'href="{there}"' in page
    answer = client.post(there, {"code": code_of(secret), "next": address(approval)})
    assert answer.headers["Location"] == address(approval)
    assert 'name="digest"' in client.get(address(approval)).content.decode()
    assert client.post(address(approval), {"digest": approval.digest}).status_code == 302
    assert Approval.objects.get().state == "approved"
    assert Review.objects.get().assurance == "stepup"


def proved(client: Client, acme: Acme, age: float, **method: str) -> int:
    """What deciding answers in a session in which the approver proved who they are so many seconds ago."""
    approval = factories.an_approval(agent=acme.bot, rule=STEPUP)
    session = client.session
    session[METHODS] = [{**method, "at": time.time() - age, "reauthenticated": True}]
    session[f"{METHODS}_user"] = str(acme.approver.pk)
    session.save()
    status = client.post(address(approval), {"digest": approval.digest}).status_code
    approval.refresh_from_db()
    assert approval.state == ("approved" if status == 302 else "pending")
    return status


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("age", "status"), [(0, 302), (FRESH_SECONDS - 20, 302), (FRESH_SECONDS + 2, 403), (86_400, 403), (-3_600, 403)]
)
def test_a_code_that_is_stale_is_not(acme: Acme, enter: Any, age: float, status: int) -> None:
    assert proved(enter(acme.approver), acme, age, method="mfa", type="totp") == status


@pytest.mark.django_db
@pytest.mark.parametrize("method", [{"method": "password"}, {"method": "mfa", "type": "recovery_codes"}])
def test_a_password_or_a_recovery_code_is_no_second_factor(acme: Acme, enter: Any, method: dict[str, str]) -> None:
    RecoveryCodes.activate(acme.approver)
    assert proved(enter(acme.approver), acme, 0, **method) == 403


@pytest.mark.django_db
def test_the_second_factor_of_somebody_else_in_this_browser_is_not_theirs(acme: Acme, enter: Any) -> None:
    approval, secret = factories.an_approval(agent=acme.bot, rule=STEPUP), generate_totp_secret()
    TOTP.activate(acme.colleague, secret)
    client: Client = enter(acme.colleague)
    client.get(address(approval))
    client.post("/accounts/2fa/reauthenticate/", {"code": code_of(secret)})
    client.force_login(acme.approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(address(approval), {"digest": approval.digest}).status_code == 403
