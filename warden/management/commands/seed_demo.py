"""Fill an empty installation with something to try: three people, three agents, their tiers, one key."""

import secrets
import shlex
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import roles
from accounts.by import COMMAND_LINE
from accounts.models import Organization, User
from accounts.secrets import hash_secret
from accounts.services import members, organizations, people
from agents.models import Agent, ApiKey
from agents.services.agents import create_agent
from agents.services.keys import create_key
from agents.services.permissions import create_permission

SLUG = "demo"
PEOPLE = {
    "owner@example.com": ("Owner", roles.OWNER, "owns the agents, so she cannot decide what they ask"),
    "approver@example.com": ("Approver", roles.APPROVER, "decides"),
    "viewer@example.com": ("Viewer", roles.VIEWER, "looks on"),
}
SUPPORT, DATA, DEVOPS = "customer-support-bot", "data-processing-bot", "devops-bot"
AGENTS: dict[str, dict[str, str]] = {
    SUPPORT: {
        "name": "Customer support bot",
        "purpose": "Answers tickets, refunds customers, writes to them.",
        "notes": "Refunds above $200 wait for a person, who should know the customer's ticket.",
        "documentation": (
            "# Customer support bot\n\nReads tickets, decides on refunds, and tells the customer.\n\n"
            "## What it does\n\n- **Refunds** through Stripe: small and medium ones at once, large ones after a person "
            "agreed, nothing above $1,000.\n- **E-mail** to the customer of the ticket.\n- **Zendesk**: status and "
            "comments.\n\n## When something is wrong\n\nSuspend it here: every check is denied from that moment on."
        ),
    },
    DATA: {
        "name": "Data processing bot",
        "purpose": "Reads the warehouse, fetches from partners, uploads reports.",
        "notes": "It uploads reports and never deletes them.",
        "documentation": "Runs every night. Reads only; what it writes goes to the reports bucket.",
    },
    DEVOPS: {
        "name": "DevOps bot",
        "purpose": "Deploys: staging by itself, production after a person agreed.",
        "notes": "Production waits for a person, every time.",
        "documentation": "Deploys the tag it is given. `deploy.production` waits for a person, every time.",
    },
}
TIERS: dict[str, list[dict[str, Any]]] = {
    SUPPORT: [
        {"action": "stripe.refund.small", "effect": "allow", "max_amount": Decimal(50), "currency": "USD"},
        {
            "action": "stripe.refund.medium",
            "effect": "allow",
            "max_amount": Decimal(200),
            "currency": "USD",
            "risk": "medium",
        },
        {
            "action": "stripe.refund.large",
            "effect": "ask",
            "max_amount": Decimal(1000),
            "currency": "USD",
            "risk": "high",
        },
        {"action": "email.send", "effect": "allow"},
        {"action": "zendesk.ticket.update", "effect": "allow"},
    ],
    DATA: [
        {"action": "database.read", "effect": "allow"},
        {"action": "s3.upload", "effect": "allow"},
        {"action": "api.fetch", "effect": "allow"},
    ],
    DEVOPS: [
        {"action": "deploy.staging", "effect": "allow"},
        {"action": "deploy.production", "effect": "ask", "risk": "high"},
    ],
}


class Command(BaseCommand):
    help = "Make a demonstration organization where there is no organization yet, and print how to log in."
    requires_migrations_checks = True

    def handle(self, *args: object, **options: object) -> None:
        if settings.PRODUCTION:
            raise CommandError("Refused: this is production, and the demonstration has passwords in a file.")
        if not Organization.objects.filter(slug=SLUG).exists():
            if Organization.objects.exists():
                self.stdout.write("No demonstration: there is an organization already.")
                return
            seed(_password())
        organization = Organization.objects.get(slug=SLUG)
        self._tell(_key_file(organization))

    def _tell(self, key_file: Path | None) -> None:
        width = max(map(len, PEOPLE))
        lines = [f"Log in at {settings.SITE_URL} as", ""]
        lines += [f"  {email:<{width}}  {role}, {what}" for email, (_, role, what) in PEOPLE.items()]
        kept = _password_file()
        password = kept.read_text().strip() if kept.exists() else ""
        lines += ["", f"  password  {password}" if password else "with the password of the first start."]
        if key_file:
            lines += [
                "",
                "Let an agent work through 200 refund tickets, and watch the inbox fill:",
                "",
                f"  AGENTWARDEN_API_KEY=$(cat {_short(key_file)}) AGENTWARDEN_BASE_URL={settings.SITE_URL} "
                f"{_short(Path(sys.executable))} sdk/examples/refund_agent.py",
            ]
        self.stdout.write("\n".join(lines))


@transaction.atomic
def seed(password: str) -> Organization:
    """The organization, its people, agents and tiers: all of it or nothing."""
    owner, *others = [
        (User.objects.filter(email=email).first() or people.create(email=email, name=name, password=password), role)
        for email, (name, role, _) in PEOPLE.items()
    ]
    organization = organizations.create(name="Demo", slug=SLUG, owner=owner[0], by=COMMAND_LINE)
    for user, role in others:
        members.add(organization=organization, user=user, role=role, by=COMMAND_LINE)
    for slug, fields in AGENTS.items():
        agent = create_agent(organization=organization, by=COMMAND_LINE, slug=slug, owner_user=owner[0], **fields)
        for tier in TIERS[slug]:
            create_permission(agent=agent, by=COMMAND_LINE, **tier)
    return organization


def _password_file() -> Path:
    return settings.WARDEN_HOME / "demo.txt"


def _password() -> str:
    """Kept before it is used, so that it is never lost."""
    file = _password_file()
    if not file.exists():
        _keep(file, secrets.token_urlsafe(12))
    return file.read_text().strip()


def _key_file(organization: Organization) -> Path | None:
    """The file with the support bot's key; a new key where the kept one opens nothing. None where the bot is gone."""
    file: Path = settings.WARDEN_HOME / "demo_api_key"
    agent = Agent.objects.filter(organization=organization, slug=SUPPORT, deleted_at=None).first()
    if agent is None:
        return None
    kept = hash_secret(file.read_text().strip()) if file.exists() else b""
    if not ApiKey.objects.filter(organization=organization, key_hash=kept, revoked_at=None).exists():
        made = create_key(organization=organization, by=COMMAND_LINE, mode="live", name="demonstration", agent=agent)
        _keep(file, made.secret)
    return file


def _short(path: Path) -> str:
    """As it is written in the repository's folder, ready for a shell."""
    return shlex.quote(str(path.relative_to(settings.BASE_DIR) if path.is_relative_to(settings.BASE_DIR) else path))


def _keep(file: Path, text: str) -> None:
    """Writes a secret that only this user may read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(f"{text}\n")
