"""Forms about agents themselves."""

from typing import Any

from django import forms

from accounts.models import Organization
from agents.forms.limits import LimitsForm
from agents.models import Agent
from agents.models.agent import RESERVED
from agents.services.agents import free_slug
from agents.services.facts import token


class AgentForm(LimitsForm):
    """What is said of an agent. `owner` is one choice of a member or a team."""

    owner = forms.ChoiceField(
        required=False, help_text="Who answers for it. The owner never decides what their own agent asked."
    )
    token = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Agent
        fields = ["name", "slug", "purpose", "spiffe_id", "notes", "documentation", "max_pending", "limit_currency"]
        labels = {"limit_currency": "Currency of its totals"}
        widgets = {
            "purpose": forms.TextInput(attrs={"maxlength": 300}),
            "notes": forms.Textarea(attrs={"rows": 3}),
            "documentation": forms.Textarea(attrs={"rows": 12, "class": "mono", "spellcheck": "true"}),
        }
        help_texts = {
            "slug": "How code names it. Left empty, it is made from the name. It cannot be changed later.",
            "purpose": "One sentence: what is it for?",
            "spiffe_id": "Only where the agent has a workload identity, such as "
            "<code>spiffe://example.com/agent/support/production</code>.",
            "notes": "For colleagues; plain text.",
            "max_pending": "How many of its requests may wait for people, live and test each; one more is denied.",
            "limit_currency": "ISO 4217, such as USD; amounts in another are denied then.",
            "documentation": "Markdown.",
        }

    field_order = ("name", "slug", "purpose", "owner", "documentation", "notes", "spiffe_id", "max_pending")

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization
        self.instance.organization = organization
        owner: Any = self.fields["owner"]
        owner.choices = _owners(organization)
        self.fields["max_pending"].required = False  # left out, it stays as it is
        if self.instance._state.adding:
            self.fields["slug"].required = False
            self.fields["slug"].widget.attrs["placeholder"] = "support-bot"
        else:
            del self.fields["slug"]
            agent = self.instance
            self.initial["owner"] = (
                f"user:{agent.owner_user_id}"
                if agent.owner_user_id
                else f"team:{agent.owner_team_id}"
                if agent.owner_team_id
                else ""
            )
            self.initial["token"] = token(agent)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug in RESERVED:
            raise forms.ValidationError("This name has a meaning of its own: choose another.")
        taken = Agent.objects.filter(organization=self.organization, slug=slug, deleted_at=None).exists()
        if slug and taken:
            free = free_slug(self.organization, slug)
            raise forms.ValidationError(f"There is an agent {slug} already. {free} is free.")
        return slug

    def clean_max_pending(self) -> int:
        given: int | None = self.cleaned_data["max_pending"]
        return self.instance.max_pending if given is None else given

    def values(self) -> dict[str, Any]:
        """What the services take."""
        data = self.with_limits(
            {name: value for name, value in self.cleaned_data.items() if name not in ("owner", "token")}
        )
        kind, _, pk = self.cleaned_data["owner"].partition(":")
        members, teams = self.organization.members, self.organization.teams
        data["owner_user"] = members.filter(pk=pk).first() if kind == "user" else None
        data["owner_team"] = teams.filter(pk=pk).first() if kind == "team" else None
        return data


def _owners(organization: Organization) -> list[Any]:
    people = organization.memberships.select_related("user")
    choices: list[Any] = [
        ("", "Nobody"),
        ("People", [(f"user:{each.user_id}", f"{each.user} ({each.user.email})") for each in people]),
    ]
    if teams := [(f"team:{each.pk}", each.name) for each in organization.teams.all()]:
        choices.append(("Teams", teams))
    return choices


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        required=False,
        help_text="Kept in the record.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
