"""Settings of SPIFFE: what is wrong is said at the start, and production refuses the mock."""

import os
import subprocess
import sys

import pytest
from pytest_django import Settings

from tests.factories import an_organization
from warden import checks

SHOW = (
    "import django; django.setup(set_prefix=False); from warden import checks;"
    " print([each.msg for check in (checks.environment, checks.identities) for each in check()])"
)


def start(**environment: str) -> str:
    """What Warden says to these settings as it starts, without the database."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SPIFFE_TRUST_DOMAINS": "*"}, "a wildcard would trust everybody"),
        ({"SPIFFE_TRUST_DOMAINS": "a.example,*.example.com"}, "a wildcard would trust everybody"),
        ({"SPIFFE_TRUST_DOMAINS": "a.example=acme,a.example=globex"}, "is there twice"),
        ({"SPIFFE_PROVIDER": "none"}, "SPIFFE_PROVIDER is"),
        ({"SPIFFE_LISTEN": "8443"}, "no host and port"),
        ({"SPIFFE_LISTEN": "0.0.0.0:8443"}, "needs SPIFFE_TRUST_DOMAINS, SPIFFE_TLS_CERT, SPIFFE_TLS_KEY"),
        ({"SPIFFE_TLS_MIN": "1.1"}, "SPIFFE_TLS_MIN is"),
        ({"SPIFFE_BUNDLE_URLS": "a.example=https://b"}, "will not do"),
        ({"SPIFFE_TRUST_DOMAINS": "a.example", "SPIFFE_BUNDLE_URLS": "a.example=http://b"}, "will not do"),
        ({"SPIFFE_TRUST_DOMAINS": "a.example", "SPIFFE_BUNDLE_PINS": "a.example=md5:b"}, "will not do"),
        ({"SPIFFE_PROXIES": "everybody"}, "SPIFFE_PROXIES"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_at_the_start(environment: dict[str, str], said: str) -> None:
    assert said in start(**environment)


def test_what_is_right_is_not_complained_of() -> None:
    good = {"SPIFFE_TRUST_DOMAINS": "example.com=acme,b.example=globex", "SPIFFE_PROXIES": "10.0.0.0/8"}
    assert start(**good).strip() == "[]"


def test_production_refuses_the_mock(settings: Settings) -> None:
    settings.SPIFFE_PROVIDER = "mock"
    assert checks.identities() == []
    settings.PRODUCTION = True
    assert [message.id for message in checks.identities()] == ["warden.E009"]


@pytest.mark.django_db
def test_a_trust_domain_that_could_mean_two_organizations_is_refused(settings: Settings) -> None:
    settings.SPIFFE_TRUST_DOMAINS = {"example.com": "", "partner.example": "globex"}
    an_organization()
    assert checks.trust_domains(databases=["default"]) == []
    an_organization()
    [message] = checks.trust_domains(databases=["default"])
    assert message.id == "warden.E012"
    assert "partner.example" not in message.msg
