"""Bring a Warden on one box up to date: tables, static files, the demonstration, the first owner."""

from argparse import ArgumentParser

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate, collect static files, and prepare the first log-in; prints what a person should read."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--static", action="store_true", help="collect static files too")
        parser.add_argument("--demo", action="store_true", help="fill an empty database with a demonstration")

    def handle(self, *args: object, static: bool, demo: bool, **options: object) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        if static:
            call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        if demo:
            call_command("seed_demo", stdout=self.stdout)
        call_command("first_run", stdout=self.stdout)
