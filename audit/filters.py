"""The filters of the audit page and of the export: they live in the address."""

import uuid
from typing import Any

from django import forms

from audit.ids import read_id, show_id
from audit.leaf import Mode
from audit.queries import Search

EVENTS = ("evt", "dec", "log")  # three names of one thing: an event, as the record, the check and the log call it
TARGETS = ("apr", "agt", "prm", "rul", "key", "usr", "team", "inv", "tok", "org")
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")


class Filters(forms.Form):
    """All optional. `search()` says what they mean."""

    target = forms.CharField(label="Identifier", max_length=80, required=False)
    actor = forms.CharField(label="Actor", max_length=254, required=False)
    agent = forms.CharField(label="Agent", max_length=64, required=False)
    action = forms.CharField(label="Action", max_length=200, required=False)
    result = forms.CharField(label="Result", max_length=32, required=False)
    kind = forms.CharField(label="Kind", max_length=64, required=False)
    since = forms.DateTimeField(label="From (UTC)", required=False, widget=MOMENT)
    until = forms.DateTimeField(label="To (UTC)", required=False, widget=MOMENT)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "This is before the other end.")
        return cleaned

    def search(self, mode: Mode) -> Search:
        """What to look for. Call it on valid filters."""
        said = {name: value for name, value in self.cleaned_data.items() if value}
        targets, ids = meanings(said.pop("target", ""))
        for name in ("action", "kind"):
            if name in said:
                said[name] = said[name].removesuffix("*").rstrip(".:")
        return Search(mode=mode, targets=targets, ids=ids, **said)


def meanings(text: str) -> tuple[tuple[str, ...], tuple[uuid.UUID, ...]]:
    """What an identifier may mean: what events are about, and events themselves. A bare UUID may be any of them."""
    if not text:
        return (), ()
    prefix = text.partition("_")[0]
    if prefix in EVENTS:
        number = read_id(prefix, text)
        return (tuple(show_id(each, number) for each in EVENTS), (number,)) if number else ((text,), ())
    if number := read_id(prefix, text):
        if len(text) == 36:
            return (str(number), *(show_id(each, number) for each in EVENTS + TARGETS)), (number,)
        return (show_id(prefix, number),), ()
    return (text,), ()
