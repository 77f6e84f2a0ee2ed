"""Windows of the calendar, what a request needs, what is said of it; the fields of a tier and an agent."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from accounts.by import COMMAND_LINE
from agents.models import PolicyVersion, Spending
from agents.policy import Limit, Request, decide
from agents.policy.budgets import NAMES, SPANS, Need, limits_of, needs, refusal, window
from agents.services.permissions import change_permission, create_permission
from tests.agents.policies import NOW, policy_of, tier
from tests.factories import a_member, a_permission, an_agent, an_organization

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(SPANS))
def test_each_moment_is_in_exactly_one_window_and_windows_touch(moment: datetime, span: str) -> None:
    starts, ends = window(span, moment)
    assert starts <= moment < ends
    assert window(span, starts) == (starts, ends)
    assert window(span, ends)[0] == ends
    assert window(span, ends - timedelta(microseconds=1)) == (starts, ends)
    assert ends - starts <= timedelta(days=31)


@given(MOMENTS)
def test_hours_make_days_and_days_make_months(moment: datetime) -> None:
    hour, day, month = (window(span, moment) for span in SPANS)
    assert month[0] <= day[0] <= hour[0]
    assert hour[1] <= day[1] <= month[1]


@given(
    st.lists(st.decimals(0, 100, places=2), max_size=30),
    st.decimals(0, 500, places=2),
)
def test_whatever_is_asked_in_whatever_order_no_more_than_the_limit_fits(amounts: list[Decimal], most: Decimal) -> None:
    starts, ends = window("day", NOW)
    used = Decimal(0)
    for amount in amounts:
        need = Need("o", "a.b", Limit("day", most, "USD"), starts, ends, amount)
        if need.fits(used):
            used += amount
        else:
            assert "Budget of 'a.b'" in refusal(need, used)
    assert used <= most


def test_a_time_zone_does_not_move_a_window() -> None:
    eastern = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    assert window("day", eastern) == window("day", NOW)


def test_a_request_needs_what_its_tier_and_its_agent_limit() -> None:
    limited = tier("stripe.refund", currency="USD", limits=(Limit("hour", Decimal(3)), Limit("day", Decimal(9), "USD")))
    policy = policy_of(limited, tier("email.send"), limits=(Limit("month", Decimal(5)),))
    agent = policy.agents["bot"]
    refund = decide(policy, Request("bot", "stripe.refund", {"amount": 4}), NOW)
    found = needs(agent, refund, NOW)
    assert [(need.name, need.limit.span, need.amount) for need in found] == [
        ("bot", "month", 1),
        ("stripe.refund", "hour", 1),
        ("stripe.refund", "day", 4),
    ]
    assert refund.conditional
    mail = decide(policy, Request("bot", "email.send", {}), NOW)
    assert [need.name for need in needs(agent, mail, NOW)] == ["bot"]
    assert needs(agent, decide(policy, Request("bot", "x.y", {}), NOW), NOW) == []


def test_names_are_read_as_limits() -> None:
    assert len(NAMES) == 6
    assert limits_of({"count_per_day": 3, "total_per_month": "9.50"}, "USD") == (
        Limit("day", Decimal(3)),
        Limit("month", Decimal("9.50"), "USD"),
    )
    with pytest.raises(ValueError, match="currency"):
        limits_of({"total_per_day": 3}, None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("limits", "currency", "field"),
    [
        ({"total_per_day": 5}, "", "currency"),
        ({"count_per_day": 1.5}, "", "count_per_day"),
        ({"count_per_day": -1}, "", "count_per_day"),
        ({"total_per_day": "NaN"}, "USD", "total_per_day"),
        ({"total_per_day": "x"}, "USD", "total_per_day"),
        ({"per_week": 1}, "", "limits"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(limits: dict[str, object], currency: str, field: str) -> None:
    agent = an_agent(an_organization())
    with pytest.raises(ValidationError) as refused:
        create_permission(agent=agent, by=COMMAND_LINE, action="a.b", effect="allow", currency=currency, limits=limits)
    assert field in refused.value.message_dict


@pytest.mark.django_db
def test_a_budget_is_policy_and_its_change_a_version_in_words(client) -> None:
    acme = an_organization()
    owner = a_member(acme, "owner")
    agent = an_agent(acme, "bot", owner=owner)
    row = create_permission(agent=agent, by=COMMAND_LINE, action="a.b", effect="allow")
    change_permission(permission=row, by=COMMAND_LINE, limits={"count_per_hour": 12})
    newest = PolicyVersion.objects.filter(organization=acme).first()
    assert ["hour", "12.00", ""] in json.loads(newest.content)["agents"][0]["permissions"][0]["limits"]
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "12.00 requests per hour" in client.get(reverse("agents:history", args=["bot"])).content.decode()


@pytest.mark.django_db
def test_the_editors_keep_budgets_and_the_page_draws_them(client) -> None:
    acme = an_organization()
    owner = a_member(acme, "owner")
    agent = an_agent(acme, "bot", owner=owner)
    row = a_permission(agent, "a.b")
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    edit = reverse("agents:tier", args=["bot", row.pk])
    page = client.get(edit)
    typed = {"action": "a.b", "effect": "allow", "risk": "low", "token": page.context["form"].initial["token"]}
    wrong = client.post(edit, typed | {"total_per_day": "100"})
    assert wrong.status_code == 422
    assert "one currency" in wrong.content.decode()
    client.post(edit, typed | {"count_per_hour": "12", "total_per_day": "99.50", "currency": "usd"})
    row.refresh_from_db()
    assert row.limits == {"count_per_hour": 12, "total_per_day": "99.5"}
    assert 'value="99.5"' in client.get(edit).content.decode()
    form = client.get(reverse("agents:edit", args=["bot"])).context["form"]
    about = {"name": "Bot", "owner": f"user:{owner.pk}", "token": form.initial["token"], "count_per_month": "40"}
    client.post(reverse("agents:edit", args=["bot"]), about)
    agent.refresh_from_db()
    assert agent.limits == {"count_per_month": 40}
    starts = window("hour", datetime.now(UTC))[0]
    Spending.objects.create(owner=row.pk, mode="live", span="hour", starts=starts, unit="", value=12)
    shown = client.get(reverse("agents:detail", args=["bot"])).content.decode()
    assert "12 of 12" in shown
    assert 'aria-label="100 % used"' in shown
    assert "0 of 40" in shown
    asked = {"action": "a.b", "context": '{"amount": 5}', "environment": "", "callee": ""}
    simulated = client.post(reverse("agents:detail", args=["bot"]), asked).content.decode()
    assert "is used up: 12 of 12 this hour" in simulated.replace("&#x27;", "'")
    assert Spending.objects.count() == 1  # nothing was reserved


@pytest.mark.django_db
def test_the_commands_set_and_show_budgets(capsys) -> None:
    agent = an_agent(an_organization(), "bot")

    def run(*arguments: str) -> dict[str, object]:
        call_command(*arguments, "--json")
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    made = run("set_permission", "bot", "a.b", "--effect", "allow", "--limit", "count_per_day=3")
    assert made["limits"] == {"count_per_day": 3}
    made = run("set_permission", "bot", "a.b", "--limit", "count_per_hour=1", "--limit", "count_per_day=")
    assert made["limits"] == {"count_per_hour": 1}
    changed = run("change_agent", "bot", "--limit", "total_per_day=50", "--limit-currency", "EUR")
    assert (changed["limits"], changed["limit_currency"]) == ({"total_per_day": "50"}, "EUR")
    said = run("simulate_check", "bot", "a.b")
    assert [each["fits"] for each in said["budgets"]] == [True, True]
    assert agent.pk
