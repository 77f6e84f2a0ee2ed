"""The page about alerts says what the code does."""

from notifications.alerts import measures
from notifications.alerts.rules import DEFAULTS
from tests.docs.pages import codes, table


def test_the_default_rules() -> None:
    shown = [tuple(row.values()) for row in table("docs/alerts.md", "rule", "measure")]
    assert shown == [(name, measure, *map(str, rest)) for name, measure, *rest in DEFAULTS]


def test_every_measure_is_explained() -> None:
    explained = {codes(row["measure"])[0] for row in table("docs/alerts.md", "measure", "meaning")}
    assert explained == {measure.name for measure in measures.known()}
