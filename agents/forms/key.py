"""Forms about keys."""

from datetime import timedelta
from typing import Any

from django import forms

from accounts.models import Organization
from agents.models import Agent
from agents.models.key import SCOPES, default_scopes
from agents.services.keys import MAX_OVERLAP_HOURS
from audit.clock import database_now

LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("180", "180 days"), ("365", "a year"), ("0", "never")]
MODES = [
    ("test", "Test (test_…): the same answers on data of its own"),
    ("live", "Live (ak_…): the real thing"),
]


class KeyForm(forms.Form):
    """A new key. The agent is one, or all of them."""

    name = forms.CharField(max_length=80, help_text="Where it is used, such as “support worker, production”.")
    mode = forms.ChoiceField(choices=MODES, widget=forms.RadioSelect, initial="test")
    agent = forms.ModelChoiceField(
        queryset=Agent.objects.none(),
        required=False,
        empty_label="Every agent of the organization",
        help_text="Whom the key speaks for.",
    )
    environment = forms.ChoiceField(required=False, help_text="What the key proves, for tiers of one environment.")
    days = forms.ChoiceField(
        label="Expires after", choices=LIFETIMES, initial="90", help_text="It can be rolled before."
    )
    scopes = forms.MultipleChoiceField(
        choices=list(SCOPES.items()), widget=forms.CheckboxSelectMultiple, initial=default_scopes
    )
    rate_limit = forms.IntegerField(
        label="Requests a minute",
        required=False,
        min_value=1,
        max_value=100_000_000,
        help_text="Empty: as the installation sets it.",
    )

    def __init__(self, *args: Any, organization: Organization, agent: Agent | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["agent"].queryset = organization.agents.filter(deleted_at=None)
        fields["agent"].initial = agent
        fields["agent"].label_from_instance = lambda each: f"{each.name} ({each.slug})"
        fields["environment"].choices = [("", "None"), *((each, each) for each in organization.environments)]

    def values(self) -> dict[str, Any]:
        """What keys.create_key takes."""
        data = dict(self.cleaned_data)
        days = int(data.pop("days"))
        data["expires_at"] = database_now() + timedelta(days=days) if days else None
        return data


class RollForm(forms.Form):
    overlap_hours = forms.IntegerField(
        label="The old key goes on working for (hours)",
        min_value=0,
        max_value=MAX_OVERLAP_HOURS,
        initial=24,
        help_text=f"Long enough to put the new one everywhere; 0 ends it now, {MAX_OVERLAP_HOURS} is a week.",
    )
