"""Being away: from when to when, and who decides meanwhile."""

from typing import Any

from django import forms

from accounts.models import Membership
from accounts.services.delegations import DECIDE


def _moment() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class _People(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Membership) -> str:
        name = f" ({obj.user.name})" if obj.user.name else ""
        return f"{obj.user.email}{name}, {obj.get_role_display().lower()}"


class AbsenceForm(forms.Form):
    starts_at = forms.DateTimeField(
        label="From (UTC)", required=False, help_text="Empty: from now on.", widget=_moment()
    )
    ends_at = forms.DateTimeField(label="Until (UTC)", help_text="At most 90 days later.", widget=_moment())
    note = forms.CharField(
        max_length=200, required=False, help_text="Your colleagues see it.", widget=forms.TextInput()
    )

    def __init__(self, *args: Any, member: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Membership.objects.filter(organization=member.organization, user__is_active=True).exclude(pk=member.pk)
        able = [other.pk for other in others if other.may(DECIDE)]
        self.fields["delegates"] = _People(
            others.filter(pk__in=able).select_related("user"),
            label="Who may decide in your name",
            required=False,
            help_text="What you could decide, and no more; never what they asked themselves.",
            widget=forms.CheckboxSelectMultiple,
        )
