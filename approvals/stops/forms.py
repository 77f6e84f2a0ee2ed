"""Forms of the kill switch. Services check what is typed; the form keeps it and says what was wrong."""

from typing import Any

from django import forms

from accounts.models import Organization
from agents.models import Agent
from approvals.stops.services import REASON


class StopForm(forms.Form):
    agent = forms.ChoiceField(label="Whose actions", required=False)
    pattern = forms.CharField(
        label="Which actions",
        max_length=200,
        required=False,
        help_text="A name such as stripe.refund, or a wildcard such as stripe.*; empty: every action.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label="Why",
        max_length=REASON,
        help_text="Everybody sees it while this stands still.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agents = {agent.slug: agent for agent in organization.agents.filter(deleted_at=None)}
        self.fields["agent"].choices = [("", "Every agent's"), *((slug, slug) for slug in self.agents)]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """What the services take."""
        data = self.cleaned_data
        agent: Agent | None = self.agents.get(data["agent"])
        return {"agent": agent, "pattern": data["pattern"], "reason": data["reason"]}


class AskForm(forms.Form):
    reason = forms.CharField(
        label="Why it can go on",
        max_length=REASON,
        help_text="Whoever confirms reads it, and the record keeps it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ConfirmForm(forms.Form):
    typed = forms.CharField(
        label="Type it to confirm",
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, types: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["typed"].required = types
