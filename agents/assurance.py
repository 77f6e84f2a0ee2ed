"""How sure it is that a vote was its person's own, in rising order. Kept by rules, and by each vote."""

SLACK, BROWSER, STEPUP = "slack", "browser", "stepup"
LEVELS = {
    SLACK: "Slack, the API or the browser",
    BROWSER: "The browser",
    STEPUP: "The browser, with a fresh second factor",
}


def rank(level: object) -> int:
    """A place in the order. What is no level is the highest: it reads as the stricter."""
    known = list(LEVELS)
    return known.index(level) if isinstance(level, str) and level in known else len(known) - 1


def is_enough(given: str, wanted: str) -> bool:
    """Whether a vote given so is as sure as is wanted. What is no level is never enough."""
    return given in LEVELS and rank(given) >= rank(wanted)
