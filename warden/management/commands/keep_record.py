"""keep_record [--json]: the day's work on the record; see audit.daily."""

from typing import Any

from accounts.management.base import PeopleCommand
from audit.verify import verify_all
from warden import retaining


class Command(PeopleCommand):
    help = "Delete what of the record is over, and read the rest again. The sequencer runs it once a day."

    def answer(self, **options: Any) -> tuple[Any, str]:
        outcome = retaining.apply()
        found = verify_all()
        broken = [each.log.origin for each in found if each.problem]
        data = {"let_go": [retaining.facts(each) for each in outcome.gone], "verified": len(found), "broken": broken}
        return data, f"{len(outcome.gone)} logs begin later; {len(found)} verified, {len(broken)} broken."
