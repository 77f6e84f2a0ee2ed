"""SPIFFE IDs and trust domains: strict, whatever is tried."""

import pytest

from agents.spiffe import trust
from agents.spiffe.names import FORM, parse


def test_a_name_has_a_trust_domain_and_a_path() -> None:
    found = parse("spiffe://example.com/agent/data-processor/production")
    assert (found.trust_domain, found.environment, found.is_generic) == ("example.com", "production", False)
    assert str(found) == "spiffe://example.com/agent/data-processor/production"
    assert parse("spiffe://example.com/ns/x/sa/y").environment == ""


@pytest.mark.parametrize("path", ["/agent", "/service", "/Agent"])
def test_a_name_of_a_kind_of_thing_is_generic(path: str) -> None:
    assert parse(f"spiffe://example.com{path}").is_generic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/agent",
        "https://example.com/agent",
        "SPIFFE://example.com/agent",
        "spiffe://",
        "spiffe:///agent",
        "spiffe://example.com",
        "spiffe://example.com/",
        "spiffe://example.com/agent/",
        "spiffe://example.com//agent",
        "spiffe://example.com/./agent",
        "spiffe://example.com/../agent",
        "spiffe://Example.com/agent",
        "spiffe://example.com:443/agent",
        "spiffe://user@example.com/agent",
        "spiffe://example.com/agent?x",
        "spiffe://example.com/agent#x",
        "spiffe://example.com/agent%20x",
        "spiffe://example.com/agent\n",
        "spiffe://example.com/ägent",
        "spiffe://*/agent",
        f"spiffe://{'a' * 256}/agent",
        f"spiffe://example.com/{'a' * 2048}",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Use the form") as refused:
        parse(text)
    assert str(refused.value).startswith(FORM)


@pytest.mark.parametrize("words", [["*"], ["*.example.com"], ["example.com", "*=acme"]])
def test_a_wildcard_is_refused_when_it_is_configured(words: list[str]) -> None:
    with pytest.raises(ValueError, match="wildcard"):
        trust.read(words)


def test_a_trust_domain_speaks_for_one_organization() -> None:
    domains = trust.read(["example.com=acme", "partner.example"])
    assert trust.speaks_for("example.com", "acme", domains)
    assert not trust.speaks_for("example.com", "globex", domains)
    assert trust.speaks_for("partner.example", "globex", domains)
    assert not trust.speaks_for("stranger.example", "acme", domains)
    assert trust.domains_of("globex", domains) == ["partner.example"]
    with pytest.raises(ValueError, match="twice"):
        trust.read(["example.com=acme", "example.com=globex"])
    with pytest.raises(ValueError, match="no trust domain"):
        trust.read(["Example.com"])
