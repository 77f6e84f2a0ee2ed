"""The form for an access token."""

from typing import Any

from django import forms

from accounts.models import SCOPES
from accounts.rules import scopes_to_give


class TokenForm(forms.Form):
    """Scopes are those of the person's own role."""

    name = forms.CharField(
        max_length=80,
        help_text="What uses it, such as “nightly export”.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.TypedChoiceField(
        label="Expires",
        choices=[("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("", "Never")],
        initial="90",
        required=False,
        coerce=int,
        empty_value=None,
    )

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"] = forms.MultipleChoiceField(
            choices=[(scope, f"{words} ({scope})") for scope, words in scopes_to_give(role, SCOPES).items()],
            widget=forms.CheckboxSelectMultiple,
            help_text="What it may do. If your role loses one of these, so does the token.",
            error_messages={"required": "Tick at least one."},
        )
        self.order_fields(["name", "scopes", "days"])
