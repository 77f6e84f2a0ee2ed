"""What holds for every file: what the plan promises is what decides once it is applied, and what is exported is all.

`script/policies` looks at a thousand policies.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.by import COMMAND_LINE
from agents import policy
from agents.code.compiled import compile_state
from agents.code.reading import File
from agents.code.state import current
from agents.code.writing import write
from agents.load import load
from agents.services import policy as policies
from tests.agents.test_policy_properties import ACTIONS, NAMES, contexts

EXAMPLES = int(os.environ.get("POLICY_EXAMPLES", "10"))
NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
OPS = "spiffe://acme.example/agent/ops/production"

tiers = st.fixed_dictionaries(
    {"effect": st.sampled_from(["allow", "ask", "deny"])},
    optional={
        "max_amount": st.sampled_from([0, 5, 5.01, 50, "100.0000"]),
        "currency": st.sampled_from(["USD", "EUR"]),
        "environment": st.sampled_from(["production", "staging"]),
        "condition": st.sampled_from(["true", "false", "context.vip", "has(context.vip)"]),
        "callee": st.just(OPS),
        "risk": st.sampled_from(["low", "critical"]),
        "limits": st.sampled_from([{}, {"count_per_hour": 3}, {"count_per_day": 0, "count_per_month": 12}]),
        "expires_at": st.sampled_from(
            [(NOW + timedelta(days=days)).isoformat().replace("+00:00", "Z") for days in (-1, 1)]
        ),
        "notes": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    },
).map(lambda tier: tier if tier["effect"] != "deny" else {**tier, "limits": {}})  # nothing is counted of a deny
agents = st.fixed_dictionaries(
    {"permissions": st.dictionaries(st.sampled_from(NAMES), st.lists(tiers, min_size=1, max_size=3), max_size=5)},
    optional={
        "name": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20),
        "documentation": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60),
        "status": st.sampled_from(["active", "suspended", "banned"]),
        "limits": st.sampled_from([{}, {"count_per_day": 3}, {"total_per_month": 50.5}]),
        "limit_currency": st.just("USD"),
    },
).map(lambda agent: {"limit_currency": "USD", **agent} if "total_per_month" in agent.get("limits", {}) else agent)
documents = st.fixed_dictionaries(
    {"version": st.just(1), "agents": st.dictionaries(st.sampled_from(["bot", "reader"]), agents, max_size=2)},
    optional={
        "external_opa": st.sampled_from(
            ["none", {"url": "https://opa.example.com/v1/data/a"}, {"url": "https://b.example/", "timeout_ms": 50}]
        )
    },
)
questions = st.lists(
    st.builds(
        policy.Request,
        agent=st.sampled_from(["bot", "reader", "nobody"]),
        action=st.sampled_from(ACTIONS),
        context=contexts,
        environment=st.sampled_from([None, "production", "staging", "moon"]),
        callee=st.sampled_from([None, OPS]),
    ),
    min_size=5,
    max_size=15,
)
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def written(document: Any) -> list[File]:
    return [File("warden.yaml", yaml.safe_dump(document, allow_unicode=True))]


def made(organization, document) -> policies.Plan:
    files = written(document)
    planned = policies.plan(organization, files, prune=True)
    policies.apply(organization=organization, by=COMMAND_LINE, files=files, expected=planned.digest, prune=True)
    return planned


@pytest.mark.django_db
@bounded
@given(first=documents, second=documents, asked=questions)
def test_what_the_plan_promises_is_what_decides(acme, first, second, asked):
    with transaction.atomic():
        for document in (first, second):  # the second changes what the first made
            planned = made(acme, document)
            promised, real = compile_state(acme, planned.after), load(acme.pk).policy
            for request in asked:
                one, two = policy.decide(promised, request, NOW), policy.decide(real, request, NOW)
                assert (one.outcome, one.code, one.reason) == (two.outcome, two.code, two.reason)
        transaction.set_rollback(True)


@pytest.mark.django_db
@bounded
@given(document=documents)
def test_what_is_exported_makes_the_same(acme, other, document):
    with transaction.atomic():
        made(acme, document)
        text = write(current(acme))
        again = [File("export.yaml", text)]
        assert policies.plan(acme, again, prune=True).changes == ()
        planned = policies.plan(other, again, prune=True)
        policies.apply(organization=other, by=COMMAND_LINE, files=again, expected=planned.digest, prune=True)
        assert write(current(other)) == text
        transaction.set_rollback(True)
