"""The filters of the audit page and of the export: they live in the address."""

import uuid
from typing import Any

from django import forms

from audit.ids import read_id, show_id
from audit.leaf import Mode
from audit.queries import Search

EVENTS = ("evt", "dec", "log")  # three names of one thing: an event, as the record, the check and the log call it
TARGETS = (
    *("apr", "agt", "prm", "rul", "rvw", "pol", "ppr", "bid", "key", "usr", "mem", "team", "inv", "tok", "org"),
    *("chn", "dlv", "slk", "alt", "alr", "str", "grt", "brk", "stp", "dlg", "req", "prv", "pvr"),
)
MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")


def _hinted(example: str, choices: str = "") -> forms.TextInput:
    """An input with an example and, where the page has some, the choices of a <datalist>."""
    attributes = {"placeholder": example, "autocomplete": "off", "spellcheck": "false"}
    return forms.TextInput(attrs=attributes | ({"list": choices} if choices else {}))


class Filters(forms.Form):
    """All optional. `search()` says what they mean."""

    target = forms.CharField(label="Identifier", max_length=80, required=False, widget=_hinted("apr_… or evt_…"))
    actor = forms.CharField(label="Actor", max_length=254, required=False, widget=_hinted("ann@example.com"))
    agent = forms.CharField(label="Agent", max_length=64, required=False, widget=_hinted("support-bot", "agents"))
    action = forms.CharField(label="Action", max_length=200, required=False, widget=_hinted("stripe.refund", "actions"))
    result = forms.CharField(label="Result", max_length=32, required=False)
    kind = forms.CharField(label="Kind", max_length=64, required=False, widget=_hinted("agent:check", "kinds"))
    since = forms.DateTimeField(label="From (UTC)", required=False, widget=MOMENT)
    until = forms.DateTimeField(label="To (UTC)", required=False, widget=MOMENT)

    SELDOM = ("kind", "since", "until")

    def often(self) -> list[forms.BoundField]:
        """The fields of the first line; the result is chosen by links."""
        return [field for field in self if field.name not in (*self.SELDOM, "result")]

    def seldom(self) -> list[forms.BoundField]:
        return [self[name] for name in self.SELDOM]

    def seldom_given(self) -> bool:
        """Whether a field that is folded away says something."""
        return any(self.data.get(name) for name in self.SELDOM)

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
