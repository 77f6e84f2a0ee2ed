"""Forms about people: set-up, joining, inviting, roles, one's own name."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError

from accounts import roles, rules
from accounts.models import User


def new_password_field(label: str = "Password", *, hint: bool = True) -> forms.CharField:
    """A password that is being chosen, with the rules it is held to."""
    return forms.CharField(
        label=label,
        strip=False,
        max_length=1_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=" ".join(password_validators_help_texts()) if hint else "",
    )


class NewPasswordForm(forms.Form):
    """For forms with `password` and `again`: held to the rules, and typed the same twice."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        password, again = data.get("password"), data.get("again")
        if password and again and password != again:
            self.add_error("again", "The two passwords differ. Type the same twice.")
        elif password:
            try:
                validate_password(password, User(email=self.address(data), name=data.get("name", "")))
            except ValidationError as error:
                self.add_error("password", error)
        return data

    def address(self, data: dict[str, Any]) -> str:
        """The e-mail address that the password must not resemble."""
        return str(data.get("email", ""))


class SetupForm(NewPasswordForm):
    """The first owner and the organization."""

    organization = forms.CharField(max_length=120, help_text="Your company or team. It can be renamed.")
    name = forms.CharField(
        label="Your name", max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    password = new_password_field()
    again = new_password_field("Password again", hint=False)


class JoinForm(NewPasswordForm):
    """Somebody new accepts an invitation: the address is the one that was invited."""

    name = forms.CharField(
        label="Your name", max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = new_password_field()
    again = new_password_field("Password again", hint=False)

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def address(self, data: dict[str, Any]) -> str:
        return self.email


def _role_field(by: str) -> forms.ChoiceField:
    choices = [(role, f"{name}: {roles.DESCRIPTIONS[role]}") for role, name in rules.roles_to_give(by).items()]
    return forms.ChoiceField(choices=choices[::-1], widget=forms.RadioSelect)


class RoleForm(forms.Form):
    """A role, out of those that a member with the role `by` may give."""

    def __init__(self, *args: Any, by: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = _role_field(by)


class InviteForm(RoleForm):
    email = forms.EmailField(label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))

    field_order = ("email", "role")


class NameForm(forms.Form):
    name = forms.CharField(
        max_length=120,
        required=False,
        help_text="Shown to the others instead of your e-mail address.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
