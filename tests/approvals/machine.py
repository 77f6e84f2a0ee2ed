"""A machine that does at random what people and agents do, and compares what came of it with the reference.

I1, I3, I4 and I5 hold in every sequence. WARDEN_SEQUENCES and WARDEN_STEPS say how many and how long: 2,000 of 50
steps, unless script/sequences is told otherwise.
"""

import json
import math
import os
from datetime import timedelta
from typing import Any

from django.db import connection
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.by import COMMAND_LINE
from accounts.models import Delegation, Membership, Organization, User
from accounts.rules import Refused as NotAllowed
from agents.models import Agent
from approvals import edits, rules, services
from approvals.glass import services as glass
from approvals.models import Approval, BreakGlass
from approvals.stops import services as stops
from audit.clock import database_now
from gateway import claiming
from gateway.jobs import Cancel, Claim
from tests.approvals import reference
from tests.approvals.stage import (
    ACTION,
    FINAL,
    ROWS,
    Agents,
    Row,
    Stage,
    context_of,
    kind_of,
    mostly,
    people,
    requests,
    surely,
    teams,
    things,
)

SEQUENCES = int(os.environ.get("WARDEN_SEQUENCES", "2000"))
STEPS = int(os.environ.get("WARDEN_STEPS", "50"))
PARTS = 20


class Deciding(Stage):
    """People, teams, roles, absences, votes, edits, expiry, escalation, the pause, break-glass, claims."""

    # Agents

    @precondition(lambda self: not self.model.paused)  # what an agent asks meanwhile is denied before it gets here
    @rule(target=requests, kind=things, requesters=st.sets(people, max_size=1))
    def ask(self, kind: int, requesters: set[int]) -> Any:
        number = self.asked(kind, requesters)
        return multiple() if number is None else number

    @rule(number=requests)
    def claim(self, number: int) -> None:
        job = self.job(Claim, self.ids[number], "key")
        loaded = self.load()
        answer = self.agents.transaction(lambda batch: claiming.claim(job, self.key, loaded, batch))
        code = "ok" if answer.status == 200 else json.loads(answer.body)["code"]
        assert code == self.model.claim(self.model.requests[number])
        if code == "ok":
            self.claims[self.ids[number]] = self.claims.get(self.ids[number], 0) + 1
            told, content = json.loads(answer.body), self.model.requests[number].content
            assert told["effective_context"] == context_of(content), "I5: an agent was given what was not approved"
            assert told["claim"]["digest"] == self.digests[content], "I5: an agent took what was not approved"

    @rule(number=requests)
    def cancel(self, number: int) -> None:
        job = self.job(Cancel, self.ids[number])
        self.agents.transaction(lambda batch: claiming.cancel(job, self.key, batch))
        self.model.cancel(self.model.requests[number])

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
                values=context_of(to),
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

    @rule(target=requests, number=requests, who=people, right=mostly, sure=surely, reason=mostly, typed=mostly)
    def break_glass(self, number: int, who: int, right: bool, sure: str, reason: bool, typed: bool) -> Any:
        approval = Approval.objects.get(id=self.ids[number])
        expected, allowed = self.model.break_glass(
            who, self.model.requests[number], right=right, sure=sure, reason=reason, typed=typed
        )
        try:
            made = glass.break_glass(
                approval_id=approval.id,
                by=self.users[who],
                organization=self.organization,
                digest=approval.digest if right else self._stale(approval),
                reason="so" if reason else "",
                typed=ACTION if typed else "",
                assurance=sure,
            )
            code = "ok"
        except rules.Refused as refused:
            code, made = refused.code, None
        assert code == expected
        if made is None or allowed is self.model.requests[number]:
            assert made is None or made.id == approval.id
            return multiple()
        assert made.id not in self.ids, "I1: what had ended was allowed itself"
        self.ids.append(made.id)
        return len(self.ids) - 1

    @rule(number=requests, who=people, justified=st.booleans(), typed=st.booleans())
    def sign_off(self, number: int, who: int, justified: bool, typed: bool) -> None:
        request = self.model.requests[number]
        if request.broken_by is None:
            return
        broken = BreakGlass.objects.select_related("organization").get(approval=self.ids[number])
        typing = self.organization.slug if typed else ""
        try:
            glass.sign(broken=broken, by=self.members[who], justified=justified, note="So", typed=typing)
            taken = True
        except NotAllowed:
            taken = False
        assert taken == self.model.sign(who, request, justified=justified, typed=typed)

    @rule(who=people, given=mostly)
    def give_or_withdraw_break_glass(self, who: int, given: bool) -> None:
        self.give(who, given=given)

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
        numbers = {str(user.id): at for at, user in enumerate(self.users)}
        with connection.cursor() as cursor:
            cursor.execute(ROWS, {"ids": self.ids, "agent": self.agent.id})
            found = {row[0]: Row(*row) for row in cursor.fetchall()}
        for id_, request in zip(self.ids, self.model.requests, strict=True):
            row = found[id_]
            context = json.loads(row.context)
            asked = json.loads(row.asked_context) if row.asked_context else context
            votes = [(numbers[by], numbers[voice], verdict) for by, voice, verdict, _ in row.votes]
            said = {
                "state": row.state,
                "claimed": row.claimed,
                "content": kind_of(context["customer_id"]),
                "asked": kind_of(asked["customer_id"]),
                "edits": [(numbers[by], kind_of(before), kind_of(after)) for by, before, after in row.edits],
                "votes": votes,
                "glass": None if row.broken_by is None else numbers[row.broken_by],
            }
            assert said == reference.facts(request)
            assert row.digest == self.digests[request.content]
            assert row.asked == (self.digests[request.asked] if request.asked != request.content else None)
            assert {digest for *_, digest in row.votes} <= {row.digest}, "I3: a vote counts for what was not shown"
            assert row.broken_digest in (None, row.digest), "I3: what was allowed is not what was shown"
            before = request.instead_of and self.ids[self.model.requests.index(request.instead_of)]
            assert row.instead_of == before
            if row.state in FINAL:
                assert self.ended.setdefault(id_, row.state) == row.state, "I1: a final state changed"
            clickers = [by for by, _, _ in votes]
            voices = [voice for _, voice, _ in votes]
            assert len(set(clickers)) == len(clickers), "I3: one person voted twice"
            assert len(set(voices)) == len(voices), "I3: one person's vote was given twice"
            assert self.claims.get(id_, 0) == int(row.claimed), "I5: claimed once, and only then"
        digests = [name for row in found.values() if row.open for name in {row.digest, row.asked or row.digest}]
        assert len(set(digests)) == len(digests), "I4: two open requests for one check"
        waiting = sum(row.state == "pending" for row in found.values())
        assert {row.places for row in found.values()} == {waiting}, "the agent's places are miscounted"


def play(part: int) -> None:
    """Plays this part of the sequences: those of one seed, or any where the profile wants others each time."""
    agents = Agents()
    machine = type("Deciding", (Deciding,), {"agents": agents})
    try:
        run_state_machine_as_test(
            seed(part)(machine) if settings.default.derandomize else machine,
            settings=settings(
                max_examples=math.ceil(SEQUENCES / PARTS),
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        agents.close()
