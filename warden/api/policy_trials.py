"""/api/policy/test and /backtest: a policy that is not in force, asked what would come of checks."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from agents.code.backtest import PAGE, replay
from agents.code.scenarios import junit
from agents.services import policy as services
from audit.clock import database_now
from audit.ids import read_id
from warden.api.answers import Moment
from warden.api.bodies import Effect, Line
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure
from warden.api.policy import PolicyFiles, files_of


class ScenarioResult(Struct):
    """What came of one scenario. `wrong` is empty where it holds."""

    name: str
    file: str
    line: int
    agent: str
    action: str
    expected: Effect
    outcome: Effect
    reason: str
    code: str
    permission: str
    wrong: str


class MissedTier(Struct):
    """A tier that no scenario came to."""

    agent: str
    tier: str


class PolicyTests(Struct):
    """What came of the scenarios; the share of tiers, and of actions, that they met, in percent."""

    passed: int
    failed: int
    coverage: float
    permission_coverage: float
    results: list[ScenarioResult]
    missed: list[MissedTier]
    junit: Annotated[str, Meta(description="The same as JUnit's XML.")]


class Backtest(PolicyFiles, forbid_unknown_fields=True, kw_only=True):
    days: Annotated[int, Meta(ge=1, le=90, description="How far back.")] = 7
    after: Annotated[Line | None, Meta(description="`next` of the answer before.")] = None


class BacktestGroup(Struct):
    agent: str
    action: str
    was: Effect
    would: Effect
    count: int


class BacktestExample(Struct):
    event_id: str
    at: Moment
    agent: str
    action: str
    was: Effect
    would: Effect
    reason: str
    permission: str


class BacktestPage(Struct):
    """A thousand checks at most, newest first; go on with `next` until it is null. `skipped` kept no context."""

    looked_at: int
    skipped: int
    differs: int
    groups: list[BacktestGroup]
    examples: list[BacktestExample]
    next: str | None


@endpoint("POST", "policy/test", "agents:read")
def test_policy(call: Call, body: PolicyFiles) -> PolicyTests:
    """Run the files' scenarios on what they would make. Nothing is recorded or changed."""
    report = services.run_tests(call.organization, files_of(body), now=database_now(), prune=body.prune)
    return PolicyTests(
        passed=len(report.results) - len(report.failed),
        failed=len(report.failed),
        coverage=report.coverage,
        permission_coverage=report.permission_coverage,
        results=[
            ScenarioResult(
                each.scenario.name,
                each.file,
                each.line,
                each.scenario.agent,
                each.scenario.action,
                each.scenario.expect,
                each.outcome,  # type: ignore[arg-type]
                each.reason,
                each.code,
                each.permission,
                each.wrong,
            )
            for each in report.results
        ],
        missed=[MissedTier(each.agent, each.words) for each in report.tiers if not each.covered],
        junit=junit(report),
    )


@endpoint("POST", "policy/backtest", "logs:read")
def backtest_policy(call: Call, body: Backtest) -> BacktestPage:
    """Ask what files would make what agents really asked in live mode: what would have been decided otherwise."""
    after = read_id("evt", body.after) if body.after else None
    if body.after and after is None:
        raise Failure(422, "after: evt_…, the next of the answer before")
    _, compiled = services.proposed(call.organization, files_of(body), prune=body.prune)
    since = database_now() - timedelta(days=body.days)
    page = replay(call.organization, compiled, since=since, after=after, most=PAGE)
    groups = [BacktestGroup(*key, count) for key, count in page.groups.most_common()]  # type: ignore[arg-type]
    examples = [
        BacktestExample(
            each.event_id,
            each.at,
            each.agent,
            each.action,
            each.was,  # type: ignore[arg-type]
            each.would,  # type: ignore[arg-type]
            each.reason,
            each.permission,
        )
        for each in page.examples
    ]
    return BacktestPage(page.looked_at, page.skipped, page.differs, groups, examples, page.next)
