"""The form that bans a SPIFFE ID."""

from django import forms


class BanForm(forms.Form):
    """A name, whoever has it or nobody, and why."""

    spiffe_id = forms.CharField(
        label="SPIFFE ID", max_length=2_048, help_text="Such as spiffe://example.com/agent/support/production."
    )
    reason = forms.CharField(max_length=500, help_text="Others see it while the ban holds; the record keeps it.")
