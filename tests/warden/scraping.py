"""Reads /metrics as Prometheus does: with its own parsers."""

import time

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from gateway.metrics import EVERY

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
OURS = ("agentwarden_", "agentweave_")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def scrape(url: str, *, openmetrics: bool = False, **headers: str) -> Samples:
    """Every sample of ours, by its name and labels."""
    response = httpx.get(
        f"{url}/metrics", headers=headers | {"Accept": OPENMETRICS if openmetrics else "text/plain"}, timeout=20
    )
    assert response.status_code == 200, response.text
    assert ("openmetrics" in response.headers["content-type"]) is openmetrics
    families = (read_openmetrics if openmetrics else read_text)(response.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(OURS)
    }


def settled(url: str) -> Samples:
    """A scrape once every process has written what it counted."""
    time.sleep(EVERY * 2 + 0.2)
    return scrape(url)


def grown(before: Samples, after: Samples, name: str) -> dict[frozenset[tuple[str, str]], float]:
    """What the samples of `name` grew by, those that did not left out."""
    return {
        labels: value - before.get((found, labels), 0)
        for (found, labels), value in after.items()
        if found == name and value != before.get((found, labels), 0)
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())
