"""For each setting a fault that takes away what it enforces, as if the field were there and nobody asked for it."""

from fault import Fault

from agents.policy.budgets import NAMES

LOAD = "agents/load.py"
DOOR = "tests/gateway/test_settings.py"
TIER = f"{DOOR}::test_what_is_typed_for_a_tier_holds_for_the_next_check"
ORGANIZATION = f"{DOOR}::test_what_is_typed_for_the_organization_holds_for_the_next_check"
GRANTS = "tests/gateway/test_grants.py"
BUDGETS = "tests/gateway/test_budgets.py"
RULES = "tests/approvals/test_rules.py"
WAYS = "tests/approvals/test_ways.py"
PLAYED = "tests/docs/test_rules.py::test_an_example_decides_as_it_says"
AWAY = "tests/approvals/test_delegation.py"
STOPS = "tests/gateway/test_stops.py"
CHECK = "tests/gateway/test_check.py"
DATA = "tests/gateway/test_data_api.py"


def ignored(setting: str, file: str, old: str, new: str, test: str) -> Fault:
    """`of a tier: currency` is kept, shown and without effect."""
    return Fault(f"ignore {setting}", file, old, new, test, setting)


OF_RULES = [
    ignored(
        "setting: name",
        "agents/services/rules.py",
        '    row.validate_constraints(exclude={"is_default"})\n    _check_possible(row)\n    if default',
        "    _check_possible(row)\n    if default",
        "tests/agents/test_rules_services.py::test_a_rule_under_which_nobody_could_decide_is_refused",
    ),
    ignored(
        "setting: is_default",
        LOAD,
        "if rule.is_default), None)",
        "if not rule.is_default), None)",
        "tests/gateway/test_approvals.py::test_a_tier_that_names_no_rule_asks_by_the_default",
    ),
    ignored(
        "setting: roles",
        "agents/who.py",
        "named = person.role in self.roles or",
        "named = bool(self.roles) or",
        f"{RULES}::test_who_may_decide",
    ),
    ignored(
        "setting: teams",
        "agents/who.py",
        "bool(person.teams & self.teams)",
        "bool(self.teams)",
        f"{WAYS}::test_the_vote_counts_by_the_teams_of_this_moment",
    ),
    ignored(
        "setting: people",
        "agents/who.py",
        "person.id in self.people or",
        "bool(self.people) or",
        "tests/approvals/test_inbox.py::test_what_is_for_me_is_what_the_rules_let_me_decide",
    ),
    ignored(
        "setting: approvals",
        "approvals/rule.py",
        '            approvals=max(1, int(snapshot["approvals"])),\n            alternatives',
        "            approvals=1,\n            alternatives",
        PLAYED,
    ),
    ignored(
        "setting: alternatives",
        "approvals/rule.py",
        'alternatives=tuple(Way.read(way) for way in snapshot.get("alternatives", ())),',
        "alternatives=(),",
        PLAYED,
    ),
    ignored(
        "setting: denials",
        "approvals/rule.py",
        'denials=max(1, int(snapshot["denials"])),',
        "denials=1,",
        PLAYED,
    ),
    ignored(
        "setting: reason_to_approve",
        "approvals/rule.py",
        "return self.reason_to_approve if",
        "return False if",
        f"{RULES}::test_a_reason_where_the_rule_wants_one",
    ),
    ignored(
        "setting: reason_to_deny",
        "approvals/rule.py",
        'if verdict == "approve" else self.reason_to_deny',
        'if verdict == "approve" else False',
        f"{RULES}::test_a_reason_where_the_rule_wants_one",
    ),
    ignored(
        "setting: minutes",
        "gateway/checking.py",
        "min(seconds, body.expires_in or seconds)",
        "min(3_600, body.expires_in or 3_600)",
        "tests/gateway/test_approvals.py"
        "::test_a_request_waits_as_long_as_its_rule_says_or_as_the_agent_needs_it_but_no_longer",
    ),
    ignored(
        "setting: escalation",
        "approvals/rule.py",
        "return sum(step.after <= waited for step in self.steps)",
        "return 0",
        "tests/approvals/test_escalation.py::test_a_due_step_is_taken_once_told_and_recorded",
    ),
    ignored(
        "setting: assurance",
        "approvals/rule.py",
        'assurance=_level(snapshot.get("assurance", assurance.SLACK)),',
        "assurance=assurance.SLACK,",
        f"{WAYS}::test_slack_and_scripts_are_refused_where_the_rule_wants_more",
    ),
    ignored(
        "setting: edits_allowed",
        "approvals/rule.py",
        'snapshot.get("edit_fields", ()) if snapshot.get("edits_allowed") is True else ()',
        'snapshot.get("edit_fields", ())',
        "tests/approvals/test_edits.py::test_a_rule_that_names_fields_and_lets_nobody_change_them_lets_nobody",
    ),
    ignored(
        "setting: edit_fields",
        "approvals/editing.py",
        "if name in rule.editable - NEVER and",
        "if name not in NEVER and",
        "tests/approvals/test_edits.py::test_only_named_fields_change_and_keep_their_kind_and_amounts_go_down",
    ),
    ignored(
        "setting: grants_allowed",
        "approvals/terms.py",
        "    if not rule.grants_allowed:\n",
        "    if False:\n",
        f"{GRANTS}::test_what_is_critical_has_no_grant_nor_what_its_rule_does_not_let",
    ),
    ignored(
        "setting: confirm_critical",
        "approvals/rule.py",
        'return self.confirm_critical and risk == "critical"',
        "return False",
        f"{WAYS}::test_the_page_asks_for_the_name_of_what_is_critical",
    ),
    ignored(
        "setting: critical_seconds",
        "approvals/rule.py",
        'return self.critical_seconds if risk == "critical" else 0',
        "return 0",
        "tests/approvals/test_time.py::test_what_is_critical_is_approved_only_after_its_seconds",
    ),
]

OF_TIERS = [
    ignored("of a tier: action", LOAD, "action=row.action,", 'action=row.action.partition(".")[0] + ".*",', TIER),
    ignored("of a tier: effect", LOAD, "effect=row.effect,", 'effect=row.effect.replace("deny", "allow"),', TIER),
    ignored("of a tier: max_amount", LOAD, "max_amount=row.max_amount,", "max_amount=None,", TIER),
    ignored("of a tier: currency", LOAD, "currency=row.currency or None,", "currency=None,", TIER),
    ignored("of a tier: environment", LOAD, "environment=row.environment or None,", "environment=None,", TIER),
    ignored("of a tier: condition", LOAD, "condition=row.condition,", 'condition="",', TIER),
    ignored(
        "of a tier: callee",
        LOAD,
        "callee=row.callee or None,",
        "callee=None,",
        f"{DATA}::test_a_permission_for_one_callee_is_none_for_another",
    ),
    ignored(
        "of a tier: risk",
        LOAD,
        "risk=row.risk,",
        'risk="low",',
        "tests/gateway/test_late.py::test_high_risk_is_denied_while_the_record_is_late",
    ),
    ignored(
        "of a tier: approval_rule",
        LOAD,
        "approval_rule=str(row.approval_rule_id) if row.approval_rule_id else None,",
        "approval_rule=None,",
        f"{DOOR}::test_a_tier_that_asks_asks_by_the_rule_and_with_the_risk_that_were_chosen",
    ),
    ignored(
        "of a tier: expires_at",
        LOAD,
        "        expires_at=row.expires_at,",
        "        expires_at=None,",
        f"{DOOR}::test_a_tier_ends_at_the_time_that_was_typed",
    ),
    ignored(
        "of a tier: limits",
        LOAD,
        "limits=limits_of(row.limits, row.currency),",
        "limits=(),",
        f"{BUDGETS}::test_each_limit_holds_by_itself",
    ),
]

OF_AGENTS = [
    ignored(
        "of an agent: owner_email",
        "approvals/case.py",
        "frozenset({agent.owner_user_id})",
        "frozenset()",
        "tests/approvals/test_review.py"
        "::test_an_owner_cannot_approve_what_her_own_agent_asked_even_if_she_became_its_owner_later",
    ),
    ignored(
        "of an agent: owner_team",
        "approvals/case.py",
        "frozenset(people.get(agent.owner_team_id, ()))",
        "frozenset()",
        "tests/approvals/test_review.py::test_nobody_of_the_team_that_owns_the_agent_decides",
    ),
    ignored(
        "of an agent: spiffe_id",
        "agents/spiffe/identities.py",
        "filter(spiffe_id__in=set(wanted.values()), deleted_at=None)",
        "filter(spiffe_id=None, deleted_at=None)",
        "tests/spiffe/test_listener.py::test_an_agent_with_its_svid_needs_no_key",
    ),
    ignored(
        "of an agent: max_pending",
        LOAD,
        "tuple(people), row.max_pending,",
        "tuple(people), 100_000,",
        "tests/gateway/test_pending.py::test_one_more_than_may_wait_is_denied_and_leaves_nothing_behind",
    ),
    ignored(
        "of an agent: limits",
        LOAD,
        "limits=limits_of(row.limits, row.limit_currency),",
        "limits=(),",
        f"{BUDGETS}::test_a_budget_of_the_agent_counts_all_its_tiers_in_one_currency",
    ),
    ignored(
        "of an agent: limit_currency",
        "agents/policy/decide.py",
        "if agents and self.amount is not None and (type(currency)",
        "if False and (type(currency)",
        f"{BUDGETS}::test_a_budget_of_the_agent_counts_all_its_tiers_in_one_currency",
    ),
    ignored(
        "of an agent: status",
        LOAD,
        "status=row.status,",
        'status="active",',
        f"{CHECK}::test_a_ban_a_revocation_and_a_stop_hold_from_their_commit_on",
    ),
]

OF_BUDGETS = [
    ignored(
        f"of a budget: {name}",
        "agents/policy/budgets.py",
        "    for name in NAMES:\n",
        f'    for name in (each for each in NAMES if each != "{name}"):\n',
        f"{BUDGETS}::test_each_limit_holds_by_itself",
    )
    for name in NAMES
]

OF_GRANTS = [
    ignored(
        "of a grant: minutes",
        "approvals/terms.py",
        "timedelta(minutes=terms.minutes)",
        "timedelta(days=7)",
        f"{GRANTS}::test_time_and_the_end_of_who_gave_it_end_it",
    ),
    ignored(
        "of a grant: uses",
        "approvals/grants.py",
        "max_uses=wanted.uses,",
        "max_uses=terms.MOST,",
        f"{GRANTS}::test_uses_and_sums_come_to_an_end",
    ),
    ignored(
        "of a grant: each",
        "approvals/terms.py",
        "wanted.amount > given.each:",
        "False:",
        f"{GRANTS}::test_what_differs_waits_for_a_person",
    ),
    ignored(
        "of a grant: total",
        "approvals/grants.py",
        "total=wanted.total,",
        "total=wanted.total and wanted.total * 1_000,",
        f"{GRANTS}::test_uses_and_sums_come_to_an_end",
    ),
    ignored(
        "of a grant: same",
        "approvals/terms.py",
        "return all(name in wanted.context and",
        "return kept is not None or all(name in wanted.context and",
        f"{GRANTS}::test_what_differs_waits_for_a_person",
    ),
]

OF_ORGANIZATIONS = [
    ignored(
        "of the organization: environments",
        LOAD,
        "environments=frozenset(organization.environments),",
        'environments=frozenset([*organization.environments, "staging"]),',
        ORGANIZATION,
    ),
    ignored(
        "of the organization: cooldown_seconds",
        LOAD,
        "        organization.cooldown_seconds,",
        "        600,",
        ORGANIZATION,
    ),
    ignored(
        "of the organization: claim_seconds",
        "approvals/services.py",
        "timedelta(seconds=organization.claim_seconds)",
        "timedelta(hours=1)",
        ORGANIZATION,
    ),
    ignored(
        "of the organization: authz_paths",
        LOAD,
        "frozenset(organization.authz_paths),",
        'frozenset(["httpapi/authz"]),',
        f"{DATA}::test_paths_are_those_that_the_organization_names",
    ),
    ignored(
        "of the organization: policy_by_two",
        "agents/services/two.py",
        "    if organization.policy_by_two and",
        "    if False and",
        "tests/agents/test_policy_proposals.py::test_nobody_alone_lets_more_pass",
    ),
    ignored(
        "of the organization: deny_when_late",
        LOAD,
        "        organization.deny_when_late,",
        "        False,",
        ORGANIZATION,
    ),
    ignored(
        "of the organization: retention_months",
        "warden/retaining.py",
        "None if held else kept for",
        "None if held else 6 for",
        "tests/warden/test_retaining.py::test_each_organization_keeps_its_own_for_as_long_as_it_says",
    ),
    ignored(
        "of the organization: legal_hold",
        "warden/retaining.py",
        "None if held else kept for",
        "kept for",
        "tests/audit/test_retention.py::test_under_a_legal_hold_nothing_goes",
    ),
    ignored(
        "of the organization: single_operator",
        "approvals/standing.py",
        "    o.single_operator_since IS NOT NULL,",
        "    TRUE,",
        "tests/gateway/test_standing.py::test_ending_the_single_operator_s_exception_voids_what_it_approved",
    ),
]

OF_ABSENCES = [
    ignored(
        "of an absence: starts_at",
        "approvals/case.py",
        "starts_at__lte=ClockTimestamp(), ends_at__gt",
        "ends_at__gt",
        f"{AWAY}::test_only_while_they_are_away",
    ),
    ignored(
        "of an absence: ends_at",
        "approvals/case.py",
        "ends_at__gt=ClockTimestamp(), ended_at",
        "ended_at",
        f"{AWAY}::test_only_while_they_are_away",
    ),
    ignored(
        "of an absence: delegates",
        "approvals/case.py",
        "        lenders.setdefault(delegate, []).append(lender)\n",
        "        for each in Delegation.objects.filter(ended_at=None).values_list('delegator__user', flat=True):\n"
        "            lenders.setdefault(delegate, []).append(each)\n",
        f"{AWAY}::test_what_is_lent_is_not_lent_on",
    ),
]

OF_STOPS = [
    ignored(
        "of a stop: agent",
        "agents/models/stop.py",
        'policy.Stop(str(self.agent_id) if self.agent_id else "", self.pattern)',
        'policy.Stop("", self.pattern)',
        f"{STOPS}::test_a_stop_of_one_agent_holds_all_it_does_and_no_other",
    ),
    ignored(
        "of a stop: pattern",
        "agents/policy/stops.py",
        "return not self.pattern or any(covers(self.pattern, name) for name in names)",
        "return True",
        f"{STOPS}::test_checks_and_claims_of_what_is_stopped_are_denied_and_others_go_on",
    ),
    ignored(
        "of a stop: reason",
        "approvals/stops/services.py",
        "    if not reason:\n",
        "    if False:\n",
        "tests/approvals/test_stops.py::test_a_stop_needs_a_reason_and_a_pattern_that_is_one",
    ),
]

OF_KEYS = [
    ignored(
        "of a key: mode",
        LOAD,
        "            row.mode,",
        '            "live",',
        f"{CHECK}::test_test_mode_and_live_are_two_worlds",
    ),
    ignored(
        "of a key: agent_id",
        LOAD,
        "            row.agent_id,",
        "            None,",
        f"{CHECK}::test_an_unknown_agent_is_not_found_and_a_bound_key_speaks_for_its_own_alone",
    ),
    ignored(
        "of a key: environment",
        LOAD,
        "            row.environment,",
        '            "",',
        "tests/gateway/test_approvals.py::test_a_key_of_another_environment_cannot_claim",
    ),
    ignored(
        "of a key: scopes",
        LOAD,
        "frozenset(row.scopes),",
        'frozenset(["sdk", "authz:query"]),',
        f"{DATA}::test_a_key_without_the_scope_asks_nothing",
    ),
    ignored(
        "of a key: rate_limit",
        LOAD,
        "            row.rate_limit,",
        "            None,",
        f"{CHECK}::test_every_authenticated_answer_says_what_is_left",
    ),
    ignored(
        "of a key: expires_at",
        LOAD,
        "            row.expires_at,",
        "            None,",
        f"{CHECK}::test_an_expired_key_opens_nothing",
    ),
]

OF_SETTINGS = [
    *OF_RULES,
    *OF_TIERS,
    *OF_AGENTS,
    *OF_BUDGETS,
    *OF_GRANTS,
    *OF_ORGANIZATIONS,
    *OF_ABSENCES,
    *OF_STOPS,
    *OF_KEYS,
]
