"""erase_subject SUBJECT [--reason TEXT --confirm SUBJECT] [--organization SLUG] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._privacy import PrivacyCommand
from agents.services.privacy import erase_subject, find_subject
from audit.leaf import timestamp


class Command(PrivacyCommand):
    help = "Destroy a subject's key, for good. Without --confirm: say whether there is one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("subject", metavar="SUBJECT", help="as requests name it, such as cus_ABC123")
        parser.add_argument("--reason", default="", help="kept in the record: do not name the subject")
        parser.add_argument("--confirm", metavar="SUBJECT", help="the subject again, to be sure")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization, by = self.whose(options)
        subject = options["subject"]
        known = find_subject(organization=organization, by=by, subject=subject)
        data = {"encrypted_since": timestamp(known.created_at) if known else None, "erased": False}
        if options["confirm"] is None:
            if known is None:
                return data, "Nothing is encrypted for this subject, or it was erased before."
            return data, (
                f"Encrypted since {known.created_at:%Y-%m-%d %H:%M} UTC. Nothing was erased: "
                "repeat with --reason TEXT --confirm SUBJECT to destroy the key."
            )
        erase_subject(
            organization=organization, by=by, subject=subject, reason=options["reason"], typed=options["confirm"]
        )
        return data | {"erased": True}, "Erased: nobody reads any more what was encrypted for this subject."
