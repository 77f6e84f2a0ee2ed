"""The form of the external OPA."""

from django import forms

from agents.models import ExternalOpa
from agents.services.external import FIELDS


class ExternalForm(forms.ModelForm):
    """Everything of it; what its service refuses lands in the form."""

    class Meta:
        model = ExternalOpa
        fields = FIELDS
        labels = {"ca_file": "CA file"}

    def _post_clean(self) -> None:
        """Nothing: the service checks the whole."""
