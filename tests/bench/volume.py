"""What a large record costs: a check with millions of events, the pages people open."""

import time
from typing import Any

from django.db import connection
from django.test import Client

EVENTS = """
INSERT INTO audit_event (id, at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action,
                         target, body, leaf)
SELECT (lpad(to_hex(base + n / 50), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 5, 15))::uuid,
       to_timestamp((base + n / 50) / 1000.0), %(organization)s, 'live', 'agent:check:allow', 'allow', 'agent',
       %(key)s, 'bot-' || n %% 40, 'bot-' || n %% 40, 'service.resource' || n %% 200 || '.read', '',
       body, sha256(convert_to(body, 'UTF8'))
FROM generate_series(%(first)s, %(last)s) AS n,
     LATERAL (SELECT (extract(epoch FROM now()) * 1000)::bigint - 200000000 AS base) AS b,
     LATERAL (SELECT '{"v":1,"n":' || n || ',"text":"' || repeat('x', 500) || '"}' AS body) AS t
"""
PENDING = """
INSERT INTO approvals_approval (id, organization_id, mode, agent_id, agent_slug, key_id, requesters, action, callee,
    environment, amount, currency, risk, context, reasoning, permission, rule, policy_version, digest, state,
    created_at, expires_at, decided_by_label, reason, claim_key, outcome)
SELECT gen_random_uuid(), a.organization_id, 'live', a.agent_id, a.agent_slug, a.key_id, a.requesters, a.action,
    a.callee, a.environment, 200 + n %% 800, a.currency, a.risk, a.context, a.reasoning, a.permission, a.rule,
    a.policy_version, md5(n::text) || md5((n + 1)::text), 'pending', now(),
    now() + n * interval '1 second' + interval '1 day', '', '', '', ''
FROM (SELECT * FROM approvals_approval LIMIT 1) AS a, generate_series(1, %(number)s) AS n
"""

# What is there often, seldom, once and never.
SEARCHES = [
    "action=service.resource7",
    "agent=bot-7&action=service.resource7.read",
    "kind=agent:check:ask",
    "result=deny",
    "actor=owner@bench.example",
    "target=apr_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "agent=no-such-bot",
    "until=2020-01-01T00:00:00",
]


def _timed(client: Client, path: str) -> float:
    """Milliseconds of server time: the median of seven."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        response = client.get(path)
        times.append(1000 * (time.perf_counter() - began))
        if response.status_code != 200:
            raise RuntimeError(f"{path} answered {response.status_code}")
    return sorted(times)[3]


def measure(results: dict[str, Any], server: Any, made: Any, seconds: int, load: Any, *, many: int) -> None:
    """A check with ten thousand events and with `many`; inbox and audit pages, and searches of all kinds."""
    organization, _, key, person = made
    few = 10_000
    _fill(organization, 1, few)
    small = load(server, key, 25.0, '"allowed":true', 32, seconds)
    for first in range(few + 1, many, 500_000):
        last = min(first + 499_999, many)
        _fill(organization, first, last)
        print(f"  {last:,} events", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE audit_event")
    large = load(server, key, 25.0, '"allowed":true', 32, seconds)
    again = load(server, key, 25.0, '"allowed":true', 32, seconds)
    cost = small["per_second"] / max(large["per_second"], again["per_second"])
    load(server, key, 500.0, '"status":"pending"', 1, 1)
    with connection.cursor() as cursor:
        cursor.execute(PENDING, {"number": 10_000})
        cursor.execute("ANALYZE approvals_approval")
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    pages = {path: _timed(client, path) for path in ["/inbox/", "/audit/", "/audit/?agent=bot-7"]}
    searches = {question: _timed(client, f"/audit/?{question}") for question in SEARCHES}
    results["volume"] = {"events": many, "cost_of_a_check": cost, "pages_ms": pages, "searches_ms": searches}
    print(f"{many:,} events: a check costs {cost:.2f} of what it costs with {few:,}")
    for path, taken in (pages | searches).items():
        print(f"  {path:36} {taken:.0f} ms")


def _fill(organization: Any, first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            EVENTS,
            {"organization": organization.id, "key": str(organization.id), "first": first, "last": last},
        )
