"""People in roles, in two organizations that must never notice each other."""

import socket
from collections.abc import Callable, Iterator

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from django.test import Client

from accounts.models import Membership, Organization, User
from audit.models import Event

SMTP = "django.core.mail.backends.smtp.EmailBackend"
PASSWORD = "a long way to tipperary"


@pytest.fixture(autouse=True)
def cheap_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def no_rates_left_over(settings) -> None:
    """Rates are counted by address, and all tests come from one."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "accounts"}}
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def organization(db) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def elsewhere(db) -> Organization:
    return Organization.objects.create(name="Globex", slug="globex")


Join = Callable[..., Membership]


@pytest.fixture
def join(organization) -> Join:
    """`join("owner")` → a new member with that role."""

    def make(role: str, email: str = "", into: Organization | None = None) -> Membership:
        user = User.objects.create_user(email or f"{role}@example.com", PASSWORD, name=role.title())
        return Membership.objects.create(organization=into or organization, user=user, role=role)

    return make


@pytest.fixture
def owner(join) -> Membership:
    return join("owner")


@pytest.fixture
def admin(join) -> Membership:
    return join("admin")


@pytest.fixture
def approver(join) -> Membership:
    return join("approver")


@pytest.fixture
def auditor(join) -> Membership:
    return join("auditor")


@pytest.fixture
def viewer(join) -> Membership:
    return join("viewer")


@pytest.fixture
def stranger(join, elsewhere) -> Membership:
    """The owner of another organization."""
    return join("owner", "stranger@example.net", elsewhere)


@pytest.fixture
def browser() -> Callable[[Membership], Client]:
    """A browser in which that member is logged in."""

    def open_for(member: Membership) -> Client:
        client = Client()
        client.force_login(member.user)
        return client

    return open_for


@pytest.fixture
def told() -> Callable[..., list[Event]]:
    """The events of a kind, oldest first."""

    def find(kind: str, organization: Organization | None = None) -> list[Event]:
        events = Event.objects.filter(kind=kind).order_by("id")
        return list(events.filter(organization_id=organization.id) if organization else events)

    return find


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mailbox(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list = []

    def handle_message(self, message) -> None:
        self.messages.append(message)

    def text(self, number: int = -1) -> str:
        return self.messages[number].get_payload(decode=True).decode()


@pytest.fixture
def mailbox(settings) -> Iterator[Mailbox]:
    """A real mail server, and what it received."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    options = {"host": "127.0.0.1", "port": controller.port, "timeout": 5}
    settings.MAILERS = {"default": {"BACKEND": SMTP, "OPTIONS": options}}
    yield box
    controller.stop()
