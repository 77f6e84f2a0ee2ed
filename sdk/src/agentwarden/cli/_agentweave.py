"""AgentWeave's documented settings: what they may be, and what its best practices call unsafe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ._yaml import Value

SECTIONS = ("identity", "authorization", "transport", "security", "observability")
TLS_13 = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}
TLS_12 = {
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
}
FIELDS = {"timestamp", "caller_spiffe_id", "callee_spiffe_id", "capability", "action", "decision", "trace_id"}
GENERIC = {"agent", "service", "workload"}
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}((?:/[A-Za-z0-9._-]+)+)")
_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_HOST_PORT = re.compile(r"[A-Za-z0-9._-]+:[0-9]{1,5}")


ERROR, WARNING = "error", "warning"


class Finding(NamedTuple):
    """One thing to say: where, how bad, what."""

    line: int
    column: int
    severity: str
    message: str


def check(root: Value, *, production: bool) -> Iterator[Finding]:
    """Everything that is wrong (or, as a warning, not as it should be) with AgentWeave's sections."""
    for section, known in KNOWN.items():
        value = root.get(section)
        if value is None:
            continue
        if not isinstance(value.content, dict):
            yield Finding(*root.place((section,)), ERROR, f"{section}: names, each with a value")
            continue
        yield from _keys(value, section, known, production)
    security = root.get("security")
    for key, place in (security.keys if security else {}).items():
        yield Finding(
            *place,
            ERROR,
            f"security.{key} does not exist: security cannot be turned off. For tests: identity.provider: mock",
        )
    if root.get("identity") is None:
        yield Finding(
            root.line, root.column, WARNING, "identity is missing: who this agent is, is then up to a default"
        )
    if root.get("authorization") is None:
        yield Finding(root.line, root.column, WARNING, 'authorization is missing: say default_action: "deny"')


def _keys(value: Value, name: str, known: dict[str, Any], production: bool) -> Iterator[Finding]:
    for key, place in value.keys.items():
        inner = value.content[key]
        rule = known.get(key)
        if rule is None:
            yield Finding(*place, ERROR, f"{name}.{key} is unknown. There are: {', '.join(known)}")
        elif isinstance(rule, dict):
            if isinstance(inner.content, dict):
                yield from _keys(inner, f"{name}.{key}", rule, production)
            else:
                yield Finding(*place, ERROR, f"{name}.{key}: names, each with a value")
        elif isinstance(rule, Each):
            if not isinstance(inner.content, list) or not inner.content:
                yield Finding(*place, ERROR, f"{name}.{key}: {rule.otherwise}")
                continue
            for each in inner.content:
                for severity, message in rule.rule(each.plain(), production):
                    yield Finding(each.line, each.column, severity, f"{name}.{key}: {message}")
        else:
            for severity, message in rule(inner.plain(), production):
                yield Finding(inner.line, inner.column, severity, f"{name}.{key}: {message}")
    if name == "identity" and value.get("provider") and value.content["provider"].plain() == "spire":
        for needed in ("socket_path", "allowed_trust_domains"):
            if needed not in value.keys:
                yield Finding(
                    *value.place(("provider",)),
                    ERROR if needed == "allowed_trust_domains" else WARNING,
                    f"identity.{needed} is missing",
                )
    if name == "transport":
        yield from _suites(value)
    destination = value.get("destination") if name == "observability.audit_log" else None
    if destination and destination.plain() == "syslog" and "syslog_address" not in value.keys:
        yield Finding(*value.place(("destination",)), ERROR, "observability.audit_log.syslog_address is missing")


Said = Iterator[tuple[str, str]]
Rule = Callable[[Any, bool], Said]


class Each(NamedTuple):
    """A list, each of whose items obeys the rule."""

    rule: Rule
    otherwise: str


def _provider(value: Any, production: bool) -> Said:
    if value == "mock":
        yield (
            ERROR if production else WARNING,
            "mock proves nothing: for development and tests alone, never in production",
        )
    elif value != "spire":
        yield ERROR, "is spire, or mock for development"


def _spiffe_id(value: Any, production: bool) -> Said:
    found = _SPIFFE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        yield ERROR, "has the form spiffe://trust-domain/agent/role/environment"
    elif len(found[1][1:].split("/")) < 2 or found[1][1:].split("/")[-1] in GENERIC:
        yield ERROR, "may be anyone's: use the form spiffe://trust-domain/agent/role/environment"


def _domain(value: Any, production: bool) -> Said:
    if isinstance(value, str) and "*" in value:
        yield ERROR, f"{value!r} trusts everybody: name the domains"
    elif not isinstance(value, str) or not _DOMAIN.fullmatch(value):
        yield ERROR, f"{value!r} is not the name of a trust domain"


def _default_action(value: Any, production: bool) -> Said:
    if value == "allow":
        yield ERROR, "allow lets through whatever no rule speaks of: use deny"
    elif value != "deny":
        yield ERROR, "is deny"


def _url(value: Any, production: bool) -> Said:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        yield ERROR, "is an http or https URL"
    elif parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        yield ERROR, "http beyond this machine can be read and changed on the way: use https"


def _tls(value: Any, production: bool) -> Said:
    if str(value) == "1.2":
        yield WARNING, "1.2 is for what cannot do 1.3"
    elif str(value) != "1.3":
        yield ERROR, "is 1.3 (or 1.2, where it must be): older ones are broken"


def _must(wanted: bool, because: str) -> Rule:
    def rule(value: Any, production: bool) -> Said:
        if value is not wanted:
            yield ERROR, because

    return rule


def _one_of(*allowed: str) -> Rule:
    def rule(value: Any, production: bool) -> Said:
        if value not in allowed:
            yield ERROR, f"is one of {', '.join(allowed)}"

    return rule


def _text(value: Any, production: bool) -> Said:
    if not isinstance(value, str) or not value:
        yield ERROR, "is text"


def _address(value: Any, production: bool) -> Said:
    if not isinstance(value, str) or not _HOST_PORT.fullmatch(value):
        yield ERROR, "is host:port"


def _among(allowed: set[str], otherwise: str) -> Rule:
    def rule(value: Any, production: bool) -> Said:
        if not isinstance(value, str) or value not in allowed:
            yield ERROR, f"{value!r} {otherwise}"

    return rule


def _suites(value: Value) -> Iterator[Finding]:
    """The suites have to fit the version: those of 1.2 say nothing where 1.3 is the least."""
    suites, version = value.get("cipher_suites"), value.get("tls_min_version")
    listed = suites.content if suites else None
    if not isinstance(listed, list) or version is None or str(version.plain()) != "1.3":
        return
    for each in listed:
        if each.content in TLS_12:
            said = f"transport.cipher_suites: {each.content} is of TLS 1.2, and 1.3 is the least here"
            yield Finding(each.line, each.column, ERROR, said)


KNOWN: dict[str, dict[str, Any]] = {
    "identity": {
        "provider": _provider,
        "spiffe_id": _spiffe_id,
        "socket_path": _text,
        "allowed_trust_domains": Each(_domain, "lists the trust domains that are let in"),
    },
    "authorization": {"default_action": _default_action, "opa_url": _url},
    "transport": {
        "tls_min_version": _tls,
        "cipher_suites": Each(_among(TLS_13 | TLS_12, "is not among the suites that are safe"), "lists cipher suites"),
        "verify_peer": _must(True, "must be true: without it anybody may answer"),  # noqa: FBT003
        "require_client_cert": _must(True, "must be true: without it anybody may call"),  # noqa: FBT003
    },
    "observability": {
        "audit_log": {
            "enabled": _must(True, "must be true: what is not logged cannot be shown"),  # noqa: FBT003
            "destination": _one_of("syslog", "file", "stdout"),
            "syslog_address": _address,
            "syslog_protocol": _one_of("tcp", "udp", "tls"),
            "level": _one_of("debug", "info", "warning", "error"),
            "include_payloads": _must(False, "must be false: payloads hold what a log must not"),  # noqa: FBT003
            "fields": Each(_among(FIELDS, f"is unknown. There are: {', '.join(sorted(FIELDS))}"), "lists fields"),
        }
    },
}
