"""Where trust bundles come from: one source for each trust domain, read again and again; the last good one stays."""

import contextlib
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import structlog
from django.conf import settings

from agents.spiffe import mock
from agents.spiffe.bundles import BadBundle, TrustBundle, read

log = structlog.get_logger(__name__)
FORMS = (".json", ".jwks", ".pem")
LARGEST = 1_048_576  # bytes of a bundle
PATIENCE = 10.0  # seconds for one source
type Bundles = dict[str, TrustBundle]


class NoSource(Exception):
    """Nothing says what this trust domain's bundle is."""


def refresh(known: Mapping[str, TrustBundle], failed: Callable[[str], None]) -> Bundles:
    """The bundles of all trust domains, as of now. One that cannot be read, or is not pinned, stays what it was, and
    `failed` is told its name."""
    found: Bundles = {}
    workload = _workload() if settings.SPIFFE_PROVIDER == "spire" else {}
    for domain in settings.SPIFFE_TRUST_DOMAINS:
        try:
            bundle = _read(domain, workload)
            _check_pin(bundle)
        except (NoSource, BadBundle, OSError, ValueError) as error:
            failed(domain)
            log.warning("gateway.bundle_failed", trust_domain=domain, error=f"{type(error).__name__}: {error}"[:300])
            if domain in known:
                found[domain] = known[domain]
            continue
        if domain not in known or known[domain].fingerprint != bundle.fingerprint:
            log.info("gateway.bundle_changed", trust_domain=domain, fingerprint=bundle.fingerprint)
        found[domain] = bundle
    return found


def _read(domain: str, workload: Mapping[str, TrustBundle]) -> TrustBundle:
    if url := settings.SPIFFE_BUNDLE_URLS.get(domain):
        return read(domain, _fetch(url))
    if settings.SPIFFE_BUNDLE_DIR:
        for form in FORMS:
            file = Path(settings.SPIFFE_BUNDLE_DIR, f"{domain}{form}")
            if file.is_file():
                return read(domain, file.read_bytes())
    if settings.SPIFFE_PROVIDER == "mock":
        return read(domain, mock.open_or_make(Path(settings.SPIFFE_MOCK_DIR), domain).bundle())
    if domain in workload:
        return workload[domain]
    raise NoSource("no file, URL or Workload API has a bundle of it")


def _check_pin(bundle: TrustBundle) -> None:
    pins = settings.SPIFFE_BUNDLE_PINS.get(bundle.trust_domain)
    if pins and bundle.fingerprint not in pins:
        raise BadBundle(f"its fingerprint {bundle.fingerprint} is not one that is pinned")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A bundle endpoint says where it is, and nobody else does."""


def _fetch(url: str) -> bytes:
    """A SPIFFE bundle endpoint (https_web profile). Raises OSError."""
    handlers = (_NoRedirects, urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_web()))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            content: bytes = answer.read(LARGEST + 1)
    except HTTPError as error:
        raise OSError(f"the bundle endpoint answered {error.code}") from error
    if len(content) > LARGEST:
        raise OSError("the bundle is too large")
    return content


def _web() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _workload() -> Bundles:
    """What the Workload API says now; empty where it cannot be reached: files and URLs are read all the same."""
    from spiffe import WorkloadApiClient  # an optional extra: warden.checks says so where it is missing
    from spiffe.errors import PySpiffeError

    try:
        with contextlib.closing(WorkloadApiClient(settings.SPIFFE_ENDPOINT_SOCKET)) as client:
            roots = client.fetch_x509_bundles(timeout=PATIENCE)
            keys = client.fetch_jwt_bundles(timeout=PATIENCE)
    except (PySpiffeError, OSError, ValueError) as error:
        log.warning("gateway.workload_api_failed", error=type(error).__name__)
        return {}
    domains: Iterable[str] = settings.SPIFFE_TRUST_DOMAINS
    return {domain: bundle for domain in domains if (bundle := _from_workload(domain, roots, keys))}


def _from_workload(domain: str, roots: Any, keys: Any) -> TrustBundle | None:
    from spiffe import TrustDomain

    name = TrustDomain(domain)
    x509, jwt = roots.get_bundle_for_trust_domain(name), keys.get_bundle_for_trust_domain(name)
    if x509 is None and jwt is None:
        return None
    return TrustBundle(
        domain,
        tuple(sorted(x509.x509_authorities, key=lambda root: root.serial_number)) if x509 else (),
        tuple(sorted(jwt.jwt_authorities.items())) if jwt else (),
    )
