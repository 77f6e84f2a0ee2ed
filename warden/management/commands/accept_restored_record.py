"""accept_restored_record --reason WHY [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand
from audit import kept, sequencer
from audit.log import Log
from audit.record import record
from audit.signing import Refused
from audit.startup import check_log


class Command(PeopleCommand):
    help = "Go on with a record that is older than its kept checkpoints, after a restore. It stays visible for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--reason", required=True, help="such as: restored the backup of Monday after a disk failed"
        )

    def answer(self, **options: Any) -> tuple[Any, str]:
        accepted = []
        with sequencer.connect() as connection:
            for log in Log.objects.order_by("id"):
                known = kept.known(log.organization_id, log.mode)
                try:
                    check_log(connection, log.pk, log.origin)  # damage inside cannot be accepted
                except Refused as error:
                    raise CommandError(str(error)) from error
                try:
                    check_log(connection, log.pk, log.origin, *known)
                except Refused as error:
                    self._accept(log, known, str(error), options["reason"])
                    accepted.append(log.origin)
        words = "\n".join(accepted) or "Every log is what was signed last: there is nothing to accept."
        return {"accepted": accepted}, words

    @transaction.atomic
    def _accept(self, log: Log, known: list[str], refusal: str, reason: str) -> None:
        record(
            kind="system:record:accept",
            organization_id=log.organization_id,
            mode=log.mode,  # type: ignore[arg-type]
            actor=COMMAND_LINE,
            data={"reason": reason, "refusal": refusal, "kept": "\n".join(known)},
        )
        transaction.on_commit(lambda: kept.forget(log.organization_id, log.mode))
