"""The form for a token that makes AAP instances."""

from datetime import timedelta
from typing import Any

from django import forms

from accounts.models import Organization
from agents.forms.key import LIFETIMES, MODES
from audit.clock import database_now


class ProvisionerForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="Who holds it, such as “agent platform, production”.")
    mode = forms.ChoiceField(choices=MODES, widget=forms.RadioSelect, initial="test")
    environment = forms.ChoiceField(required=False, help_text="What its instances prove, for tiers of one environment.")
    days = forms.ChoiceField(label="Expires after", choices=LIFETIMES, initial="90", help_text="Its instances stay.")

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["environment"].choices = [("", "None"), *((each, each) for each in organization.environments)]

    def values(self) -> dict[str, Any]:
        """What provisioners.create_provisioner takes."""
        data = dict(self.cleaned_data)
        days = int(data.pop("days"))
        data["expires_at"] = database_now() + timedelta(days=days) if days else None
        return data
