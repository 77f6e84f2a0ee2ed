"""Plants faults, one at a time, in a copy of the tree, and shows which test catches each. Exits 1 if one survives.

script/plant_faults [--check] [--only WORD]…
"""

import argparse
import ast
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fault import Fault
from faults_of_settings import OF_SETTINGS

from tests.docs.pages import codes, tables
from warden.embedded.home import Home
from warden.embedded.services import services

ROOT = Path(__file__).resolve().parents[1]
RULES = "tests/approvals/test_rules.py"
WAYS = "tests/approvals/test_ways.py"
AWAY = "tests/approvals/test_delegation.py"
CLAIM = "tests/gateway/test_standing.py"
STEPUP = "tests/approvals/test_stepup.py"
GLASS = "tests/approvals/test_break_glass.py"
TIME = "tests/approvals/test_time.py"
TOGETHER = "tests/approvals/test_together.py"
EDITS = "tests/approvals/test_edits.py"
EDITED = "tests/gateway/test_edited.py"
BUDGETS = "tests/gateway/test_budgets.py"
GRANTS = "tests/gateway/test_grants.py"
PENDING = "tests/gateway/test_pending.py"
PROVED = "proved by"
PAGES = ("docs/settings.md", "docs/rules.md")


FAULTS = [
    Fault(
        "drop the state = 'pending' guard of a decision",
        "approvals/services.py",
        "Approval.objects.filter(id=approval.id, state=states.PENDING, digest=approval.digest)",
        "Approval.objects.filter(id=approval.id)",
        f"{WAYS}::test_the_move_itself_refuses_what_is_not_pending_any_more",
    ),
    Fault(
        "count a person twice",
        "approvals/rules.py",
        "case.digest and not vote.involved & seen:",
        "case.digest:",
        f"{WAYS}::test_two_of_finance_or_one_director",
    ),
    Fault(
        "let a person vote twice",
        "approvals/rules.py",
        "    if person.id in case.involved:\n",
        "    if False:\n",
        f"{RULES}::test_who_may_decide",
    ),
    Fault(
        "skip the recheck of earlier votes at the vote",
        "approvals/rules.py",
        "lets = rule.lets(vote.voice) and vote.person.able and not vote.involved & case.barred",
        "lets = True",
        f"{RULES}::test_the_quorum_counts_distinct_people_who_may_decide_now",
    ),
    Fault(
        "skip the recheck at the claim",
        "gateway/claiming.py",
        " or await _unsound(held, batch)",
        "",
        f"{CLAIM}::test_an_approval_whose_votes_no_longer_suffice_cannot_be_claimed",
    ),
    Fault(
        "skip the recheck where an identical check takes the approval",
        "approvals/intake.py",
        "if approval_id not in sound:",
        "if approval_id not in sound and False:",
        f"{CLAIM}::test_an_identical_check_opens_a_new_request_instead_of_an_approval_that_is_void",
    ),
    Fault(
        "count the votes of who was deactivated at the claim",
        "approvals/standing.py",
        " AND u.is_active",
        "",
        f"{CLAIM}::test_an_approval_whose_votes_no_longer_suffice_cannot_be_claimed",
    ),
    Fault(
        "forget the team that owns the agent at the claim",
        "approvals/standing.py",
        "WHERE t.team_id = g.owner_team_id",
        "WHERE FALSE",
        f"{CLAIM}::test_an_approval_whose_votes_no_longer_suffice_cannot_be_claimed",
    ),
    Fault(
        "ignore the deny threshold: never deny",
        "approvals/rules.py",
        "if denials >= rule.denials:",
        "if False:",
        f"{RULES}::test_the_quorum_counts_distinct_people_who_may_decide_now",
    ),
    Fault(
        "ignore the deny threshold: the first denial ends it",
        "approvals/rules.py",
        "if denials >= rule.denials:",
        "if denials:",
        f"{RULES}::test_the_quorum_counts_distinct_people_who_may_decide_now",
    ),
    Fault(
        "one approval is always enough",
        "approvals/rules.py",
        "elif approvals >= needed:",
        "elif approvals:",
        f"{RULES}::test_the_quorum_counts_distinct_people_who_may_decide_now",
    ),
    Fault(
        "let an agent's key vote",
        "warden/api/endpoint.py",
        "        raise Failure(401, \"This is an agent's key.",
        "        token = AccessToken.objects.select_related('user', 'organization')[0]\n"
        "        token.membership = Membership.objects.get(user=token.user, organization=token.organization)\n"
        "        return token\n"
        "        raise Failure(401, \"This is an agent's key.",
        "tests/api/test_door.py::test_an_agents_key_never_gets_in",
    ),
    Fault(
        "let the agent's owner decide",
        "approvals/rules.py",
        "return self.owners | self.requesters | self.editors",
        "return self.requesters | self.editors",
        f"{RULES}::test_who_may_decide",
    ),
    Fault(
        "let who made the key, or is asked for, decide",
        "approvals/rules.py",
        "return self.owners | self.requesters | self.editors",
        "return self.owners | self.editors",
        f"{RULES}::test_who_may_decide",
    ),
    Fault(
        "let who edited it decide",
        "approvals/rules.py",
        "return self.owners | self.requesters | self.editors",
        "return self.owners | self.requesters",
        f"{WAYS}::test_who_changed_the_request_cannot_decide_it",
    ),
    Fault(
        "ignore the assurance",
        "approvals/rules.py",
        "    check_assurance(case, assurance)\n",
        "",
        f"{WAYS}::test_slack_and_scripts_are_refused_where_the_rule_wants_more",
    ),
    Fault(
        "take a second factor of yesterday",
        "accounts/stepup.py",
        "<= FRESH_SECONDS for each",
        "<= 1e9 for each",
        f"{STEPUP}::test_a_code_that_is_stale_is_not",
    ),
    Fault(
        "take a recovery code for a second factor",
        "accounts/stepup.py",
        'PROOFS = {"webauthn", "totp"}',
        'PROOFS = {"webauthn", "totp", "recovery_codes"}',
        f"{STEPUP}::test_a_password_or_a_recovery_code_is_no_second_factor",
    ),
    Fault(
        "approve what is critical untyped",
        "approvals/rules.py",
        "    check_confirmation(case, verdict, typed)\n",
        "",
        f"{WAYS}::test_the_page_asks_for_the_name_of_what_is_critical",
    ),
    Fault(
        "decide what was not shown",
        "approvals/rules.py",
        "    if digest != case.digest:",
        "    if False:",
        f"{RULES}::test_only_what_was_shown_can_be_decided",
    ),
    Fault(
        "count votes for what was shown before",
        "approvals/rules.py",
        "if lets and vote.digest == case.digest and",
        "if lets and",
        f"{RULES}::test_the_quorum_counts_distinct_people_who_may_decide_now",
    ),
    Fault(
        "decide while everything stands still",
        "approvals/rules.py",
        "    if case.paused:\n",
        "    if False:\n",
        f"{RULES}::test_who_may_decide",
    ),
    Fault(
        "let a viewer whom the rule names decide",
        "agents/who.py",
        'return self.role is not None and roles.may(self.role, "approvals:decide")',
        "return self.role is not None",
        f"{RULES}::test_who_may_decide",
    ),
    Fault(
        "take no reason where one is due",
        "approvals/rules.py",
        "if case.rule.needs_reason(verdict) and not reason:",
        "if False:",
        f"{RULES}::test_a_reason_where_the_rule_wants_one",
    ),
    Fault(
        "let a delegate decide what their own role does not let them",
        "approvals/rules.py",
        "return next(lent, None) if person.able else None",
        "return next(lent, None)",
        f"{AWAY}::test_it_gives_nobody_more_than_their_own_role_does",
    ),
    Fault(
        "lend a vote that was given already, or of who is in the chain",
        "approvals/rules.py",
        "if self.wide.lets(each) and each.id not in gone)",
        "if self.wide.lets(each))",
        f"{AWAY}::test_it_gives_no_more_than_the_one_who_is_away_could_decide",
    ),
    Fault(
        "lend a vote before and after the absence",
        "approvals/case.py",
        "starts_at__lte=ClockTimestamp(), ends_at__gt=ClockTimestamp(), ended_at=None",
        "ended_at=None",
        f"{AWAY}::test_only_while_they_are_away",
    ),
    Fault(
        "lend a vote after the absence was called off",
        "approvals/case.py",
        ", ended_at=None)",
        ")",
        f"{AWAY}::test_an_absence_that_was_called_off_lends_nothing_and_undoes_nothing",
    ),
    Fault(
        "let escalation count in the easier way",
        "approvals/rule.py",
        "return replace(self, who=self.who | self.added(escalated)) if escalated else self",
        "more = self.added(escalated)\n"
        "        ways = tuple(replace(way, who=way.who | more) for way in self.alternatives)\n"
        "        return replace(self, who=self.who | more, alternatives=ways)",
        f"{WAYS}::test_whom_escalation_adds_counts_in_the_first_way_not_in_the_easier_one",
    ),
    Fault(
        "count a quorum without locking the request",
        "approvals/services.py",
        'approval = Approval.objects.select_for_update(of=("self",)).get(id=approval_id, organization=organization)',
        "approval = Approval.objects.get(id=approval_id, organization=organization)",
        "tests/approvals/test_race.py::test_five_people_at_once_under_a_quorum_of_two",
    ),
    Fault(
        "give up that two people are needed without typing it",
        "accounts/services/organizations.py",
        "if typed.strip() != organization.slug:",
        "if False:",
        "tests/accounts/test_absence.py::test_an_owner_gives_up_that_two_people_are_needed_and_every_page_says_so",
    ),
    Fault(
        "let an agent have any number waiting",
        "approvals/pending.py",
        "        if before >= most[held.agent_id]:",
        "        if False:",
        f"{PENDING}::test_one_more_than_may_wait_is_denied_and_leaves_nothing_behind",
    ),
    Fault(
        "approve what is critical unread",
        "approvals/rules.py",
        "    check_time(case, verdict, shown_at, now)\n",
        "",
        f"{TIME}::test_what_is_critical_is_approved_only_after_its_seconds",
    ),
    Fault(
        "let Slack and scripts approve what has to be read",
        "approvals/rules.py",
        "    if shown_at is None:",
        "    if shown_at is None:\n        return\n    if False:",
        f"{TIME}::test_slack_and_scripts_approve_nothing_that_has_to_be_read_but_may_deny_it",
    ),
    Fault(
        "take since when of another person, request or digest",
        "approvals/shown.py",
        "if about == [str(approval.id), approval.digest, str(user_id)] else None",
        "if about else None",
        f"{TIME}::test_nobodys_word_but_the_servers_counts",
    ),
    Fault(
        "decide what has more than a low risk together with others",
        "approvals/rules.py",
        "    if case.risk != TOGETHER:",
        "    if False:",
        f"{TOGETHER}::test_from_medium_risk_on_it_is_refused_whatever_is_sent",
    ),
    Fault(
        "decide several by the digests of now instead of those listed",
        "approvals/together.py",
        "                digest=digest,",
        "                digest=there[approval_id].digest,",
        f"{TOGETHER}::test_what_changed_meanwhile_is_told_one_by_one_and_the_others_are_decided",
    ),
    Fault(
        "let anybody who decides break the glass",
        "agents/who.py",
        "return self.able and self.breaks_glass",
        "return self.able",
        f"{GLASS}::test_it_takes_the_capability_a_second_factor_a_reason_and_the_name",
    ),
    Fault(
        "break the glass without a second factor",
        "approvals/glass/ladder.py",
        "    if not levels.is_enough(assurance, levels.STEPUP):",
        "    if False:",
        f"{GLASS}::test_it_takes_the_capability_a_second_factor_a_reason_and_the_name",
    ),
    Fault(
        "let who has a part in a request break the glass where one person is enough",
        "approvals/glass/ladder.py",
        "    if person.id in case.chain:",
        "    if person.id in case.barred:",
        f"{GLASS}::test_who_has_a_part_in_it_cannot_even_where_one_person_is_enough",
    ),
    Fault(
        "let break-glass go around the policy",
        "approvals/glass/services.py",
        '    if decision.outcome == "deny":',
        "    if False:",
        f"{GLASS}::test_what_the_policy_denies_stays_denied",
    ),
    Fault(
        "let break-glass go around a budget",
        "approvals/glass/services.py",
        "    if outcome.over:",
        "    if False:",
        f"{GLASS}::test_a_budget_is_taken_anew_or_refuses",
    ),
    Fault(
        "let break-glass change what was denied",
        "approvals/glass/services.py",
        "waited = row.state == states.PENDING and row.expires_at > now",
        "waited = True",
        f"{GLASS}::test_what_was_denied_stays_so_and_another_like_it_is_allowed",
    ),
    Fault(
        "tell owners nothing of a broken glass",
        "approvals/glass/services.py",
        '            announce([(organization.id, row.mode, "glass.broken", broken.glass_id)])\n',
        "",
        f"{GLASS}::test_every_owner_is_owed_the_news_in_the_same_transaction",
    ),
    Fault(
        "let owners sign off what they did themselves",
        "approvals/glass/services.py",
        "        if row.user_id == by.user_id:",
        "        if False:",
        f"{GLASS}::test_an_owner_does_not_sign_off_their_own_unless_alone",
    ),
    Fault(
        "take what was allowed outside its rule after the capability was withdrawn",
        "approvals/glass/ladder.py",
        "return person.may_break_glass and person.id",
        "return person.id",
        "tests/gateway/test_break_glass.py::test_it_is_checked_once_more_at_the_claim",
    ),
    Fault(
        "keep a rule that nobody could satisfy",
        "agents/services/rules.py",
        "    if staff and staff.is_stuck(row):",
        "    if False:",
        "tests/agents/test_outlook.py::test_a_rule_that_nobody_could_satisfy_is_refused",
    ),
    Fault(
        "forget to void votes",
        "approvals/edits.py",
        "void = Review.objects.filter(approval=approval, voided_at=None).update(voided_at=now)",
        "void = 0",
        f"{EDITS}::test_earlier_votes_are_void_and_whoever_gave_them_votes_again",
    ),
    Fault(
        "let an edit ask for more",
        "approvals/editing.py",
        "    if more:\n",
        "    if False:\n",
        f"{EDITS}::test_only_named_fields_change_and_keep_their_kind_and_amounts_go_down",
    ),
    Fault(
        "keep the policy's old word on what is edited",
        "approvals/edits.py",
        '    if decision.outcome == "deny":\n',
        "    if False:\n",
        f"{EDITS}::test_the_policy_of_now_decides_again_and_its_no_is_a_no",
    ),
    Fault(
        "let the agent do what it asked where something else was approved",
        "approvals/intake.py",
        "elif held and _claimable(held, now) and held.digest != request.digest:",
        "elif False:",
        f"{EDITED}::test_an_old_client_that_repeats_its_check_is_not_told_to_go_ahead",
    ),
    Fault(
        "let an edit go around the budget of its tier",
        "approvals/edits.py",
        "approval.reserved_amount, planned.wanted))",
        "approval.reserved_amount, planned.wanted._replace(needs=())))",
        f"{BUDGETS}::test_what_an_approver_changes_counts_on_the_tier_it_comes_to",
    ),
    Fault(
        "allow what is over the budget",
        "agents/spending.py",
        "if not need.fits(used[key])), None)",
        "if False), None)",
        f"{BUDGETS}::test_a_budget_that_is_used_up_denies_and_says_when_it_begins_anew",
    ),
    Fault(
        "give nothing back of what was denied",
        "agents/spending.py",
        "greatest(agents_spending.value - back.value, 0)",
        "agents_spending.value",
        f"{BUDGETS}::test_what_waits_counts_and_what_comes_to_nothing_is_given_back",
    ),
    Fault(
        "spend the use of a grant that a budget refused",
        "gateway/budgeting.py",
        "    if refused:\n",
        "    if False:\n",
        f"{BUDGETS}::test_a_use_of_a_grant_that_a_budget_refuses_is_not_spent",
    ),
    Fault(
        "let a grant cover more than it says of each",
        "approvals/terms.py",
        "wanted.amount > given.each:",
        "False:",
        f"{GRANTS}::test_what_differs_waits_for_a_person",
    ),
    Fault(
        "let somebody grant what their own key asks",
        "approvals/terms.py",
        " or given.by in wanted.requesters:",
        ":",
        f"{GRANTS}::test_nobody_grants_what_their_own_key_asks",
    ),
    Fault(
        "keep a grant of who could not approve it any more",
        "approvals/granting.py",
        "covers(_given(row), wanted) and row.stands",
        "covers(_given(row), wanted)",
        f"{GRANTS}::test_who_gave_it_still_has_to_be_one_whom_its_rule_names",
    ),
    Fault(
        "keep a grant of who owns the agent by now, through a team",
        "approvals/granting.py",
        "or self.owner_team_id in giver.teams",
        "or False",
        f"{GRANTS}::test_nobody_grants_what_their_own_key_asks",
    ),
    Fault(
        "use a grant without end",
        "approvals/granting.py",
        "uses < max_uses AND (total IS NULL OR used + %(amount)s <= total)",
        "TRUE",
        f"{GRANTS}::test_uses_and_sums_come_to_an_end",
    ),
    Fault(
        "keep a grant whose tier changed",
        "approvals/grants.py",
        "if kept is None or kept.snapshot != grant.permission:",
        "if kept is None:",
        f"{GRANTS}::test_what_changes_ends_it_at_once_and_for_good",
    ),
    Fault(
        "let one person release what two must",
        "approvals/stops/services.py",
        "if others := others_than_asked(stop, by):",
        "if others := []:",
        "tests/approvals/test_stops.py::test_who_asks_for_a_release_does_not_confirm_it_while_somebody_else_can",
    ),
    Fault(
        "let a request wait longer than its rule says",
        "gateway/checking.py",
        "min(seconds, body.expires_in or seconds)",
        "body.expires_in or seconds",
        "tests/gateway/test_approvals.py"
        "::test_a_request_waits_as_long_as_its_rule_says_or_as_the_agent_needs_it_but_no_longer",
    ),
    Fault(
        "allow by break-glass what is asked again already",
        "approvals/glass/services.py",
        "same = Q(digest__in=names) | Q(asked__in=names)",
        "same = Q(digest=row.digest)",
        f"{GLASS}::test_what_was_asked_again_is_not_allowed_beside_it",
    ),
    Fault(
        "forget that a place was left",
        "approvals/pending.py",
        "SET taken = p.taken + EXCLUDED.taken",
        "SET taken = p.taken + greatest(EXCLUDED.taken, 1)",
        f"{PENDING}::test_the_counter_says_what_waits_however_requests_end",
    ),
    Fault(
        "let one more wait than may",
        "approvals/pending.py",
        "if before >= most[held.agent_id]:",
        "if before > most[held.agent_id]:",
        f"{PENDING}::test_one_more_than_may_wait_is_denied_and_leaves_nothing_behind",
    ),
    Fault(
        "let what is overdue keep its place",
        "approvals/pending.py",
        "waiting[place] -= (await cursor.fetchone() or [0])[0]",
        "pass",
        f"{PENDING}::test_the_same_check_again_waits_on_and_every_ending_makes_place",
    ),
    Fault(
        "let deadlines pass while everything stands still",
        "approvals/rules.py",
        "None if case.frozen else case.expires_at",
        "case.expires_at",
        f"{RULES}::test_only_a_pending_request_before_its_deadline_can_change",
    ),
    *OF_SETTINGS,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only look whether each can be planted, and has its test")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="faults whose name has this word")
    parser.add_argument("--settings", action="store_true", help="only those that take away what a setting enforces")
    arguments = parser.parse_args()
    among = [fault for fault in FAULTS if fault.setting or not arguments.settings]
    faults = [fault for fault in among if not arguments.only or any(word in fault.name for word in arguments.only)]
    if wrong := [*(why for fault in faults for why in stale(fault)), *unplanted()]:
        print("\n".join(wrong))  # noqa: T201
        return 2
    if arguments.check:
        print(f"{len(faults)} faults can be planted")  # noqa: T201
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="warden-faults-") as directory,
        services(Home(Path(directory) / "home"), durable=False) as servers,  # for all of them, with one database
    ):
        tree = Path(directory) / "warden"
        copy(tree)
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        if not passes(tree, sorted({fault.test for fault in faults}), "--create-db"):
            print("The tests fail without any fault: nothing can be said.")  # noqa: T201
            return 2
        survived = [fault for fault in faults if not caught(tree, fault)]
    print(f"{len(faults)} faults planted, {len(survived)} survived")  # noqa: T201
    return 1 if survived else 0


def stale(fault: Fault) -> list[str]:
    """Why it cannot be planted in the tree as it is, or caught; nothing where it can."""
    said = []
    times = (ROOT / fault.file).read_text().count(fault.old) if (ROOT / fault.file).is_file() else 0
    if times != 1:
        said.append(f"{fault.name}: {fault.file} has what it changes {times} times, not once")
    if fault.old == fault.new:
        said.append(f"{fault.name}: changes nothing")
    if fault.test not in tests_of(fault.test.partition("::")[0]):
        said.append(f"{fault.name}: there is no {fault.test}")
    return said


def unplanted() -> list[str]:
    """The settings that the documents explain and no fault takes away such that a test named there catches it; and the
    faults that are of no setting there.
    """
    named = {setting: tests for page in PAGES for setting, tests in settings_of(page)}
    planted = {setting: {fault.test for fault in FAULTS if fault.setting == setting} for setting in named}
    said = [f"No fault for {each} with one of its tests" for each in named if not planted[each] & named[each]]
    return said + [
        f"{fault.name}: no page knows {fault.setting}" for fault in FAULTS if fault.setting not in {*named, ""}
    ]


def settings_of(page: str) -> list[tuple[str, set[str]]]:
    """`of a tier: max_amount` with the tests that a page names for it; without those that enforce nothing."""
    found = []
    for rows in tables(page):
        kind, *columns = rows[0]
        if PROVED in columns:
            found += [(f"{kind}: {row[kind]}", set(codes(row[PROVED]))) for row in rows if codes(row[PROVED])]
    return found


@functools.cache
def tests_of(file: str) -> frozenset[str]:
    """The tests that a file defines."""
    if not (ROOT / file).is_file():
        return frozenset()
    found = ast.parse((ROOT / file).read_text()).body
    return frozenset(f"{file}::{each.name}" for each in found if isinstance(each, ast.FunctionDef))


def copy(tree: Path) -> None:
    """What Git knows of the tree, as it is on the disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def caught(tree: Path, fault: Fault) -> bool:
    """Plants the fault, runs its test, mends it."""
    file = tree / fault.file
    whole = file.read_text()
    began = time.monotonic()
    file.write_text(whole.replace(fault.old, fault.new))
    try:
        found = not passes(tree, [fault.test], "--reuse-db")
    finally:
        file.write_text(whole)
    word = "caught  " if found else "SURVIVED"
    print(f"{word} {fault.name}: {fault.test} ({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201
    return found


def passes(tree: Path, tests: list[str], database: str) -> bool:
    """Whether these tests pass there, with a new `database` or the one there is.

    Raises where pytest could not run them, which proves nothing.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", database, *tests],
        cwd=tree,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(tests)}: pytest could not run them\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
