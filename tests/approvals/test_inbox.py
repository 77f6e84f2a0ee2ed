"""The list: who sees what, in which order, how it is searched, filtered and paged."""

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import roles
from accounts.models import Delegation, Membership
from approvals import inbox, rules, services
from approvals.case import cases, person_of
from approvals.models import Approval
from audit.clock import database_now
from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]


def listed(client: Client, **query: str) -> list[str]:
    """The ids on one page of the list, in order."""
    answer = client.get("/inbox/", query)
    assert answer.status_code == 200
    return [row.approval.approval_id for row in answer.context.get("rows", [])]


def test_home_is_the_inbox(acme: Acme, enter: Enter) -> None:
    answer = enter(acme.approver).get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/inbox/")


def test_a_row_says_what_is_about_to_happen(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500", context={"customer_id": "cus_ABC123"}, risk="high")
    page = enter(acme.approver).get("/inbox/").content.decode()
    for words in ("support-bot", "wants to", "refund", "$500.00", "cus_ABC123", "High risk", "0 of 1", "Approvers"):
        assert words in page
    assert f"{waiting.expires_at:%H:%M}" in page
    assert f'href="/approvals/{waiting.approval_id}"' in page


def test_an_amount_is_never_cut_or_rounded(acme: Acme, enter: Enter) -> None:
    factories.an_approval(agent=acme.bot, amount="12345678901234567890.1234567890", context={"to": "x" * 3_000})
    page = enter(acme.approver).get("/inbox/").content.decode()
    assert "$12,345,678,901,234,567,890.123456789<" in page
    assert "x" * 200 not in page


def test_soonest_deadline_first_and_latest_decision_first(acme: Acme, enter: Enter) -> None:
    late, soon, middle = (factories.an_approval(agent=acme.bot, minutes=minutes) for minutes in (90, 10, 40))
    client = enter(acme.approver)
    assert listed(client) == [each.approval_id for each in (soon, middle, late)]
    for each in (middle, late):
        services.review(
            approval_id=each.id,
            by=acme.approver,
            organization=acme.organization,
            verdict="approve",
            reason="",
            digest=each.digest,
            via="browser",
        )
    assert listed(client, view="decided") == [late.approval_id, middle.approval_id]
    assert listed(client, view="all") == [each.approval_id for each in (middle, soon, late)]


def test_each_view_holds_what_it_names(acme: Acme, enter: Enter) -> None:
    plain = factories.an_approval(agent=acme.bot, minutes=60)
    soon = factories.an_approval(agent=acme.bot, minutes=10)
    high = factories.an_approval(agent=acme.bot, minutes=70, risk="critical")
    own = factories.an_approval(agent=factories.an_agent(acme.organization, owner=acme.approver), minutes=80)
    overdue = factories.an_approval(agent=acme.bot, minutes=-1)
    client = enter(acme.approver)
    assert listed(client) == listed(client, view="mine") == [each.approval_id for each in (soon, plain, high)]
    assert listed(client, view="waiting") == [each.approval_id for each in (soon, plain, high, own)]
    assert listed(client, view="soon") == [soon.approval_id]
    assert listed(client, view="high") == [high.approval_id]
    assert set(listed(client, view="all")) == {each.approval_id for each in (plain, soon, high, own, overdue)}
    assert "Expired" in client.get("/inbox/?view=all").content.decode()


def test_viewers_and_auditors_read_what_waits_and_decide_nothing(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    for person in (acme.viewer, acme.auditor):
        client = enter(person)
        assert listed(client) == [waiting.approval_id]
        page = client.get("/inbox/").content.decode()
        assert "not you" in page
        assert "For me" not in page


def test_a_stranger_sees_none_of_it(acme: Acme, enter: Enter) -> None:
    factories.an_approval(agent=acme.bot)
    client = enter(acme.stranger)
    for view in inbox.VIEWS:
        assert listed(client, view=view) == []
    assert listed(client, view="all", q="support-bot") == []
    answer = client.get("/inbox/live", {"since": "2000-01-01T00:00:00Z", "view": "all"}).json()
    assert answer == {"new": 0, "waiting": 0, "ended": {}}


def test_live_and_test_do_not_mix(acme: Acme, enter: Enter) -> None:
    live, test = (factories.an_approval(agent=acme.bot, mode=mode) for mode in ("live", "test"))
    assert listed(enter(acme.approver), view="all") == [live.approval_id]
    client = enter(acme.approver, "test")
    assert listed(client, view="all") == [test.approval_id]
    assert "Test mode" in client.get("/inbox/").content.decode()
    assert client.get(f"/inbox/?open={live.approval_id}").context.get("dossier") is None


def test_nobody_at_all_is_asked_to_log_in(acme: Acme, client: Client) -> None:
    for address in ("/inbox/", "/inbox/live", "/approvals/apr_01J", "/settings/deliveries"):
        assert client.get(address).status_code == 302


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cus_9", ["refund"]),
        ("CUS_9", ["refund"]),
        ("warehouse", ["delete"]),
        ("table.del", ["delete"]),
        ('say "hi"', ["refund"]),  # as typed, although the JSON of a context escapes it
        ("back\\slash", ["refund"]),
        ("because", ["delete"]),
        ("100%", ["refund"]),
        ("100_", []),  # no wildcard
        ("support-bot", ["delete", "refund"]),
        ("nothing of the kind", []),
        ("' OR 1=1 --", []),
        ("\x00", ["delete", "refund"]),  # a NUL is no search
    ],
)
def test_search_finds_actions_agents_and_anything_in_the_request(
    acme: Acme, enter: Enter, query: str, found: list[str]
) -> None:
    ids = {
        factories.an_approval(
            agent=acme.bot, context={"customer_id": "cus_9", "note": 'say "hi" 100% back\\slash'}
        ).approval_id: "refund",
        factories.an_approval(
            agent=acme.bot, action="warehouse.table.delete", context={"a": 1}, reasoning="Just because."
        ).approval_id: "delete",
    }
    client = enter(acme.approver)
    for view in ("mine", "all"):
        assert sorted(ids[each] for each in listed(client, view=view, q=query)) == found


def test_a_request_is_found_by_its_id(acme: Acme, enter: Enter) -> None:
    wanted, _ = factories.an_approval(agent=acme.bot), factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    assert listed(client, q=wanted.approval_id) == listed(client, q=str(wanted.id)) == [wanted.approval_id]


def test_facets_count_under_the_other_filters(acme: Acme, enter: Enter) -> None:
    other = factories.an_agent(acme.organization, "devops-bot", owner=acme.owner)
    for agent, action, risk in [
        (acme.bot, "stripe.refund", "high"),
        (acme.bot, "stripe.refund", "low"),
        (acme.bot, "email.send", "low"),
        (other, "deploy.production", "critical"),
    ]:
        factories.an_approval(agent=agent, action=action, risk=risk)
    client = enter(acme.approver)

    def counted(**query: str) -> dict[str, dict[str, int]]:
        facets = client.get("/inbox/", query).context["facets"]
        return {name: {choice.value: choice.count for choice, _ in choices} for name, choices in facets}

    assert counted(facets="1") == {
        "agent": {"support-bot": 3, "devops-bot": 1},
        "risk": {"critical": 1, "high": 1, "low": 2},
        "action": {"stripe.refund": 2, "deploy.production": 1, "email.send": 1},
    }
    assert counted(agent="support-bot", risk="low") == {
        "agent": {"support-bot": 2},
        "risk": {"high": 1, "low": 2},
        "action": {"email.send": 1, "stripe.refund": 1},
    }
    assert len(listed(client, agent="support-bot", risk="low")) == 2
    assert listed(client, agent="support-bot", risk="critical") == []


def test_filters_keep_to_the_address(acme: Acme, enter: Enter) -> None:
    factories.an_approval(agent=acme.bot, risk="high")
    facets = dict(enter(acme.approver).get("/inbox/?view=waiting&q=cus&facets=1").context["facets"])
    [(choice, href)] = facets["risk"]
    assert (choice.value, href) == ("high", "?view=waiting&q=cus&facets=1&risk=high")


@pytest.mark.parametrize("view", ["waiting", "decided", "all"])
def test_pages_by_key_show_everything_once_in_order_both_ways(
    acme: Acme, enter: Enter, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PAGE", 4)
    now = database_now()
    for number in range(11):  # three share a deadline and a decision: the id decides among equals
        same = now + timedelta(hours=1, minutes=number // 3)
        ended: dict[str, Any] = {"state": "denied", "decided_at": same} if view == "decided" else {}
        approval = factories.an_approval(agent=acme.bot, **ended)
        Approval.objects.filter(pk=approval.pk).update(expires_at=same)
    client, pages, query = enter(acme.approver), [], {"view": view}
    for _ in range(5):
        answer = client.get("/inbox/", query)
        pages.append([row.approval.approval_id for row in answer.context["rows"]])
        if not answer.context["page"].next_cursor:
            break
        query = {"view": view, "after": answer.context["page"].next_cursor}
    assert [len(page) for page in pages] == [4, 4, 3]
    everything = list(itertools.chain(*pages))
    assert len(set(everything)) == 11
    back = [pages[-1]]
    while cursor := answer.context["page"].previous_cursor:
        answer = client.get("/inbox/", {"view": view, "before": cursor})
        back.insert(0, [row.approval.approval_id for row in answer.context["rows"]])
    assert back == pages


@pytest.mark.parametrize("cursor", ["x", "1~", "~", "1~apr_x", "9" * 400 + "~" + "apr_" + "0" * 26, "1~" + "a" * 36])
def test_a_mangled_cursor_is_the_first_page(acme: Acme, enter: Enter, cursor: str) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    for name in ("after", "before"):
        assert listed(client, **{name: cursor}) == [waiting.approval_id]


def test_whatever_the_address_asks_there_is_a_page(acme: Acme, enter: Enter) -> None:
    factories.an_approval(agent=acme.bot)
    client = enter(acme.approver)
    strange = ["", "\x00", "'", "%", "ä" * 5_000, "apr_", "-1", "{{ x }}", "\ud7ff"]
    for name, value in itertools.product(["view", "q", "agent", "risk", "action", "after", "before", "open"], strange):
        assert client.get(f"/inbox/?{urlencode({name: value})}").status_code == 200, (name, value)


def test_nothing_yet_nothing_left_and_nothing_that_matches_look_different(acme: Acme, enter: Enter) -> None:
    client = enter(acme.approver)
    assert "No requests yet" in client.get("/inbox/").content.decode()
    waiting = factories.an_approval(agent=acme.bot)
    assert "No request matches" in client.get("/inbox/?q=zebra").content.decode()
    services.review(
        approval_id=waiting.id,
        by=acme.colleague,
        organization=acme.organization,
        verdict="deny",
        reason="No.",
        digest=waiting.digest,
        via="browser",
    )
    page = client.get("/inbox/").content.decode()
    assert "Nothing waits for you" in page
    assert "The last one was" in page
    assert acme.colleague.email in page


def test_a_list_that_takes_too_long_says_so_and_the_page_stands(
    acme: Acme, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "PATIENCE_MS", 100)
    factories.an_approval(agent=acme.bot)
    slow = RawSQL("pg_sleep(1) IS NOT NULL", [], BooleanField())
    monkeypatch.setattr(inbox, "_mentions", lambda _: slow)
    answer = enter(acme.approver).get("/inbox/?q=slow")
    assert answer.status_code == 503
    assert "The list did not load" in answer.content.decode()


def test_the_live_answer_counts_what_came_and_names_what_ended(acme: Acme, enter: Enter) -> None:
    before = database_now()
    first = factories.an_approval(agent=acme.bot, risk="low")
    factories.an_approval(agent=acme.bot, risk="high")
    client = enter(acme.approver)
    ask: dict[str, Any] = {"since": before.isoformat(), "view": "mine"}
    assert client.get("/inbox/live", ask).json() == {"new": 2, "waiting": 2, "ended": {}}
    assert client.get("/inbox/live", ask | {"risk": "high"}).json()["new"] == 1
    services.review(
        approval_id=first.id,
        by=acme.colleague,
        organization=acme.organization,
        verdict="approve",
        reason="",
        digest=first.digest,
        via="browser",
    )
    answer = client.get("/inbox/live", ask).json()
    assert (answer["new"], answer["waiting"]) == (1, 1)
    assert "Approved" in answer["ended"][first.approval_id]
    assert client.get("/inbox/live", {"since": before.isoformat(), "only": first.approval_id}).json()["new"] == 1
    assert client.get("/inbox/live", {"since": database_now().isoformat()}).json()["new"] == 0


@pytest.mark.parametrize("since", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "\x00"])
def test_the_live_answer_wants_a_time_with_its_zone(acme: Acme, enter: Enter, since: str) -> None:
    assert enter(acme.approver).get("/inbox/live", {"since": since}).status_code == 400


def test_what_is_for_me_is_what_the_rules_let_me_decide(acme: Acme) -> None:
    """The condition in SQL and the rules in Python are one: random requests, every person."""
    choice = random.Random(5)
    people = [acme.owner, acme.admin, acme.approver, acme.colleague, acme.auditor, acme.viewer]
    team = factories.a_team(acme.organization, acme.approver, acme.admin)
    agents = [
        acme.bot,
        factories.an_agent(acme.organization, owner=acme.colleague),
        factories.an_agent(acme.organization, owner=team),
        factories.an_agent(acme.organization),
    ]
    by_role = [{"roles": choice.sample(list(roles.ROLES), 3), "teams": [], "people": []} for _ in range(4)]
    by_team = {"roles": [], "teams": [{"id": str(team.id), "slug": team.slug}], "people": []}
    by_name = {"roles": [], "teams": [], "people": [{"id": str(each.id), "email": each.email} for each in people[2:]]}
    whom = [*by_role, by_team, by_name]
    alternatives = [[], [], [{"approvals": 2, **choice.choice(whom)}], [{"approvals": 2, **each} for each in whom]]
    for lender, delegates in ((acme.admin, [acme.approver, acme.viewer]), (acme.owner, [acme.colleague])):
        away = Delegation.objects.create(
            organization=acme.organization,
            delegator=Membership.objects.get(user=lender),
            starts_at=database_now(),
            ends_at=database_now() + timedelta(hours=1),
        )
        away.delegates.set(Membership.objects.filter(user__in=delegates))
    for _ in range(120):
        approval = factories.an_approval(
            agent=choice.choice(agents),
            requesters=choice.sample(people, choice.choice([0, 1])),
            rule={"approvals": 3, "denials": 3, **choice.choice(whom), "alternatives": choice.choice(alternatives)},
            editors=[person.id for person in choice.sample(people, choice.choice([0, 0, 1]))],
            minutes=choice.choice([-1, 60]),
        )
        voter = choice.choice(people)
        approval.reviews.create(user=voter, verdict="approve", digest=approval.digest, via="api")
    now = database_now()
    facts = cases(Approval.objects.all(), acme.organization)
    for user in people:
        membership = Membership.objects.get(user=user)
        desk = inbox.Desk(membership, "live", now, inbox.Filters("mine"))
        person = person_of(acme.organization.id, user.id)
        expected = {key for key, case in facts.items() if not rules.why_not(case, person, now)}
        assert set(desk.of_view("mine").values_list("id", flat=True)) == expected, membership.role


def test_a_page_of_fifty_takes_as_many_queries_as_a_page_of_one(acme: Acme, enter: Enter) -> None:
    client = enter(acme.approver)

    def queries() -> int:
        client.get("/inbox/")
        with CaptureQueriesContext(connection) as captured:
            client.get("/inbox/")
        return len(captured)

    factories.an_approval(agent=acme.bot)
    one = queries()
    for _ in range(50):
        factories.an_approval(agent=acme.bot)
    assert queries() == one
    factories.a_stop(acme.organization, pattern="stripe.*")
    assert queries() == one


def test_the_open_request_is_served_beside_the_list(acme: Acme, enter: Enter) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    page = enter(acme.approver).get(f"/inbox/?open={waiting.approval_id}").content.decode()
    assert f'data-approval="{waiting.approval_id}"' in page
    assert 'aria-current="true"' in page
