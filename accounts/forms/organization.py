"""Forms about organizations and teams. Durations are typed as a number and a unit."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Membership, Organization, Team
from accounts.models.organization import path_form, slug_form

UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days"}


def split_seconds(seconds: int) -> tuple[int, int]:
    """A number and its unit in seconds, the largest that says it exactly: 600 → (10, 60)."""
    unit = max((unit for unit in UNITS if seconds % unit == 0), default=1) if seconds else 60
    return seconds // unit, unit


class OrganizationForm(forms.Form):
    """What `organizations.change` changes."""

    name = forms.CharField(max_length=120)
    environments = forms.CharField(
        max_length=1_000,
        help_text="Labels, with commas between them. A check that names another is denied.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    cooldown = forms.IntegerField(
        label="Cool-down",
        min_value=0,
        max_value=86_400,
        help_text="How long a denial or an expiry also answers the identical check. At most a day; 0 for not at all.",
    )
    cooldown_unit = forms.TypedChoiceField(label="Cool-down in", choices=list(UNITS.items()), coerce=int)
    claim = forms.IntegerField(
        label="Time to claim",
        min_value=1,
        max_value=604_800,
        help_text="How long an agent may wait before it acts on an approval. From 30 seconds to 7 days.",
    )
    claim_unit = forms.TypedChoiceField(label="Time to claim in", choices=list(UNITS.items()), coerce=int)

    authz_paths = forms.CharField(
        label="Policy paths",
        required=False,
        max_length=4_000,
        help_text="For OPA clients: what is answered under /v1/data besides agentweave/authz, such as httpapi/authz;"
        " with commas between several.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    policy_by_two = forms.BooleanField(
        label="Two people for the policy",
        required=False,
        help_text="One proposes a change of agents, tiers and rules, another accepts it. Only owners change this.",
    )

    deny_when_late = forms.BooleanField(
        label="Deny high risk while the record is late",
        required=False,
        help_text="Where the record was not put in order for 60 seconds, what is of high or critical risk is denied.",
    )

    retention_months = forms.IntegerField(
        label="Keep the record and requests for (months)",
        min_value=6,
        max_value=1_200,
        help_text="What is older is deleted month by month; proofs of what is younger hold. Only owners change this.",
    )
    legal_hold = forms.BooleanField(
        label="Legal hold",
        required=False,
        help_text="While it is set, none of them is deleted, however old. Only owners change this.",
    )

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        cooldown, cooldown_unit = split_seconds(organization.cooldown_seconds)
        claim, claim_unit = split_seconds(organization.claim_seconds)
        initial = {
            "name": organization.name,
            "environments": ", ".join(organization.environments),
            "cooldown": cooldown,
            "cooldown_unit": cooldown_unit,
            "claim": claim,
            "claim_unit": claim_unit,
            "authz_paths": ", ".join(organization.authz_paths),
            "policy_by_two": organization.policy_by_two,
            "deny_when_late": organization.deny_when_late,
            "retention_months": organization.retention_months,
            "legal_hold": organization.legal_hold,
        }
        super().__init__(*args, **kwargs | {"initial": initial})

    def clean_environments(self) -> list[str]:
        labels = [label.strip() for label in self.cleaned_data["environments"].split(",") if label.strip()]
        for label in labels:
            if len(label) > 32:
                raise ValidationError(f"“{label}” is too long. Labels have at most 32 characters.")
            try:
                slug_form(label)
            except ValidationError as error:
                raise ValidationError(f"“{label}” will not do. {error.message}") from error
        if not labels or len(labels) != len(set(labels)):
            raise ValidationError("Name at least one environment, and each once.")
        return labels

    def clean_authz_paths(self) -> list[str]:
        paths = [path.strip().strip("/") for path in self.cleaned_data["authz_paths"].split(",") if path.strip()]
        for path in paths:
            try:
                path_form(path)
            except ValidationError as error:
                raise ValidationError(f"“{path}” will not do. {error.message}") from error
        return list(dict.fromkeys(paths))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if {"cooldown", "cooldown_unit"} <= data.keys() and data["cooldown"] * data["cooldown_unit"] > 86_400:
            self.add_error("cooldown", "At most one day.")
        if {"claim", "claim_unit"} <= data.keys() and not 30 <= data["claim"] * data["claim_unit"] <= 604_800:
            self.add_error("claim", "From 30 seconds to 7 days.")
        return data

    def changes(self) -> dict[str, Any]:
        """What `organizations.change` is to be called with."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "environments": data["environments"],
            "cooldown_seconds": data["cooldown"] * data["cooldown_unit"],
            "claim_seconds": data["claim"] * data["claim_unit"],
            "authz_paths": data["authz_paths"],
            "policy_by_two": data["policy_by_two"],
            "deny_when_late": data["deny_when_late"],
            "retention_months": data["retention_months"],
            "legal_hold": data["legal_hold"],
        }


class NewOrganizationForm(forms.Form):
    name = forms.CharField(max_length=120, help_text="You will be its owner. Nothing is shared with this one.")


class SingleForm(forms.Form):
    typed = forms.CharField(label="", max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, slug: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["typed"].label = f"Type {slug} to confirm"


class TeamForm(forms.Form):
    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class _Members(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Membership) -> str:
        name = f" ({obj.user.name})" if obj.user.name else ""
        return f"{obj.user.email}{name}, {obj.get_role_display().lower()}"


class TeamMembersForm(forms.Form):
    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"initial": {"members": team.members.all()}})
        self.fields["members"] = _Members(
            team.organization.memberships.select_related("user"),
            required=False,
            widget=forms.CheckboxSelectMultiple,
        )
