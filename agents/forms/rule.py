"""The form of an approval rule, written as a sentence."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts import roles
from accounts.models import Organization
from agents.models import ApprovalRule
from agents.services import deciders, escalation
from agents.services.facts import token

CHOICE = ("roles", "teams", "people")
DECIDERS = [(role, name) for role, name in roles.ROLES.items() if roles.may(role, "approvals:decide")]
Choices = list[tuple[str, list[tuple[str, str]]]]


class RuleForm(forms.ModelForm):
    token = forms.CharField(required=False, widget=forms.HiddenInput)
    roles = forms.MultipleChoiceField(
        label="Roles",
        required=False,
        choices=DECIDERS,
        widget=forms.CheckboxSelectMultiple,
    )
    edit_fields = forms.CharField(
        label="these fields of the context",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        help_text="One a line, such as <code>amount</code>. An amount only goes down, a text stays a text, and the"
        " currency never changes.",
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
            "assurance",
            "confirm_critical",
            "edits_allowed",
            "edit_fields",
            "grants_allowed",
            "critical_seconds",
            "is_default",
        ]
        labels = {
            "approvals": "Approvals needed",
            "denials": "Denials that end it",
            "reason_to_approve": "A reason is required to approve",
            "reason_to_deny": "A reason is required to deny",
            "minutes": "Expires after (minutes)",
            "assurance": "Decided at least in",
            "confirm_critical": "What is critical is approved by typing its name",
            "edits_allowed": "Change what is asked, before it is approved:",
            "grants_allowed": "Allow more of the same kind, for a time, so many times and so much",
            "critical_seconds": "Seconds with what is critical before approving it",
            "is_default": "The default, for tiers that name no rule",
        }
        help_texts = {
            "approvals": "",
            "denials": "",
            "minutes": "",
            "confirm_critical": "",
            "edits_allowed": "Earlier votes are void then, and whoever changed it cannot approve it.",
            "grants_allowed": "Never for what is critical, nor where one approval is not enough.",
            "critical_seconds": "0: none. More: such requests are approved in the browser only.",
            "assurance": "A fresh second factor: a passkey or an app's code, given within five minutes.",
        }

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.organization = organization
        self.choices = _choices(organization)
        first = deciders.named(self.instance.ways[0])
        self._add_who("others", "Teams and people", {**first, "roles": []}, self.choices[1:])
        self.ways = self._add_rows(
            ("or_{}", "or_who_{}"),
            ("or so many approvals", "by"),
            "approvals",
            [*self.instance.alternatives, {}][: deciders.WAYS],
        )
        self.steps = self._add_rows(
            ("after_{}", "who_{}"),
            ("Step {}: after (minutes)", "also ask"),
            "after_minutes",
            [*self.instance.escalation, {}][: escalation.STEPS],
        )
        self.initial["edit_fields"] = "\n".join(self.instance.edit_fields)
        for name in ("assurance", "critical_seconds"):
            self.fields[name].required = False  # left out, it stays as it is
        for field in self.fields.values():  # what may be left empty is said once, below the rows
            field.quiet = True  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            self.initial["token"] = token(self.instance)
            if self.instance.is_default:
                del self.fields["is_default"]  # there is always one: another rule takes its place

    def _add_rows(
        self, names: tuple[str, str], labels: tuple[str, str], number: str, kept: list[dict[str, Any]]
    ) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """A pair of fields, a number and some people, for each of `kept`."""
        rows = []
        for at, row in enumerate(kept, start=1):
            first, who = (name.format(at) for name in names)
            self.fields[first] = forms.IntegerField(
                label=labels[0].format(at), min_value=1, required=False, initial=row.get(number)
            )
            self._add_who(who, labels[1], deciders.named(row) if row else {}, self.choices)
            rows.append((self[first], self[who]))
        return rows

    def _add_who(self, name: str, label: str, chosen: dict[str, list[str]], choices: Choices) -> None:
        """A list to choose from, the chosen first. Whom the rule names and who is gone since stays in it."""
        values = [f"{kind}:{each}" for kind in CHOICE for each in chosen.get(kind, ())]
        known = {value for _, group in choices for value, _ in group}
        gone = [(value, value.partition(":")[2]) for value in values if value not in known]
        groups = [(group, sorted(each, key=lambda choice: choice[0] not in values)) for group, each in choices if each]
        self.fields[name] = forms.MultipleChoiceField(
            label=label,
            choices=groups + ([("Gone since", gone)] if gone else []),
            required=False,
            initial=values,
            widget=forms.CheckboxSelectMultiple(attrs={"class": "choose"}),
        )

    def clean(self) -> dict[str, Any]:
        """Reads who decides, the other ways and the steps. A row without a number and without people is none."""
        values: dict[str, Any] = super().clean() or {}
        instance, organization = self.instance, self.instance.organization
        first = _read(values.pop("others", []))
        ways = self._rows(values, self.ways, "approvals", "How many approvals?")
        steps = self._rows(values, self.steps, "after_minutes", "After how many minutes?")
        try:
            kept = deciders.resolve(organization, {**first, "roles": []}, "teams")
            instance.teams, instance.people = kept["teams"], kept["people"]
        except ValidationError as error:
            self.add_error("others", error.message_dict["teams"])
        try:
            instance.alternatives = deciders.resolve_ways(organization, [way for _, way in ways])
        except ValidationError as error:
            self.add_error(ways[-1][0], error.message_dict["alternatives"])
        try:
            instance.escalation = escalation.resolve(organization, [step for _, step in steps])
        except ValidationError as error:
            self.add_error(steps[-1][0], error.message_dict["escalation"])
        return values

    def clean_assurance(self) -> str:
        return str(self.cleaned_data["assurance"] or self.instance.assurance)

    def clean_edit_fields(self) -> list[str]:
        """A line each, once."""
        lines = (line.strip() for line in self.cleaned_data["edit_fields"].split("\n"))
        return list(dict.fromkeys(filter(None, lines)))

    def clean_critical_seconds(self) -> int:
        given: int | None = self.cleaned_data["critical_seconds"]
        return self.instance.critical_seconds if given is None else given

    def _rows(
        self, values: dict[str, Any], rows: list[tuple[forms.BoundField, forms.BoundField]], number: str, ask: str
    ) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for first, who in rows:
            count, chosen = values.pop(first.name, None), values.pop(who.name, [])
            if count is None and chosen:
                self.add_error(first.name, ask)
            elif count is not None:
                found.append((first.name, {number: count, **_read(chosen)}))
        return found

    def validate_constraints(self) -> None:
        """Left to the services: a new default is not a second one, it takes the place of the first."""

    def values(self) -> dict[str, Any]:
        """What the services take."""
        fields = {name: value for name, value in self.cleaned_data.items() if name != "token"}
        kept = ("teams", "people", "alternatives", "escalation")
        return fields | {name: getattr(self.instance, name) for name in kept}


def _choices(organization: Organization) -> Choices:
    members = organization.memberships.filter(role__in=deciders.DECIDERS, user__is_active=True)
    return [
        ("Roles", [(f"roles:{role}", f"{name}s") for role, name in DECIDERS]),
        ("Teams", [(f"teams:{slug}", name) for slug, name in organization.teams.values_list("slug", "name")]),
        ("People", [(f"people:{email}", email) for email in members.values_list("user__email", flat=True)]),
    ]


def _read(chosen: list[str]) -> dict[str, list[str]]:
    who: dict[str, list[str]] = {kind: [] for kind in CHOICE}
    for kind, _, name in (value.partition(":") for value in chosen):
        who[kind].append(name)
    return who
