"""Which trust domains are believed, and for whom: an explicit list, never a wildcard."""

from collections.abc import Iterable, Mapping

from agents.spiffe.names import is_trust_domain

type Domains = Mapping[str, str]
"""Trust domain → slug of the one organization it speaks for; empty: of the only one there is."""


def read(words: Iterable[str]) -> Domains:
    """`example.com` or `example.com=acme`. Raises ValueError, with a sentence for whoever configures it."""
    found: dict[str, str] = {}
    for word in words:
        domain, _, organization = word.partition("=")
        if "*" in domain:
            raise ValueError("a wildcard would trust everybody: name each trust domain")
        if not is_trust_domain(domain):
            raise ValueError(f"{domain!r} is no trust domain such as example.com")
        if domain in found:
            raise ValueError(f"{domain} is there twice: a trust domain speaks for one organization")
        found[domain] = organization
    return found


def speaks_for(domain: str, organization: str, domains: Domains) -> bool:
    """Whether names of `domain` mean something to the organization with that slug.

    Where no trust domain is configured no SVID is accepted, and names are only those that people gave agents.
    """
    return not domains or (domain in domains and domains[domain] in ("", organization))


def domains_of(organization: str, domains: Domains) -> list[str] | None:
    """The trust domains that speak for the organization with that slug; None where none are configured."""
    return [domain for domain in domains if speaks_for(domain, organization, domains)] if domains else None
