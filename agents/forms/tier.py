"""The tier editor and the simulator."""

import json
from collections.abc import Iterable
from typing import Any

from django import forms

from accounts.models import Organization
from agents import policy
from agents.forms.limits import LimitsForm
from agents.models import Agent, Permission
from agents.services.facts import token
from audit.clock import database_now

EFFECTS = [
    ("allow", "Pass: the agent goes on at once"),
    ("ask", "Ask: a person decides first"),
    ("deny", "Deny: never, whatever else allows it"),
]


class TierForm(LimitsForm):
    """One tier. `token` says what the person was shown."""

    token = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Permission
        fields = [
            "action",
            "effect",
            "max_amount",
            "currency",
            "environment",
            "approval_rule",
            "risk",
            "condition",
            "callee",
            "expires_at",
            "notes",
        ]
        labels = {
            "max_amount": "Up to",
            "approval_rule": "Approval rule",
            "expires_at": "Expires (UTC)",
            "callee": "Only when calling",
            "condition": "Only if",
        }
        help_texts = {
            "action": "<code>service.resource.operation</code>, such as <code>stripe.refund.small</code>. "
            "<code>email.*</code> covers everything below <code>email</code>: name the actions instead where you can.",
            "max_amount": "Empty: any amount.",
            "currency": "ISO 4217; empty: any.",
            "environment": "Proved by the key.",
            "approval_rule": "Who decides, where it asks.",
            "condition": "CEL over <code>context</code>, <code>agent</code>, <code>environment</code>, "
            "<code>amount</code> and <code>now</code>; such as <code>context.customer.vip == true</code>. "
            "What cannot be evaluated is denied.",
            "callee": "A SPIFFE ID; empty: any.",
            "risk": "Low may be decided with others; critical is typed out, and never granted.",
            "expires_at": "Empty: never.",
            "notes": "Why this tier is as it is.",
        }

    def __init__(self, *args: Any, agent: Agent, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.agent = agent
        fields: dict[str, Any] = self.fields
        organization = agent.organization
        fields["action"].widget.attrs |= {"autocapitalize": "none", "spellcheck": "false", "class": "mono"}
        fields["effect"] = forms.ChoiceField(choices=EFFECTS, widget=forms.RadioSelect)
        fields["max_amount"].widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        fields["max_amount"].localize = False
        fields["currency"].widget.attrs |= {"placeholder": "USD", "size": 3, "autocapitalize": "characters"}
        fields["environment"] = forms.ChoiceField(
            choices=[("", "Every environment"), *((each, each) for each in organization.environments)],
            required=False,
            help_text=fields["environment"].help_text,
        )
        fields["risk"].choices = Permission.Risk.choices
        fields["approval_rule"].queryset = organization.approval_rules.all()
        fields["approval_rule"].empty_label = "The default"
        fields["condition"].widget = forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"})
        fields["callee"].widget = forms.TextInput(
            attrs={"placeholder": "spiffe://example.com/agent/payments/production"}
        )
        fields["expires_at"].widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        fields["notes"].widget = forms.TextInput()
        if not self.instance._state.adding:
            self.initial["token"] = token(self.instance)
            if self.instance.max_amount is not None:
                self.initial["max_amount"] = policy.plain(self.instance.max_amount)

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def clean_action(self) -> str:
        return str(self.cleaned_data["action"]).strip()

    def clean_expires_at(self) -> Any:
        at = self.cleaned_data["expires_at"]
        if at and "expires_at" in self.changed_data and at <= database_now():
            raise forms.ValidationError("This is past: the tier would never apply.")
        return at

    def values(self) -> dict[str, Any]:
        """What the services take."""
        return self.with_limits({name: value for name, value in self.cleaned_data.items() if name != "token"})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one name twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


class SimulateForm(forms.Form):
    """A check that might be asked. Nothing comes of it."""

    action = forms.CharField(
        max_length=200,
        widget=forms.TextInput(
            attrs={"list": "known-actions", "autocomplete": "off", "autocapitalize": "none", "class": "mono"}
        ),
    )
    context = forms.CharField(
        required=False,
        max_length=65_536,
        help_text="JSON, as the agent would send it.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
    )
    environment = forms.ChoiceField(required=False)
    callee = forms.CharField(
        required=False, max_length=2_048, widget=forms.TextInput(attrs={"placeholder": "spiffe://…"})
    )

    def __init__(self, *args: Any, organization: Organization, actions: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "sim_%s"
        environment: Any = self.fields["environment"]
        environment.choices = [("", "None proved"), *((each, each) for each in organization.environments)]
        self.actions = sorted(actions)

    def clean_context(self) -> dict[str, Any]:
        text = self.cleaned_data["context"].strip() or "{}"
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(f"Not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"The gateway would refuse this: {error}.") from error
        if not isinstance(value, dict):
            raise forms.ValidationError('The context is an object, such as {"amount": 150}.')
        return value
