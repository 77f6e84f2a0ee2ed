"""How what there is differs from what was applied last."""

from dataclasses import dataclass

from accounts.models import Organization
from agents.code import diff as differing
from agents.code.diff import Change
from agents.code.document import convert
from agents.code.reading import Broken, File, read
from agents.code.state import current, desired
from agents.models import AppliedPolicy


@dataclass(frozen=True, slots=True)
class Drift:
    """`changes` would bring back what was applied last; `broken` says why that cannot be told any more."""

    last: AppliedPolicy | None
    changes: tuple[Change, ...] = ()
    broken: str = ""

    @property
    def summary(self) -> str:
        if self.last is None:
            return "No file was ever applied."
        if self.broken:
            return "The files applied last do not fit any more."
        number = len(self.changes)
        return f"Differs in {number} place{'' if number == 1 else 's'}." if number else "Is as it was applied."

    @property
    def words(self) -> str:
        return self.broken or differing.written(self.changes)


def drift(organization: Organization) -> Drift:
    """Compares without a lock: a look, not a promise. An address that was named and not written counts as it is."""
    last = AppliedPolicy.objects.filter(organization=organization).select_related("applied_by").first()
    if last is None:
        return Drift(None)
    before = current(organization)
    try:
        document = convert(read(File(each["name"], each["text"]) for each in last.files))
        values = {
            f"{kind}:{named}": before.channels[key]["address"] if key in before.channels else ""
            for key, channel in document.channels.items()
            for kind, named in (("env", channel.address_env), ("file", channel.address_file))
            if named
        }
        after = desired(document, before, values, prune=last.prune)
    except Broken as broken:
        return Drift(last, broken=str(broken))
    return Drift(last, tuple(differing.diff(before, after)))
