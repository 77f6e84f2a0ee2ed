"""deploy/ and docs/metrics.md speak of the metrics that there are, by their names and labels, and of no others."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import promql_parser as promql
import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from tests.docs.pages import ROOT, codes, table
from tests.warden.scraping import OURS
from warden.metrics import Now

ALERTS = ROOT / "deploy/prometheus/alerts.yml"
BOARD = json.loads((ROOT / "deploy/grafana/warden.json").read_text())
SCHEMA = json.loads((Path(__file__).parent / "prometheus_rules.schema.json").read_text())
FROM_PROMETHEUS = {"up": {"job", "instance"}}
TYPES = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Known(NamedTuple):
    type: str
    labels: frozenset[str]


def counted() -> dict[str, Known]:
    """What the processes count, by the names that Prometheus shows."""
    known = {}
    for metric in {id(metric): metric for metric in REGISTRY._names_to_collectors.values()}.values():
        if isinstance(metric, Counter | Gauge | Histogram):
            name = metric._name + "_total" * isinstance(metric, Counter)
            known[name] = Known(metric._type, frozenset(metric._labelnames))
    return {name: each for name, each in known.items() if name.startswith(OURS)}


@pytest.fixture
def known(db: None) -> dict[str, Known]:
    """And what the database is asked for."""
    now = {
        family.name: Known(family.type, frozenset(label for sample in family.samples for label in sample.labels))
        for family in Now().collect()
    }
    return counted() | now


def samples(known: dict[str, Known]) -> dict[str, frozenset[str]]:
    """Every series a query may name, with its labels."""
    series = {name: frozenset(labels) for name, labels in FROM_PROMETHEUS.items()}
    for name, metric in known.items():
        if metric.type == "histogram":
            series |= {
                f"{name}_bucket": metric.labels | {"le"},
                f"{name}_sum": metric.labels,
                f"{name}_count": metric.labels,
            }
        else:
            series[name] = metric.labels
    return series


def selectors(node: Any) -> Iterator[tuple[promql.VectorSelector, set[str]]]:
    """Every series that an expression names, with the labels it is grouped by."""
    if isinstance(node, promql.VectorSelector):
        yield node, set()
    elif isinstance(node, promql.AggregateExpr):
        grouped = set(node.modifier.labels) if node.modifier else set()
        for selector, labels in selectors(node.expr):
            yield selector, labels | grouped
    else:
        for name in ("vector_selector", "expr", "lhs", "rhs"):
            if (inner := getattr(node, name, None)) is not None:
                yield from selectors(inner)
        for inner in getattr(node, "args", ()):
            yield from selectors(inner)


def unknown(expr: str, known: dict[str, Known]) -> list[str]:
    """What an expression names that there is not. Raises ValueError where it is not PromQL."""
    series = samples(known)
    found = list(selectors(promql.parse(expr)))
    assert found, f"{expr}: names nothing"
    wrong = []
    for selector, grouped in found:
        if selector.name not in series:
            wrong.append(str(selector.name))
        else:
            asked = {matcher.name for matcher in selector.matchers.matchers} | grouped
            wrong += [f"{selector.name}{{{label}}}" for label in sorted(asked - series[selector.name])]
    return wrong


def rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_the_rules_have_the_form_of_rules() -> None:
    jsonschema.validate(yaml.safe_load(ALERTS.read_text()), SCHEMA)
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: dict[str, str], known: dict[str, Known]) -> None:
    assert unknown(rule["expr"], known) == []


def test_a_metric_or_label_that_there_is_not_would_be_found(known: dict[str, Known]) -> None:
    assert unknown("rate(agentwarden_check_total[5m])", known) == ["agentwarden_check_total"]
    assert unknown('sum(rate(agentwarden_checks_total{reason="x"}[5m])) / 2', known) == [
        "agentwarden_checks_total{reason}"
    ]
    assert unknown("sum by (agent) (agentwarden_denials_total) > 1", known) == ["agentwarden_denials_total{agent}"]
    assert unknown("1 - avg(agentwarden_check_duration_seconds)", known) == ["agentwarden_check_duration_seconds"]


def test_promtool_agrees_where_it_can_be_had() -> None:
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")  # script/test fetches it
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        if promtool:
            done = subprocess.run([promtool, *words], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    # With it or not: every alert is at least put to the test by somebody who has it.
    tested = ALERTS.with_name("alerts_test.yml").read_text()
    assert [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tested] == []


def test_the_example_of_a_prometheus_reads_these_rules_with_a_token() -> None:
    config = yaml.safe_load(ALERTS.with_name("prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    [job] = config["scrape_configs"]
    assert job["job_name"] == "warden"  # as the rule WardenDown says
    assert "credentials_file" in job["authorization"]
    assert job.get("metrics_path", "/metrics") == "/metrics"


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


@pytest.mark.parametrize("expr", expressions())
def test_a_panel_asks_for_what_there_is(expr: str, known: dict[str, Known]) -> None:
    plain = re.sub(r"\$__(rate_interval|range)", "5m", expr).replace("$agent", ".*")
    assert "$" not in plain
    assert unknown(plain, known) == []


def test_every_metric_is_on_the_dashboard(known: dict[str, Known]) -> None:
    shown = " ".join(expressions())
    assert [name for name in known if name not in shown] == []


def test_the_dashboard_is_whole() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        area = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not area & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= area
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    agents = BOARD["templating"]["list"][1]["definition"]
    assert agents == "label_values(agentwarden_checks_total, agent_id)"


def test_the_thresholds_are_those_of_the_alerts() -> None:
    said = " ".join(rule["expr"] for rule in rules())
    steps = {
        step["value"]
        for panel in panels()
        for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        if step["value"] not in (None, 1)
    }
    assert steps == {10, 0.3, 0.05, 60, 1800}
    for value in steps:
        assert f"> {value}" in said


def test_the_page_names_every_metric_its_type_and_labels(known: dict[str, Known]) -> None:
    rows = table("docs/metrics.md", "metric")
    said = {codes(row["metric"])[0]: Known(row["type"], frozenset(codes(row["labels"]))) for row in rows}
    assert said == known


def test_the_page_names_every_alert_and_how_bad_it_is() -> None:
    said = {codes(row["alert"])[0]: row["severity"] for row in table("docs/metrics.md", "alert")}
    assert said == {rule["alert"]: rule["labels"]["severity"] for rule in rules()}  # type: ignore[index]
