"""The form of an alert rule. Services check what is typed; the form keeps it and says what was wrong."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import QueryDict

from notifications.alerts import measures
from notifications.alerts.rules import FIELDS, is_muted
from notifications.models import AlertRule, Channel

MUTES = {
    "": "Not muted",
    "60": "Muted for an hour",
    "480": "Muted for 8 hours",
    "1440": "Muted for a day",
    "10080": "Muted for a week",
}
KEEP = "keep"


class AlertRuleForm(forms.Form):
    """Reads as a sentence: when the measure is above the threshold over the window, tell the channels."""

    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    measure = forms.ChoiceField(label="Fires when", initial="backlog")
    threshold = forms.FloatField(label="is above", min_value=0, help_text="A share as a number: 0.3 is 30 %.")
    window_minutes = forms.IntegerField(
        label="over the last (minutes)",
        min_value=1,
        max_value=1_440,
        initial=15,
        help_text="What waits is measured as it is now.",
    )
    severity = forms.ChoiceField(choices=AlertRule.Severity.choices, initial="warning")
    mute = forms.ChoiceField(
        label="Mute", required=False, help_text="A muted alert is shown and recorded; nobody is told."
    )
    is_active = forms.BooleanField(label="Active", required=False, initial=True)

    def __init__(
        self, data: QueryDict | None, *, channels: list[Channel], now: datetime, rule: AlertRule | None = None
    ) -> None:
        initial = {name: getattr(rule, name) for name in FIELDS} if rule else {}
        if rule:
            initial["channels"] = [str(pk) for pk in rule.channels.values_list("pk", flat=True)]
        super().__init__(data, initial=initial)
        self.now = now
        self.fields["measure"].choices = [(each.name, each.label) for each in measures.known()]  # type: ignore[attr-defined]
        mutes = list(MUTES.items())
        if rule and rule.muted_until and is_muted(rule, now):
            mutes.insert(0, (KEEP, f"Muted until {rule.muted_until:%Y-%m-%d %H:%M} UTC"))
            self.initial["mute"] = KEEP
        self.fields["mute"].choices = mutes  # type: ignore[attr-defined]
        if channels:
            self.fields["channels"] = forms.MultipleChoiceField(
                label="Tell these channels",
                choices=[(str(channel.pk), channel.name) for channel in channels],
                required=False,
                widget=forms.CheckboxSelectMultiple,
                help_text="None ticked: the owners and admins, by mail.",
            )

    def values(self) -> dict[str, Any]:
        """What the services take."""
        values = dict(self.cleaned_data)
        mute = values.pop("mute")
        if mute != KEEP:
            values["muted_until"] = self.now + timedelta(minutes=int(mute)) if mute else None
        return values
