"""What the random sequences begin with, look at, and act through: the people, the rows, and the agents' half."""

import asyncio
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple

from accounts.models import Membership, Team, User
from agents.load import KeyFacts, Loaded, load
from agents.models import Epoch
from approvals import intake
from approvals.digest import digest
from audit.canonical import canonical
from gateway.writer import COPY, TYPES, Batch
from tests import factories
from tests.approvals import reference
from tests.approvals.reference import Reference, Somebody

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
requests = Bundle("requests")
FINAL = {"approved", "denied", "expired", "cancelled"}


def context_of(kind: int) -> dict[str, str]:
    return {"customer_id": f"cus_{kind}"}


def kind_of(customer: str) -> int:
    return int(customer.removeprefix("cus_"))


class Row(NamedTuple):
    """What the database says of one request."""

    id: uuid.UUID
    state: str
    claimed: bool
    open: bool
    digest: str
    asked: str | None
    context: str
    asked_context: str
    votes: list[tuple[str, str, str, str]]  # by, in whose name, verdict, digest
    edits: list[tuple[str, str, str]]  # by, before, after
    broken_by: str | None
    broken_digest: str | None
    instead_of: uuid.UUID | None
    places: int  # that the agent's requests take, as the counter has it


# Every request with what people did to it, in one query.
ROWS = """
SELECT a.id, a.state, a.claimed_at IS NOT NULL,
    a.state = 'pending' OR (a.state = 'approved' AND a.claimed_at IS NULL AND a.lapsed_at IS NULL),
    a.digest, a.asked, a.context, a.asked_context,
    ARRAY(
        SELECT ROW(r.user_id, coalesce(r.on_behalf_of_id, r.user_id), r.verdict, r.digest)
        FROM approvals_review r WHERE r.approval_id = a.id AND r.voided_at IS NULL ORDER BY r.id
    ),
    ARRAY(
        SELECT ROW(e.user_id, e.changes #>> '{0,1}', e.changes #>> '{0,2}')
        FROM approvals_edit e WHERE e.approval_id = a.id ORDER BY e.id
    ),
    b.user_id::text, b.digest, b.instead_of_id,
    coalesce((SELECT sum(taken) FROM approvals_place WHERE agent_id = %(agent)s), 0)
    + coalesce((SELECT sum(change) FROM approvals_placechange WHERE agent_id = %(agent)s), 0)
FROM approvals_approval a LEFT JOIN approvals_breakglass b ON b.approval_id = a.id
WHERE a.id = ANY(%(ids)s)
"""


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


class Stage(RuleBasedStateMachine):
    """An organization with its people, an agent and two requests, and beside it the reference."""

    agents: Agents  # one for all sequences

    @initialize(
        target=requests,
        which=st.sampled_from(RULES),
        owner=st.sampled_from(["none", "person", "team"]),
        who=people,
        team=teams,
        glass=st.sets(people, max_size=2),
    )
    def begin(self, which: reference.Rule, owner: str, who: int, team: int, glass: set[int]) -> Any:
        self.organization = factories.an_organization()
        number = uuid.uuid4().hex[:8]
        self.users = User.objects.bulk_create(User(email=f"{at}-{number}@example.com") for at in PEOPLE)
        self.members = Membership.objects.bulk_create(
            Membership(organization=self.organization, user=user, role=role)
            for user, role in zip(self.users, ROLES, strict=True)
        )
        self.teams = Team.objects.bulk_create(
            Team(organization=self.organization, name=f"Team {at}", slug=f"team-{at}") for at in TEAMS
        )
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
        self.key = KeyFacts(
            id=uuid.uuid4(),
            name="machine",
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
        self.digests = [self._digest(kind) for kind in range(4)]
        self.epoch, self.loaded = -1, None
        for each in glass:
            self.give(each, given=True)
        return multiple(self.asked(0, set()), self.asked(1, {who}))  # most of what can happen needs a request

    def load(self) -> Loaded:
        """The policy, read again where the epoch has moved, as the gateway does."""
        epoch = Epoch.objects.values_list("value", flat=True).get()
        if self.loaded is None or epoch != self.epoch:
            self.epoch, self.loaded = epoch, load(self.organization.id)
        return self.loaded

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

    def _digest(self, kind: int) -> str:
        return digest(
            organization_id=self.organization.id,
            mode="live",
            agent_id=self.agent.id,
            action=ACTION,
            callee=None,
            environment="",
            context=context_of(kind),
            permission_id=str(self.permission.id),
        )

    def job(self, kind: Any, *arguments: Any) -> Any:
        async def make() -> Any:  # a job makes its future on the running loop
            return kind(b"", *arguments)

        return self.agents.run(make())

    def asked(self, kind: int, requesters: set[int]) -> int | None:
        """The number of the request that came of it, where it is a new one."""
        loaded = self.load()
        kept = loaded.permissions[str(self.permission.id)]
        said = intake.Ask(
            digest=self.digests[kind],
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
            context=canonical(context_of(kind)),
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
        return None

    def give(self, who: int, *, given: bool) -> None:
        """Break-glass, or takes it back."""
        Membership.objects.filter(pk=self.members[who].pk).update(breaks_glass=given)
        self.model.people[who].glass = given
