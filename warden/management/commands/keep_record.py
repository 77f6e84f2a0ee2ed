"""keep_record [--json]: the day's work on the record, and on what it told of; see audit.daily."""

from typing import Any

from accounts.management.base import PeopleCommand
from audit.verify import verify_all
from warden import retaining


class Command(PeopleCommand):
    help = "Delete what is over, and read the record again. The sequencer runs it once a day."

    def answer(self, **options: Any) -> tuple[Any, str]:
        outcome = retaining.apply()
        found = verify_all()
        broken = [each.log.origin for each in found if each.problem]
        data = {
            "let_go": [retaining.facts(each) for each in outcome.gone],
            "requests": outcome.requests,
            "deliveries": outcome.deliveries,
            "verified": len(found),
            "broken": broken,
        }
        return data, (
            f"{len(outcome.gone)} logs begin later; {outcome.requests} requests and {outcome.deliveries} deliveries are"
            f" deleted; {len(found)} verified, {len(broken)} broken."
        )
