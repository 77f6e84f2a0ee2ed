"""Policy tests: made-up checks and what must come of them, with the tiers that no check came to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

from agents import policy
from agents.code.document import Read, Scenario
from agents.code.state import Fields, State

_INVISIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one scenario. `wrong` says in what it is not what was expected; empty where it is."""

    scenario: Scenario
    file: str
    line: int
    outcome: str
    reason: str
    code: str
    permission: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier that scenarios may come to."""

    agent: str
    action: str
    words: str
    covered: bool


@dataclass(frozen=True, slots=True)
class Report:
    results: tuple[Result, ...]
    tiers: tuple[Tier, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(each for each in self.results if each.wrong)

    @property
    def coverage(self) -> float:
        """Of tiers, in percent; of nothing, everything is covered."""
        return _share([each.covered for each in self.tiers])

    @property
    def permission_coverage(self) -> float:
        """Of actions of agents, in percent: covered where one of their tiers is."""
        found: dict[tuple[str, str], bool] = {}
        for each in self.tiers:
            found[each.agent, each.action] = found.get((each.agent, each.action), False) or each.covered
        return _share(list(found.values()))


def _share(covered: list[bool]) -> float:
    return 100.0 * sum(covered) / len(covered) if covered else 100.0


def run(read: Read, after: State, compiled: policy.Policy, now: datetime) -> Report:
    """Decides every scenario by the compiled form of `after`. Tiers are those of the agents that the files name, or of
    all where they name none. Nothing is recorded.
    """
    met: set[str] = set()
    results = []
    for number, scenario in enumerate(read.tests):
        request = policy.Request(
            scenario.agent,
            scenario.action,
            json_context(scenario.context),
            scenario.environment or None,
            scenario.callee or None,
        )
        decision = policy.decide(compiled, request, scenario.now or now)
        if decision.permission is not None:
            met.add(decision.permission.id)
        mark = read.tree.at(("tests", number))
        name = decision.permission.action if decision.permission else ""
        results.append(
            Result(
                scenario,
                mark.file,
                mark.line,
                decision.outcome,
                decision.reason,
                decision.code,
                name,
                _wrong(scenario, decision, name),
            )
        )
    slugs = list(read.agents) or list(after.agents)
    tiers = [
        Tier(slug, tier["action"], _words(tier), permission.id in met)
        for slug in slugs
        for tier, permission in zip(after.tiers[slug], compiled.agents[slug].permissions, strict=True)
    ]
    return Report(tuple(results), tuple(tiers))


def _words(tier: Fields) -> str:
    place = f" in {tier['environment']}" if tier["environment"] else ""
    limit = f" up to {tier['max_amount']}" if tier["max_amount"] is not None else ""
    return f"{tier['action']}{limit}: {tier['effect']}{place}"


def _wrong(scenario: Scenario, decision: policy.Decision, permission: str) -> str:
    wrong = []
    if decision.outcome != scenario.expect:
        wrong.append(f"expected {scenario.expect}, came to {decision.outcome} ({decision.reason})")
    if scenario.permission and permission != scenario.permission:
        wrong.append(f"expected {scenario.permission} to decide, {permission or 'no tier'} did")
    if scenario.code and decision.code != scenario.code:
        wrong.append(f"expected the code {scenario.code}, it was {decision.code}")
    return "; ".join(wrong)


def json_context(value: Any) -> Any:
    """A context as an agent's JSON would be read: exact numbers become what JSON's are."""
    if isinstance(value, Mapping):
        return {name: json_context(each) for name, each in value.items()}
    if isinstance(value, list):
        return [json_context(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def junit(report: Report) -> str:
    """The report as JUnit's XML, which CI systems show."""
    suite = ElementTree.Element(
        "testsuite", name="policy", tests=str(len(report.results)), failures=str(len(report.failed))
    )
    for each in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"policy.{_visible(each.scenario.agent)}",
            name=_visible(each.scenario.name),
            file=_visible(each.file),
            line=str(each.line),
        )
        if each.wrong:
            failure = ElementTree.SubElement(case, "failure", message=_visible(each.wrong))
            failure.text = f"{_visible(each.file)}:{each.line}: {_visible(each.wrong)}"
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _visible(text: str) -> str:
    """What XML 1.0 can hold (2.2)."""
    return _INVISIBLE.sub("\ufffd", text)
