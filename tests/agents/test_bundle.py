"""A bundle, evaluated by a Rego engine, says what decide() says wherever neither a person nor a condition is needed."""

import gzip
import io
import json
import random
import tarfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import regorus

from agents.policy import Agent, Permission, Policy, Request, Stop, compile_policy, decide
from agents.policy.bundle import bundle_data, make_bundle
from agents.policy.bundle.archive import RULES
from agents.policy.bundle.data import digits
from tests.agents.policies import BILLING, OPS, tier

CALLER = "spiffe://acme.example/agent/support/production"
QUESTIONS = 10_000
SERVICES = ["stripe", "email", "query"]
NAMES = [
    "agentweave.query",
    "agentweave.health_check",
    "stripe.refund",
    "stripe.refund.small",
    "stripe.refund.large",
    "stripe.refund.large.eu",
    "stripe.charge",
    "email.send",
    "email.send.bulk",
]
WILDCARDS = ["stripe.*", "stripe.refund.*", "email.*", "agentweave.*", "stripe.refund.large.*"]
AMOUNTS = ["0", "0.01", "49.99", "50", "50.00", "50.0000000001", "200", "1000.5", "99999999999999.99"]
HELD = ["", "stripe.*", "stripe.refund", "stripe.refund.*", "email.*", "agentweave.query"]
ODD = [None, "", "abc", "-1", "-0", "1e3", "1.", ".5", True, [], {}, "１２", "9" * 31, "50 ", "+5", "NaN", -5, -0.5]


class Opa:
    """The bundle of one policy in an engine, as an OPA that fetched it."""

    def __init__(self, policy: Policy, environment: str | None = None, **more: Any) -> None:
        made = make_bundle(bundle_data(policy, environment=environment, **more))
        self.engine = regorus.Engine()
        with tarfile.open(fileobj=io.BytesIO(made.content), mode="r:gz") as archive:
            for member in archive:
                found = archive.extractfile(member)
                assert found
                if member.name.endswith(".rego"):
                    self.engine.add_policy(member.name, found.read().decode())
                elif member.name.endswith("data.json"):
                    self.engine.add_data_json(found.read().decode())

    def ask(self, question: dict[str, Any], rule: str = "allow") -> Any:
        self.engine.set_input_json(json.dumps(question))
        return self.engine.eval_rule(f"data.agentweave.authz.{rule}")


def a_tier(chance: random.Random, now: datetime, *, certain: bool) -> Permission:
    name = chance.choice(NAMES if chance.random() < 0.8 else WILDCARDS)
    effect = chance.choice(["allow"] * 7 + ["deny"] if certain else ["allow", "allow", "ask", "deny"])
    maximum = chance.choice([None, None, *AMOUNTS])
    return Permission(
        id=f"p{chance.getrandbits(64):x}",
        action=name,
        effect=effect,  # type: ignore[arg-type]
        max_amount=None if maximum is None else Decimal(maximum),
        currency=chance.choice([None] * 4 + ["USD", "EUR"]),
        environment=chance.choice([None] * 8 + ["production", "staging"]),
        condition="" if certain else chance.choice(["", "", "context.urgent == true", "amount < 100.0", "broken +"]),
        callee=chance.choice([None] * 6 + [OPS, BILLING]),
        expires_at=chance.choice([None, None, None, now - timedelta(days=1), now + timedelta(days=1)]),
    )


def a_policy(chance: random.Random, now: datetime, *, certain: bool) -> Policy:
    permissions = tuple(a_tier(chance, now, certain=certain) for _ in range(chance.randint(0, 24)))
    status = chance.choice(["active"] * 12 + ["suspended", "banned"])
    return compile_policy(
        organization_id="org-1",
        agents=[Agent("agent-1", "bot", status, permissions, CALLER)],  # type: ignore[arg-type]
        environments=["production", "staging"],
        stops=[] if chance.random() < 0.9 else [Stop(chance.choice(["", "agent-1", "agent-2"]), chance.choice(HELD))],
    )


def a_question(chance: random.Random) -> dict[str, Any]:
    action = chance.choice([*NAMES, *NAMES, "query", "health_check", "stripe.other", "Query", "a..b", "x" * 201])
    context: dict[str, Any] = {}
    if chance.random() < 0.7:
        text = chance.choice(AMOUNTS)
        context["amount"] = chance.choice(
            [text, int(Decimal(text)), float(Decimal(text)) if len(text) < 9 else text, chance.choice(ODD)]
        )
    if chance.random() < 0.4:
        context["currency"] = chance.choice(["USD", "usd", "EUR", "", None, 5, False, "uſd"])
    if chance.random() < 0.3:
        context["urgent"] = chance.choice([True, False, "x"])
    question: dict[str, Any] = {"caller_spiffe_id": CALLER, "action": action, "context": context}
    if chance.random() < 0.6:
        question[chance.choice(["callee_spiffe_id", "resource_spiffe_id"])] = chance.choice([OPS, BILLING])
    return question


def decided(policy: Policy, question: dict[str, Any], environment: str | None, now: datetime) -> str:
    """What decide() says to a question, as the Data API puts it to it."""
    action = question["action"]
    callee = question.get("callee_spiffe_id") or question.get("resource_spiffe_id")
    named = action if "." in action else f"agentweave.{action}"
    return decide(policy, Request("bot", named, question["context"], environment, callee), now).outcome


def questions(seed: int, number: int, *, certain: bool) -> Any:
    """(what the bundle allows, what decide() says, both sides) of `number` questions, forty a policy."""
    chance = random.Random(seed)
    for _ in range(number // 40):
        now = datetime.now(UTC)
        policy = a_policy(chance, now, certain=certain)
        environment = chance.choice([None, "production", "production", "staging", "staging", "nowhere"])
        opa = Opa(policy, environment)
        for _ in range(40):
            question = a_question(chance)
            yield opa.ask(question), decided(policy, question, environment, now), (policy, environment, question)


def test_a_bundle_and_decide_agree_on_ten_thousand_questions() -> None:
    allowed = 0
    for said, outcome, about in questions(1, QUESTIONS, certain=True):
        assert said is (outcome == "allow"), about
        allowed += said
    assert QUESTIONS / 20 < allowed < QUESTIONS / 2  # neither side says the same to everything


def test_where_people_or_conditions_are_needed_a_bundle_never_allows_what_warden_would_not() -> None:
    seen = {(said, outcome) for said, outcome, _ in questions(2, 4_000, certain=False)}
    assert seen == {(True, "allow"), (False, "allow"), (False, "ask"), (False, "deny")}


def policy_of(*permissions: Permission, spiffe_id: str | None = CALLER) -> Policy:
    return compile_policy(organization_id="o", agents=[Agent("a", "bot", "active", permissions, spiffe_id)])


def question(action: str = "email.send", **more: Any) -> dict[str, Any]:
    return {"caller_spiffe_id": CALLER, "action": action} | more


def test_what_needs_a_person_is_not_allowed_and_the_bundle_says_where_to_ask() -> None:
    opa = Opa(policy_of(tier("email.send", "ask")))
    assert opa.ask(question()) is False
    assert opa.ask(question(), "reason") == "This needs a person: ask Warden itself"
    assert Opa(policy_of(tier("email.send"))).ask(question(), "reason") == "Allowed"
    assert opa.ask(question("a.b"), "reason") == "Not allowed"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"action": "email.send"},
        {"caller_spiffe_id": CALLER},
        {"caller_spiffe_id": "spiffe://acme.example/agent/unknown", "action": "email.send"},
        {"caller_spiffe_id": 5, "action": "email.send"},
        question(action=5),  # type: ignore[arg-type]
        question(context=[]),
        question(callee_spiffe_id="https://acme.example/x"),
        question(callee_spiffe_id="spiffe://acme.example/../x"),
        question(callee_spiffe_id=OPS, resource_spiffe_id=BILLING),
        question(caller_trust_domain="other.example"),
        question(callee_spiffe_id=OPS, resource_trust_domain="other.example"),
    ],
)
def test_what_is_no_question_of_a_known_caller_is_denied(asked: dict[str, Any]) -> None:
    opa = Opa(policy_of(tier("email.send")))
    assert opa.ask(question()) is True
    assert opa.ask(asked) is False


def test_names_of_foreign_trust_domains_are_denied() -> None:
    policy = policy_of(tier("email.send"))
    assert Opa(policy, trust_domains=["acme.example"]).ask(question(callee_spiffe_id=OPS)) is True
    assert Opa(policy, trust_domains=["other.example"]).ask(question()) is False
    assert Opa(policy, trust_domains=["acme.example"]).ask(question(callee_spiffe_id="spiffe://b.example/x")) is False


def test_an_agent_without_a_spiffe_id_and_another_keys_agent_are_not_in_it() -> None:
    assert bundle_data(policy_of(tier("email.send"), spiffe_id=None))["agents"] == {}
    assert bundle_data(policy_of(tier("email.send")), agent_id="another")["agents"] == {}


def test_the_same_policy_is_the_same_bytes() -> None:
    one, two = (make_bundle(bundle_data(policy_of(tier("email.send")))) for _ in range(2))
    assert one == two
    assert make_bundle(bundle_data(policy_of(tier("email.send", "deny")))).etag != one.etag
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(one.content))) as archive:
        manifest = json.loads(archive.extractfile("/.manifest").read())  # type: ignore[union-attr]
    assert manifest["roots"] == ["agentweave", "warden"]
    assert manifest["revision"].startswith("pv_")


def test_amounts_compare_as_numbers_do() -> None:
    amounts = sorted({Decimal(text) for text in [*AMOUNTS, "0.1", "10", "9.999999", "100000"]})
    assert sorted(amounts, key=digits) == amounts
    assert {len(digits(amount)) for amount in amounts} == {61}


def test_every_rule_denies_by_default() -> None:
    assert b"default allow := false" in RULES["agentweave/authz.rego"]
    assert b"import rego.v1" in RULES["warden/decision.rego"]
