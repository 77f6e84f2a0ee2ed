"""Forms of what is kept covered."""

from django import forms

from agents.models import PrivacyRule


class PrivacyRuleForm(forms.ModelForm):
    class Meta:
        model = PrivacyRule
        fields = ["action", "path", "treatment", "subject"]
        widgets = {"treatment": forms.RadioSelect}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["treatment"].choices = PrivacyRule.Treatment.choices  # type: ignore[attr-defined]
        self.fields["treatment"].initial = PrivacyRule.Treatment.ENCRYPT

    def _post_clean(self) -> None:
        """The service checks: what it says is told in the form."""


class SubjectForm(forms.Form):
    subject = forms.CharField(
        label="Subject",
        max_length=300,
        help_text="As requests name it in the field that the rules name, such as cus_ABC123.",
    )


class EraseForm(SubjectForm):
    subject = forms.CharField(widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason", max_length=500, help_text="The record keeps it: a case number, say, and not the subject."
    )
    typed = forms.CharField(label="Type the subject again", max_length=300)
