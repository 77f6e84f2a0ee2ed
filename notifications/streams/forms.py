"""Forms about streams. Services check what is typed; forms keep it and say what was wrong."""

from typing import Any

from django import forms

from audit.sequenced import log_name
from notifications.models import Stream
from notifications.streams.services import FIELDS

ADDRESSES = {
    "syslog_tls": ("Receiver", "Host and port, such as logs.example.com:6514."),
    "syslog_tcp": ("Receiver", "Host and port, such as logs.example.com:601. Nothing is encrypted on the way."),
    "webhook": ("URL", "An HTTPS address on the public internet. Every batch is signed."),
}
TLS_ONLY = ("authority", "certificate", "key")


def _pem(label: str, text: str) -> forms.CharField:
    area = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off", "class": "mono"})
    return forms.CharField(label=label, help_text=text, required=False, widget=area)


class StreamForm(forms.Form):
    """A name, an address, a form; over TLS also who vouches for whom."""

    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    address = forms.CharField(
        max_length=2_048, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    format = forms.ChoiceField(
        label="Each event as", choices=[("json", "JSON, as the record has it"), ("ocsf", "OCSF 1.5.0")]
    )
    payloads = forms.BooleanField(
        label="With payloads",
        required=False,
        help_text="What agents and people wrote: contexts, reasons, comments. The rest goes in any case.",
    )
    authority = _pem("Authority", "PEM: who vouches for the receiver's certificate. Empty: whom this machine trusts.")
    certificate = _pem("Client certificate", "PEM, with its chain: where the receiver wants to know who sends.")
    key = _pem("Key of the client certificate", "PEM, without a password. It is kept encrypted and never shown.")

    def __init__(self, *args: Any, kind: str, stream: Stream | None = None, **kwargs: Any) -> None:
        initial = {name: getattr(stream, name) for name in FIELDS} if stream else {}
        super().__init__(*args, **kwargs | {"initial": initial})
        self.fields["address"].label, self.fields["address"].help_text = ADDRESSES[kind]
        if kind != "syslog_tls":
            for name in TLS_ONLY:
                del self.fields[name]
        elif stream and stream.secret:
            self.fields["key"].help_text = "There is one. Empty: it stays."


class NewStreamForm(StreamForm):
    """The same, and where to begin."""

    everything = forms.ChoiceField(
        label="Begin",
        choices=[("yes", "with the first event there is"), ("no", "with what comes from now on")],
        initial="yes",
        widget=forms.RadioSelect,
    )

    def values(self) -> dict[str, Any]:
        """What services.create takes."""
        return self.cleaned_data | {"everything": self.cleaned_data["everything"] == "yes"}


class MoveForm(forms.Form):
    """A log of the stream, and the index to go on from."""

    log = forms.ChoiceField()
    index = forms.IntegerField(
        min_value=0, help_text="What is there from this index on is sent, whether it was before or not."
    )

    def __init__(self, *args: Any, stream: Stream, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = {"live": "Live", "test": "Test", "organization": "The organization as a whole"}
        self.fields["log"].choices = [(log_name(scope), words[log_name(scope)]) for scope in stream.scopes]  # type: ignore[attr-defined]
