"""export_audit --output DIR [--organization SLUG] [--mode live|test|organization] [--since TIME [--checkpoint FILE …]]
[--format warden|ocsf [--payloads]] [--json]"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts.by import COMMAND_LINE, tell
from accounts.management.base import PeopleCommand, find_organization
from accounts.models import Organization
from agents.management.commands._base import moment
from audit import bundle, note, proofs
from audit.log import Log
from notifications.publishing import stamps

MODES = {"live": "live", "test": "test", "organization": ""}


class Command(PeopleCommand):
    help = "Write the record into a folder that warden-verify checks offline, with nothing but the public key."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder that is empty or new")
        parser.add_argument("--mode", choices=list(MODES), action="append", help="these logs only; may be repeated")
        parser.add_argument("--since", type=moment, metavar="TIME", help="from this time on, such as 2027-01-31T12:00Z")
        parser.add_argument(
            "--checkpoint",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="one that an auditor kept: shows that a later beginning goes on from it; may be repeated",
        )
        parser.add_argument(
            "--format",
            choices=["warden", "ocsf"],
            default="warden",
            help="warden: what warden-verify checks; ocsf: OCSF events as JSON Lines, for other programs",
        )
        parser.add_argument("--payloads", action="store_true", help="with ocsf: also what agents and people wrote")

    def answer(self, **options: Any) -> tuple[Any, str]:
        folder: Path = options["output"]
        if folder.exists() and any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty.")
        if options["payloads"] and options["format"] != "ocsf":
            raise CommandError("--payloads goes with --format ocsf: what is to be verified is always whole.")
        if options["checkpoint"] and options["format"] == "ocsf":
            raise CommandError("--checkpoint goes with --format warden: OCSF events prove nothing.")
        wanted = Organization.objects.order_by("slug")
        if options["organization"]:
            wanted = wanted.filter(pk=find_organization(options["organization"]).pk)
        organizations = list(wanted)
        modes = [MODES[mode] for mode in options["mode"] or MODES]
        logs = Log.objects.filter(organization_id__in=[each.pk for each in organizations], mode__in=modes)
        found, since = list(logs.order_by("id")), options["since"]
        known = [_head(file) for file in options["checkpoint"]]
        if others := {head.origin for head in known} - {log.origin for log in found}:
            raise CommandError(f"No log that is exported here has a checkpoint of {', '.join(sorted(others))}.")
        if options["format"] == "ocsf":
            manifest = bundle.write_ocsf(folder, found, since=since, payloads=options["payloads"])
        else:
            try:
                manifest = bundle.write(folder, found, since=since, known=known)
            except proofs.Damaged as error:
                raise CommandError(f"The log is damaged, and cannot be exported in part: {error}") from error
            for log, said in zip(found, manifest["logs"], strict=True):
                stamps.write(folder / said["folder"], log, said["first"], said["size"])
        with transaction.atomic():
            for organization in organizations:
                tell("record:export", organization=organization, by=COMMAND_LINE, since=str(since or ""))
        words = "\n".join(f"{log['origin']}: {log['size'] - log['first']} events" for log in manifest["logs"])
        return {"output": str(folder), **manifest}, words or "There is nothing to export yet."


def _head(file: Path) -> note.Head:
    """The tree that a checkpoint in a file names."""
    try:
        return note.head_of(file.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} is no checkpoint: {error}") from error
