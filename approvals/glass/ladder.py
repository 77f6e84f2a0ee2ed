"""Who may break the glass, for what, and what it takes: rules over plain data, as approvals.rules."""

from datetime import datetime, timedelta

from agents import assurance as levels
from approvals import rules, states
from approvals.rules import Case, Conflict, Incomplete, Person, Refused

RECENT = timedelta(hours=24)  # what ended longer ago is asked again
UNJUSTIFIED = "unjustified"
ENDINGS = {states.DENIED, states.EXPIRED}


def check(case: Case, *, person: Person, digest: str, now: datetime, assurance: str) -> None:
    """Every rung but the words, in order: raises rules.Refused for the first that does not hold."""
    check_state(case, now)
    check_person(case, person)
    if not levels.is_enough(assurance, levels.STEPUP):
        raise Refused(
            "This needs your second factor, given within five minutes: your passkey, or a code of your app.",
            "assurance",
        )
    rules.check_shown(case, digest)


def check_state(case: Case, now: datetime) -> None:
    """It waits, or its rule has just denied it or let it expire."""
    state = rules.current_state(case.state, None if case.frozen else case.expires_at, now)
    if state not in ENDINGS:
        rules.check_change(case, now)
        return
    ended = case.expires_at if state == states.EXPIRED else case.decided_at
    if ended is None or now - ended > RECENT:
        raise Conflict("This ended more than a day ago: have the agent ask again.", "ended")


def check_person(case: Case, person: Person) -> None:
    """Somebody with the capability, whose role decides, and who has no part in what is asked: whatever else is given
    up, as in an organization of one person.
    """
    if not person.may_break_glass:
        raise Refused("Break-glass is for those to whom an owner gave it, and you are not one of them.", "glass")
    if person.id in case.chain:
        raise Refused("You have a part in this request: break-glass is for somebody else to use.", "chain")
    if case.paused:
        raise Refused(f"{case.paused}: break-glass does not go around the kill switch.", "paused")
    if case.frozen:
        raise Refused("It stands still by the kill switch, and goes on in a moment.", "paused")


def check_words(action: str, reason: str, typed: str) -> None:
    """What has to be said: why, and what it is that is allowed."""
    if not reason:
        raise Incomplete("Say why it cannot wait for its rule: every owner reads it at once.", "reason_required")
    if len(reason) > rules.REASON_LIMIT or "\0" in reason:
        raise Incomplete(f"A reason has at most {rules.REASON_LIMIT:,} characters, and no U+0000.", "reason_long")
    if typed.strip() != action:
        raise Incomplete(f"Type {action} to allow it outside its rule.", "confirmation")


def why_not(case: Case, person: Person, now: datetime) -> str:
    """Why this person cannot do it to this request, as a sentence; empty when they can, given a second factor."""
    try:
        check_state(case, now)
        check_person(case, person)
    except Refused as refused:
        return refused.reason
    return ""


def stands(case: Case, person: Person, digest: str, verdict: str) -> bool:
    """Whether what somebody allowed so still holds when the agent takes it: they may still, it is what they were shown,
    and no owner has found it unjustified.
    """
    return person.may_break_glass and person.id not in case.chain and digest == case.digest and verdict != UNJUSTIFIED
