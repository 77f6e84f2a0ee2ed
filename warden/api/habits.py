"""/api/habits: how people decide."""

from typing import Annotated

from msgspec import Meta, Struct

from audit.clock import database_now
from warden import habits
from warden.api.bodies import HabitsQuery
from warden.api.endpoint import Call, endpoint


class Habit(Struct):
    """One person's votes of the period. Times are from asking to the vote, in seconds."""

    email: str
    votes: int
    approvals: int
    median_seconds: float
    fastest_seconds: float
    quick_approvals: Annotated[int, Meta(description="Approvals within ten seconds of asking.")]
    longest_streak: Annotated[int, Meta(description="Approvals in a row, at most.")]
    running_streak: Annotated[int, Meta(description="Approvals in a row, up to their last vote.")]
    approves_everything: Annotated[bool, Meta(description="The running streak is twenty or more.")]


@endpoint("GET", "habits", "settings:read")
def list_habits(call: Call, query: HabitsQuery) -> list[Habit]:
    """List how each approver decides, the longest running streak of approvals first."""
    found = habits.habits(organization=call.organization, mode=query.mode, days=query.days, now=database_now())
    return [
        Habit(
            each.email,
            each.votes,
            each.approvals,
            each.median.total_seconds(),
            each.fastest.total_seconds(),
            each.quick,
            each.longest,
            each.running,
            each.approves_everything,
        )
        for each in found.people
    ]
