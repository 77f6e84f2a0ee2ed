"""The form of an approval rule, written as a sentence."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts import roles
from accounts.models import Organization
from agents.models import ApprovalRule
from agents.models.rule import default_roles
from agents.services import deciders, escalation
from agents.services.facts import token

CHOICE = ("roles", "teams", "people")
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
        self._add_steps(organization)
        if not self.instance._state.adding:
            self.initial["token"] = token(self.instance)
            if self.instance.is_default:
                del self.fields["is_default"]  # there is always one: another rule takes its place

    def _add_steps(self, organization: Organization) -> None:
        """A pair of fields for each step there is, and for one more."""
        steps = escalation.named(self.instance.escalation)
        teams = organization.teams.values_list("slug", "name")
        members = organization.memberships.filter(role__in=deciders.DECIDERS, user__is_active=True)
        people = members.values_list("user__email", flat=True)
        choices = [
            ("Roles", [(f"roles:{role}", f"{name}s") for role, name in DECIDERS]),
            ("Teams", [(f"teams:{slug}", name) for slug, name in teams]),
            ("People", [(f"people:{email}", email) for email in people]),
        ]
        self.steps = []
        for number, step in enumerate([*steps, {}][: escalation.STEPS], start=1):
            chosen = [f"{kind}:{name}" for kind in CHOICE for name in step.get(kind, ())]
            known = {value for _, group in choices for value, _ in group}
            gone = [("Gone since", [(value, value.partition(":")[2]) for value in chosen if value not in known])]
            after, who = f"after_{number}", f"who_{number}"
            self.fields[after] = forms.IntegerField(
                label=f"Step {number}: after (minutes)",
                min_value=1,
                required=False,
                initial=step.get("after_minutes"),
            )
            self.fields[who] = forms.MultipleChoiceField(
                label="also ask",
                choices=choices + (gone if gone[0][1] else []),
                required=False,
                initial=chosen,
                widget=forms.SelectMultiple(attrs={"size": 6}),
            )
            self.steps.append((self[after], self[who]))

    def clean(self) -> dict[str, Any]:
        """Reads the steps. One without a time and without people is none."""
        values: dict[str, Any] = super().clean() or {}
        steps = []
        for after, who in self.steps:
            minutes, chosen = values.pop(after.name, None), values.pop(who.name, [])
            if minutes is None and chosen:
                self.add_error(after.name, "After how many minutes?")
            elif minutes is not None:
                step: dict[str, Any] = {"after_minutes": minutes} | {kind: [] for kind in CHOICE}
                for kind, _, name in (value.partition(":") for value in chosen):
                    step[kind].append(name)
                steps.append((after.name, step))
        try:
            self.instance.escalation = escalation.resolve(self.instance.organization, [step for _, step in steps])
        except ValidationError as error:
            self.add_error(steps[-1][0], error.message_dict["escalation"])
        return values

    def validate_constraints(self) -> None:
        """Left to the services: a new default is not a second one, it takes the place of the first."""

    def values(self) -> dict[str, Any]:
        """What the services take."""
        fields = {name: value for name, value in self.cleaned_data.items() if name != "token"}
        return fields | {"escalation": self.instance.escalation}
