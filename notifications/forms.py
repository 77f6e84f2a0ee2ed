"""Forms about channels and preferences. Services check what is typed; forms keep it and say what was wrong."""

from typing import Any
from zoneinfo import available_timezones

from django import forms

from accounts.models import Organization, Team
from agents.models import Agent
from notifications import registry
from notifications.models import TRANSPORTS, Channel, Preference
from notifications.services.channels import FILTERS, RISKS

ADDRESSES = {
    "email": ("Address", "Who is mailed, such as ops@example.com. One address; a list server spreads it further."),
    "slack": ("Slack channel", "Its ID, such as C0123456789: at the foot of the channel's details in Slack."),
    "webhook": ("URL", "An HTTPS address on the public internet. Every message is signed."),
}


class ChannelForm(forms.Form):
    """A name, an address, and filters: nothing ticked in one lets everything through."""

    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    address = forms.CharField(
        max_length=2_048, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )

    def __init__(
        self, *args: Any, organization: Organization, transport: str, channel: Channel | None = None, **kwargs: Any
    ) -> None:
        initial = {name: getattr(channel, name) for name in ("name", "address", *FILTERS)} if channel else {}
        super().__init__(*args, **kwargs | {"initial": initial | kwargs.get("initial", {})})
        self.fields["address"].label, self.fields["address"].help_text = ADDRESSES[transport]
        agents = Agent.objects.filter(organization=organization, deleted_at=None).order_by("slug")
        choices: dict[str, tuple[str, list[tuple[Any, str]]]] = {
            "events": ("Events", list(registry.events().items())),
            "risks": ("Risks", [(risk, risk.title()) for risk in RISKS]),
            "environments": ("Environments", [(name, name) for name in organization.environments]),
            "agents": ("Agents", [(str(agent.pk), agent.slug) for agent in agents]),
            "teams": (
                "Teams that own the agent",
                [(str(t.pk), t.name) for t in Team.objects.filter(organization=organization)],
            ),
        }
        for name, (label, options) in choices.items():
            if options:
                self.fields[name] = forms.MultipleChoiceField(
                    label=label,
                    choices=options,
                    required=False,
                    widget=forms.CheckboxSelectMultiple,
                    help_text="None ticked: all.",
                )

    def values(self) -> dict[str, Any]:
        """What the services take: identifiers as such."""
        data = dict(self.cleaned_data)
        for name in ("agents", "teams"):
            if name in data:
                model = Agent if name == "agents" else Team
                data[name] = list(model.objects.filter(pk__in=data[name]).values_list("pk", flat=True))
        return data


class NewChannelForm(ChannelForm):
    """The same, of one kind."""

    transport = forms.ChoiceField(choices=TRANSPORTS, widget=forms.HiddenInput)


class PreferenceForm(forms.Form):
    """What `preferences.change` changes."""

    mail = forms.ChoiceField(label="Mail", choices=Preference.Mail.choices, widget=forms.RadioSelect)
    critical_always = forms.BooleanField(
        label="Mail critical requests at once",
        required=False,
        help_text="Whatever the hour, and beside a digest. “No mail” stays no mail.",
    )
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    quiet_until = forms.TimeField(
        label="Quiet until", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        widget=forms.TextInput(attrs={"list": "timezones", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Such as Europe/Berlin. Quiet hours and the morning are there.",
    )
    test_mode = forms.BooleanField(
        label="Mail test requests too", required=False, help_text="Requests made with test_ keys."
    )

    def __init__(self, *args: Any, preference: Preference, **kwargs: Any) -> None:
        names = ("mail", "critical_always", "quiet_from", "quiet_until", "timezone", "test_mode")
        super().__init__(*args, **kwargs | {"initial": {name: getattr(preference, name) for name in names}})


def timezones() -> list[str]:
    """Every zone that has a place, for the field's suggestions."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return ["UTC", *sorted(places)]
