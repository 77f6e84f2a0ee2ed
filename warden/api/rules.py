"""/api/approval-rules: who may decide, and how many must."""

from typing import Any

from msgspec import structs

from agents.models import ApprovalRule
from agents.outlook import Staff
from agents.services import rules as services
from warden.api import finding
from warden.api.answers import approvals as answers
from warden.api.bodies import ChangeRule, NewRule
from warden.api.endpoint import Call, endpoint


def _given(body: ChangeRule) -> dict[str, Any]:
    fields = finding.given(body)
    if isinstance(body.escalation, list):
        fields["escalation"] = [structs.asdict(step) for step in body.escalation]
    if isinstance(body.alternatives, list):
        fields["alternatives"] = [structs.asdict(way) for way in body.alternatives]
    return fields


@endpoint("GET", "approval-rules", "agents:read")
def list_rules(call: Call) -> list[answers.Rule]:
    """List approval rules, the default first."""
    staff = Staff(call.organization)
    return [answers.rule(row, staff) for row in ApprovalRule.objects.filter(organization=call.organization)]


@endpoint("POST", "approval-rules", "agents:write", 201)
def create_rule(call: Call, body: NewRule) -> answers.Rule:
    """Create an approval rule."""
    row = services.create_rule(organization=call.organization, by=call.membership, **_given(body))
    return answers.rule(ApprovalRule.objects.get(pk=row.pk), Staff(call.organization))


@endpoint("PUT", "approval-rules/{rule_id}", "agents:write")
def change_rule(call: Call, rule_id: str, body: ChangeRule) -> answers.Rule:
    """Change an approval rule, for requests to come: one that waits keeps the rule it was made under."""
    row = finding.rule(call, rule_id)
    changed = services.change_rule(rule=row, by=call.membership, **_given(body))
    return answers.rule(changed, Staff(call.organization))


@endpoint("DELETE", "approval-rules/{rule_id}", "agents:write", 204)
def delete_rule(call: Call, rule_id: str) -> None:
    """Delete an approval rule that no permission uses."""
    services.delete_rule(rule=finding.rule(call, rule_id), by=call.membership)
