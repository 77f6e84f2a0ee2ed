"""The form of an approval rule, written as a sentence."""

from typing import Any

from django import forms

from accounts import roles
from accounts.models import Organization
from agents.models import ApprovalRule
from agents.models.rule import default_roles
from agents.services.facts import token

DECIDERS = [(role, name) for role, name in roles.ROLES.items() if roles.may(role, "approvals:decide")]


class RuleForm(forms.ModelForm):
    token = forms.CharField(required=False, widget=forms.HiddenInput)
    roles = forms.MultipleChoiceField(
        label="Who decides",
        initial=default_roles,
        choices=DECIDERS,
        widget=forms.CheckboxSelectMultiple,
        help_text="Anyone with these roles.",
    )

    class Meta:
        model = ApprovalRule
        fields = [
            "name",
            "roles",
            "approvals",
            "denials",
            "reason_to_approve",
            "reason_to_deny",
            "minutes",
            "is_default",
        ]
        labels = {
            "approvals": "Approvals needed",
            "denials": "Denials that end it",
            "reason_to_approve": "A reason is required to approve",
            "reason_to_deny": "A reason is required to deny",
            "minutes": "Expires after (minutes)",
            "is_default": "The default, for tiers that name no rule",
        }
        help_texts = {"approvals": "", "denials": "", "minutes": ""}

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.organization = organization
        if not self.instance._state.adding:
            self.initial["token"] = token(self.instance)
            if self.instance.is_default:
                del self.fields["is_default"]  # there is always one: another rule takes its place

    def validate_constraints(self) -> None:
        """Left to the services: a new default is not a second one, it takes the place of the first."""

    def values(self) -> dict[str, Any]:
        """What the services take."""
        return {name: value for name, value in self.cleaned_data.items() if name != "token"}
