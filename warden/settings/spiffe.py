"""SPIFFE: which trust domains are believed."""

from agents.spiffe import trust
from warden import env


def _domains() -> trust.Domains:
    try:
        return trust.read(env.words("SPIFFE_TRUST_DOMAINS"))
    except ValueError as error:
        hint = "Such as example.com, or example.com=acme,partner.example=acme where there are several organizations."
        env.problems.append(env.Problem("SPIFFE_TRUST_DOMAINS", f"SPIFFE_TRUST_DOMAINS: {error}.", hint))
        return {}


SPIFFE_TRUST_DOMAINS = _domains()
