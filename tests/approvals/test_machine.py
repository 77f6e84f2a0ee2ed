"""A machine that does at random what people and agents do, and compares what came of it with the reference.

I1, I3, I4 and I5 hold in every sequence. WARDEN_SEQUENCES and WARDEN_STEPS say how many and how long; script/sequences
runs the whole.
"""

import asyncio
import json
import os
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.by import COMMAND_LINE
from accounts.models import Delegation, Membership, Organization, Team, User
from agents.load import KeyFacts, load
from agents.models import Agent
from approvals import edits, intake, rules, services
from approvals.digest import digest
from approvals.models import Approval
from approvals.stops import services as stops
from audit.canonical import canonical
from audit.clock import database_now
from audit.leaf import COLUMNS
from gateway import claiming
from gateway.jobs import Cancel, Claim
from gateway.writer import COPY, TYPES, Batch
from tests import factories
from tests.approvals import reference
from tests.approvals.reference import Reference, Somebody

SEQUENCES = int(os.environ.get("WARDEN_SEQUENCES", "120"))
STEPS = int(os.environ.get("WARDEN_STEPS", "50"))
PEOPLE, TEAMS = range(6), range(2)
ROLES = ["owner", "admin", "approver", "approver", "approver", "viewer"]
ACTION = "stripe.refund.large"

RULES = [
    reference.Rule([(1, {"owner", "admin", "approver"}, set(), set())]),
    reference.Rule([(2, {"owner", "admin", "approver"}, set(), set())], denials=2),
    reference.Rule([(2, set(), {0}, set()), (1, set(), {1}, set())], step={"admin"}),
    reference.Rule([(2, {"approver"}, set(), {0}), (1, {"owner"}, {0, 1}, set())], assurance="browser"),
    reference.Rule([(3, {"admin", "approver"}, {0}, set())], denials=2, assurance="stepup", step={"owner"}),
    reference.Rule([(1, set(), set(), {1, 2})], reason_to_deny=False, step={"approver"}, edits=False),
]
people, teams = st.sampled_from(PEOPLE), st.sampled_from(TEAMS)
things = st.integers(0, 3)  # what is asked, and what it is changed to
surely = st.sampled_from(["slack", "browser", "stepup", "stepup"])
mostly = st.sampled_from([True, True, True, False])
FINAL = {"approved", "denied", "expired", "cancelled"}


def _context(kind: int) -> dict[str, str]:
    return {"customer_id": f"cus_{kind}"}


def _kind(customer: str) -> int:
    return int(customer.removeprefix("cus_"))


class Agents:
    """The gateway's half, on a connection of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        parameters = connection.get_connection_params()
        wanted = {
            name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters
        }
        self.connection = self.run(psycopg.AsyncConnection.connect(**wanted, autocommit=True))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def transaction(self, work: Any) -> Any:
        """Runs `work(batch)` as the writer does: the answer and its events commit together."""

        async def whole() -> Any:
            async with self.connection.transaction():
                cursor = await self.connection.execute("SELECT clock_timestamp()")
                found = await cursor.fetchone()
                assert found
                batch = Batch(self.connection, found[0], 0)
                answer = await work(batch)
                async with self.connection.cursor().copy(COPY) as copy:
                    copy.set_types(TYPES)
                    for made in batch.rows:
                        await copy.write_row(made)
                return answer

        return self.run(whole())

    def close(self) -> None:
        self.run(self.connection.close())
        self.loop.close()


class Deciding(RuleBasedStateMachine):
    """People, teams, roles, absences, votes, edits, expiry, escalation, the pause, claims."""

    requests = Bundle("requests")

    @initialize(which=st.sampled_from(RULES), owner=st.sampled_from(["none", "person", "team"]), who=people, team=teams)
    def begin(self, which: reference.Rule, owner: str, who: int, team: int) -> None:
        self.organization = factories.an_organization()
        number = uuid.uuid4().hex[:8]
        self.users = [
            factories.a_member(self.organization, role, f"{at}-{number}@example.com") for at, role in enumerate(ROLES)
        ]
        self.teams = [factories.a_team(self.organization) for _ in TEAMS]
        self.members = [Membership.objects.get(user=user) for user in self.users]
        owners: dict[str, User | Team | None] = {"none": None, "person": self.users[who], "team": self.teams[team]}
        self.agent = factories.an_agent(self.organization, owner=owners[owner])
        self.rule = factories.a_rule(self.organization, **self._fields(which))
        self.permission = factories.a_permission(self.agent, ACTION, "ask", approval_rule=self.rule)
        self.model = Reference(
            [Somebody(role) for role in ROLES],
            which,
            who if owner == "person" else None,
            team if owner == "team" else None,
        )
        key, _ = factories.a_key(self.organization, self.agent)
        self.key = KeyFacts(
            id=key.id,
            name=key.name,
            organization_id=self.organization.id,
            agent_id=self.agent.id,
            mode="live",
            environment="",
            scopes=frozenset({"sdk"}),
            rate_limit=None,
            expires_at=None,
            created_by=None,
            revoked=False,
        )
        self.ids: list[uuid.UUID] = []
        self.ended: dict[uuid.UUID, str] = {}
        self.claims: dict[uuid.UUID, int] = {}
        self.shown: dict[uuid.UUID, str] = {}  # what it was before it was changed
        self.agents = Agents()

    def teardown(self) -> None:
        if hasattr(self, "agents"):
            self.agents.close()

    def _fields(self, which: reference.Rule) -> dict[str, Any]:
        ways = [
            {
                "approvals": count,
                "roles": sorted(roles),
                "teams": [{"id": str(self.teams[team].id), "slug": self.teams[team].slug} for team in named],
                "people": [{"id": str(self.users[who].id), "email": self.users[who].email} for who in some],
            }
            for count, roles, named, some in which.ways
        ]
        step = {"after_minutes": 10, "roles": sorted(which.step), "teams": [], "people": []}
        return {
            **ways[0],
            "alternatives": ways[1:],
            "denials": which.denials,
            "assurance": which.assurance,
            "reason_to_deny": which.reason_to_deny,
            "escalation": [step] if which.step else [],
            "edits_allowed": which.edits,
            "edit_fields": ["customer_id"] if which.edits else [],
        }

    # Agents

    @precondition(lambda self: not self.model.paused)  # what an agent asks meanwhile is denied before it gets here
    @rule(target=requests, kind=things, requesters=st.sets(people, max_size=1))
    def ask(self, kind: int, requesters: set[int]) -> Any:
        loaded = load(self.organization.id)
        kept = loaded.permissions[str(self.permission.id)]
        said = intake.Ask(
            digest=self._digest(kind),
            organization_id=self.organization.id,
            mode="live",
            agent_id=self.agent.id,
            agent_slug=self.agent.slug,
            key_id=self.key.id,
            requesters=[self.users[who].id for who in requesters],
            action=ACTION,
            callee="",
            environment="",
            amount=Decimal(500),
            currency="USD",
            risk="medium",
            context=canonical(_context(kind)),
            reasoning="",
            permission=kept.snapshot,
            rule=kept.rule,
            policy_version=loaded.policy.version,
            lifetime=timedelta(hours=1),
            cooldown=timedelta(0),
        )
        expected, request = self.model.ask(kind, requesters)
        (reply,) = self.agents.transaction(lambda batch: intake.ask(batch.connection, [said], batch.now, []))
        assert reply.kind == expected
        number = self.model.requests.index(request)
        if expected == "new":
            assert number == len(self.ids)
            self.ids.append(reply.held.id)
            return number
        assert reply.held.id == self.ids[number]
        if expected == "claimed":
            self.claims[reply.held.id] = self.claims.get(reply.held.id, 0) + 1
        return multiple()

    def _digest(self, kind: int) -> str:
        return digest(
            organization_id=self.organization.id,
            mode="live",
            agent_id=self.agent.id,
            action=ACTION,
            callee=None,
            environment="",
            context=_context(kind),
            permission_id=str(self.permission.id),
        )

    @rule(number=requests)
    def claim(self, number: int) -> None:
        job = self._job(Claim, self.ids[number], "key")
        loaded = load(self.organization.id)
        answer = self.agents.transaction(lambda batch: claiming.claim(job, self.key, loaded, batch))
        code = "ok" if answer.status == 200 else json.loads(answer.body)["code"]
        assert code == self.model.claim(self.model.requests[number])
        if code == "ok":
            self.claims[self.ids[number]] = self.claims.get(self.ids[number], 0) + 1
            told, content = json.loads(answer.body), self.model.requests[number].content
            assert told["effective_context"] == _context(content), "I5: an agent was given what was not approved"
            assert told["claim"]["digest"] == self._digest(content), "I5: an agent took what was not approved"

    @rule(number=requests)
    def cancel(self, number: int) -> None:
        job = self._job(Cancel, self.ids[number])
        self.agents.transaction(lambda batch: claiming.cancel(job, self.key, batch))
        self.model.cancel(self.model.requests[number])

    def _job(self, kind: Any, *arguments: Any) -> Any:
        async def make() -> Any:  # a job makes its future on the running loop
            return kind(b"", *arguments)

        return self.agents.run(make())

    # People

    @rule(
        number=requests,
        who=people,
        verdict=st.sampled_from(["approve", "approve", "deny"]),
        right=mostly,
        sure=surely,
        reason=mostly,
    )
    def vote(self, number: int, who: int, verdict: rules.Verdict, right: bool, sure: str, reason: bool) -> None:
        approval = Approval.objects.get(id=self.ids[number])
        try:
            services.review(
                approval_id=approval.id,
                by=self.users[who],
                organization=self.organization,
                verdict=verdict,
                reason="so" if reason else "",
                digest=approval.digest if right else self._stale(approval),
                via="browser",
                assurance=sure,
            )
            code = "ok"
        except rules.Refused as refused:
            code = refused.code
        expected = self.model.vote(who, self.model.requests[number], verdict, right=right, sure=sure, reason=reason)
        assert code == expected

    def _stale(self, approval: Approval) -> str:
        """The digest of what was shown before it was changed, or of nothing."""
        stale = self.shown.get(approval.id, "0" * 64)
        return stale if stale != approval.digest else "0" * 64

    @rule(number=requests, who=people, to=things, right=mostly, sure=surely, reason=mostly)
    def edit(self, number: int, who: int, to: int, right: bool, sure: str, reason: bool) -> None:
        approval = Approval.objects.get(id=self.ids[number])
        before = approval.digest
        try:
            edits.edit(
                approval_id=approval.id,
                by=self.users[who],
                organization=self.organization,
                values=_context(to),
                reason="so" if reason else "",
                digest=before if right else self._stale(approval),
                via="browser",
                assurance=sure,
            )
            code = "ok"
            self.shown[approval.id] = before
        except rules.Refused as refused:
            code = refused.code
        expected = self.model.edit(who, self.model.requests[number], to, right=right, sure=sure, reason=reason)
        assert code == expected

    @rule(who=people, role=st.sampled_from(["owner", "admin", "approver", "viewer"]))
    def change_role(self, who: int, role: str) -> None:
        Membership.objects.filter(pk=self.members[who].pk).update(role=role)
        self.model.people[who].role = role

    @rule(who=people, active=st.booleans())
    def deactivate(self, who: int, active: bool) -> None:
        User.objects.filter(pk=self.users[who].pk).update(is_active=active)
        self.model.people[who].active = active

    @rule(who=people, team=teams)
    def join_or_leave(self, who: int, team: int) -> None:
        theirs = self.model.people[who].teams
        if team in theirs:
            self.teams[team].members.remove(self.members[who])
        else:
            self.teams[team].members.add(self.members[who])
        theirs ^= {team}

    @rule(who=people, delegate=people)
    def lend_or_call_off(self, who: int, delegate: int) -> None:
        if (who, delegate) in self.model.lends:
            rows = Delegation.objects.filter(delegator=self.members[who], delegates=self.members[delegate])
            rows.update(ended_at=database_now())
            self.model.lends.discard((who, delegate))
        elif who != delegate:
            now = database_now()
            row = Delegation.objects.create(
                organization=self.organization,
                delegator=self.members[who],
                starts_at=now,
                ends_at=now + timedelta(days=1),
            )
            row.delegates.set([self.members[delegate]])
            self.model.lends.add((who, delegate))

    @rule(who=people)
    def become_owner(self, who: int) -> None:
        Agent.objects.filter(pk=self.agent.pk).update(owner_user=self.users[who], owner_team=None)
        self.model.owner, self.model.owner_team = who, None

    # Time, and the switches

    @precondition(lambda self: not self.model.paused)  # deadlines stand still
    @rule(number=requests)
    def pass_the_deadline(self, number: int) -> None:
        if self.model.requests[number].state == "pending":
            Approval.objects.filter(id=self.ids[number], state="pending").update(
                expires_at=database_now() - timedelta(seconds=1)
            )
            self.model.requests[number].overdue = True

    @rule()
    def sweep(self) -> None:
        services.expire_due()
        for request in self.model.requests:
            if request.state == "pending" and request.overdue:
                request.state = "expired"

    @rule(number=requests)
    def escalate(self, number: int) -> None:
        request = self.model.requests[number]
        if request.rule.step and request.state == "pending":
            Approval.objects.filter(id=self.ids[number]).update(escalated=1)
            request.escalated = True

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        if paused == self.model.paused:
            return
        if paused:
            self.stop = stops.stop(organization=self.organization, by=COMMAND_LINE, reason="So")
        else:
            stops.ask(stop=self.stop, by=COMMAND_LINE, reason="So")
            stops.release(stop=self.stop, by=COMMAND_LINE, typed=self.stop.confirmation)
        self.model.paused = paused

    @rule(single=st.sampled_from([True, False, False]))
    def one_or_two_people(self, single: bool) -> None:
        since = database_now() if single else None
        Organization.objects.filter(pk=self.organization.pk).update(single_operator_since=since)
        self.model.single = single

    # What must always hold

    @invariant()
    def the_database_says_what_the_reference_says(self) -> None:
        if not getattr(self, "ids", None):
            return
        numbers = {user.id: at for at, user in enumerate(self.users)}
        rows = Approval.objects.filter(id__in=self.ids).prefetch_related("reviews", "edits")
        found = {row.id: row for row in rows}
        for id_, request in zip(self.ids, self.model.requests, strict=True):
            row = found[id_]
            votes = [
                (numbers[each.user_id], numbers[each.on_behalf_of_id or each.user_id], each.verdict)
                for each in sorted(row.reviews.all(), key=lambda each: each.pk)
                if each.voided_at is None
            ]
            changes = [
                (numbers[each.user_id], _kind(each.changes[0][1]), _kind(each.changes[0][2]))
                for each in sorted(row.edits.all(), key=lambda each: each.pk)
            ]
            said = {
                "state": row.state,
                "claimed": row.claimed_at is not None,
                "content": _kind(row.context_data["customer_id"]),
                "asked": _kind(json.loads(row.asked_context or row.context)["customer_id"]),
                "edits": changes,
                "votes": votes,
            }
            assert said == reference.facts(request)
            assert row.digest == self._digest(request.content)
            assert row.asked == (self._digest(request.asked) if request.asked != request.content else None)
            shown = {each.digest for each in row.reviews.all() if each.voided_at is None}
            assert shown <= {row.digest}, "I3: a vote counts for what was not shown"
            if row.state in FINAL:
                assert self.ended.setdefault(id_, row.state) == row.state, "I1: a final state changed"
            clickers = [by for by, _, _ in votes]
            voices = [voice for _, voice, _ in votes]
            assert len(set(clickers)) == len(clickers), "I3: one person voted twice"
            assert len(set(voices)) == len(voices), "I3: one person's vote was given twice"
            assert self.claims.get(id_, 0) == int(row.claimed_at is not None), "I5: claimed once, and only then"
        digests = [
            name
            for row in found.values()
            if row.state == "pending" or (row.state == "approved" and not row.claimed_at and not row.lapsed_at)
            for name in {row.digest, row.asked or row.digest}
        ]
        assert len(set(digests)) == len(digests), "I4: two open requests for one check"


@pytest.mark.django_db(transaction=True)
def test_whatever_people_and_agents_do_comes_to_what_the_reference_says() -> None:
    assert "leaf" in COLUMNS
    run_state_machine_as_test(
        Deciding,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
