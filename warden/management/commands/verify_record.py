"""verify_record [--json]"""

from typing import Any

from accounts.management.base import PeopleCommand
from audit.verify import verify_all


class Command(PeopleCommand):
    help = "Read every log again and hold it against its last checkpoint; exit code 1 where one does not hold."

    def answer(self, **options: Any) -> tuple[Any, str]:
        found = verify_all()
        data = [
            {"origin": each.log.origin, "size": each.size, "problem": each.problem or None, "index": each.index}
            for each in found
        ]
        lines = [
            f"{each.log.origin}: {each.size} events hold"
            if not each.problem
            else f"{each.log.origin}: {each.problem}" + (f" Index {each.index}." if each.index is not None else "")
            for each in found
        ]
        self.failed = any(each.problem for each in found)
        return {"holds": not self.failed, "logs": data}, "\n".join(lines) or "There is no log yet."

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self.failed:
            raise SystemExit(1)
