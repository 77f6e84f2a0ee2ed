"""SPIFFE: which trust domains are believed, where their bundles come from, and the mutual-TLS listener."""

from urllib.parse import urlsplit

from agents.spiffe import trust
from warden import env


def _domains() -> trust.Domains:
    try:
        return trust.read(env.words("SPIFFE_TRUST_DOMAINS"))
    except ValueError as error:
        hint = "Such as example.com, or example.com=acme,partner.example=acme where there are several organizations."
        env.problems.append(env.Problem("SPIFFE_TRUST_DOMAINS", f"SPIFFE_TRUST_DOMAINS: {error}.", hint))
        return {}


def _by_domain(name: str, words: list[str], prefix: str) -> dict[str, list[str]]:
    """`domain=value`, where values begin with `prefix` and domains are among SPIFFE_TRUST_DOMAINS."""
    found: dict[str, list[str]] = {}
    for word in words:
        domain, _, value = word.partition("=")
        if domain not in SPIFFE_TRUST_DOMAINS or not value.startswith(prefix):
            hint = f"Use {name}=example.com={prefix}…, with a trust domain of SPIFFE_TRUST_DOMAINS."
            env.problems.append(env.Problem(name, f"{name}: {word!r} will not do.", hint))
        found.setdefault(domain, []).append(value)
    return found


def _listen(text: str) -> tuple[str, int] | None:
    """`host:port`; None for nothing, and for what is neither."""
    if not text:
        return None
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.path or parts.query:
        hint = "Such as 0.0.0.0:8443 or [::]:8443."
        env.problems.append(env.Problem("SPIFFE_LISTEN", f"SPIFFE_LISTEN is {text!r}: no host and port.", hint))
        return None
    return host, port


SPIFFE_PROVIDER = env.choice("SPIFFE_PROVIDER", "files", ("files", "spire", "mock"))
SPIFFE_TRUST_DOMAINS = _domains()
SPIFFE_BUNDLE_DIR = env.text("SPIFFE_BUNDLE_DIR", "")
SPIFFE_BUNDLE_URLS = {
    domain: urls[-1]
    for domain, urls in _by_domain("SPIFFE_BUNDLE_URLS", env.words("SPIFFE_BUNDLE_URLS"), "https://").items()
}
SPIFFE_BUNDLE_PINS = _by_domain("SPIFFE_BUNDLE_PINS", env.words("SPIFFE_BUNDLE_PINS"), "sha256:")
SPIFFE_ENDPOINT_SOCKET = env.url(
    "SPIFFE_ENDPOINT_SOCKET",
    "unix:///run/spire/sockets/agent.sock",
    schemes=("unix", "tcp"),
    hint="Such as unix:///run/spire/sockets/agent.sock",
)
SPIFFE_REFRESH_SECONDS = env.integer("SPIFFE_REFRESH_SECONDS", 60, low=1, high=3_600)
SPIFFE_AUDIENCE = env.text("SPIFFE_AUDIENCE", "")
SPIFFE_LISTEN = _listen(env.text("SPIFFE_LISTEN", ""))
SPIFFE_TLS_CERT = env.text("SPIFFE_TLS_CERT", "")
SPIFFE_TLS_KEY = env.text("SPIFFE_TLS_KEY", "")
SPIFFE_TLS_MIN = env.choice("SPIFFE_TLS_MIN", "1.3", ("1.3", "1.2"))
SPIFFE_PROXIES = env.networks("SPIFFE_PROXIES")
