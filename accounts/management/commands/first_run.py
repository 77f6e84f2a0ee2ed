"""first_run: prints the one-time link that makes the first owner; nothing where there is one."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.services import setup


class Command(BaseCommand):
    help = "Print the one-time link that makes the first owner; it voids the one before. Silent once there is an owner."

    def handle(self, *args: Any, **options: Any) -> None:
        link = setup.new_link()
        if link:
            self.stdout.write(f"Make the first owner here; the link works once:\n{link}")
