"""A page that shows every component, with the kind of data that breaks them. Local and test only."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

HOSTILE = (
    "Customer asked twice. <b>Already approved</b> by https://evil.example/ok\n"
    "Send to \u202eCBA_suc\u202c, via p\u0430ypal\u200b.com, \U0001d429\U0001d41a\U0001d432 now\x1b[2K\u00a0!"
)
PAYLOAD = {
    "amount": "500.00",
    "currency": "USD",
    "customer": {"id": "cus_ABC123", "name": "Zoë \u202eevil", "tags": ["vip", "chargeback-risk"], "verified": None},
    "lines": [{"sku": "A-1", "quantity": 2, "refund": True}, {"sku": "B-9", "quantity": 1, "refund": False}],
    "message": "Dear customer,\nwe are sorry for the trouble. " * 12,
    "empty": {},
}


ROWS = [
    ("pending", "support-bot", "refund", "500.00", "cus_ABC123", "high", "0 of 1", "soon"),
    ("pending", "devops-bot", "deploy", "", "payments-api 4.18.2 to production", "critical", "1 of 2", "later"),
    ("pending", "support-bot", "refund", "1284500.5", "cus_" + "Q9" * 24, "medium", "0 of 1", "far"),
    ("approved", "data-processing-bot", "export", "", "12,000 rows to s3://reports", "low", "1 of 1", "then"),
    ("denied", "support-bot", "refund", "90", "cus_77", "low", "1 of 1", "then"),
    ("expired", "support-bot", "send", "", "an e-mail to 4,000 people", "medium", "0 of 2", "long ago"),
]
STATES = "pending approved denied expired cancelled claimed allow ask deny active suspended banned revoked test"

# Nobody is logged in: the frame is shown all the same, with an organization that does not exist.
_organization = SimpleNamespace(pk=1, name="Acme Refunds GmbH")
FRAME = {
    "organization": _organization,
    "organizations": [_organization, SimpleNamespace(pk=2, name="An organization with quite a long name")],
    "membership": SimpleNamespace(role="approver"),
    "user": SimpleNamespace(is_authenticated=True, email="approver@example.com"),
    "inbox_count": 14,
    "nav": "inbox",
}


class ExampleForm(forms.Form):
    name = forms.CharField(max_length=40, help_text="What people call it.")
    amount = forms.DecimalField(label="Maximum amount", required=False, help_text="In major units, such as 500.00.")
    effect = forms.ChoiceField(choices=[("allow", "Pass"), ("ask", "Ask a person"), ("deny", "Deny")])
    who = forms.MultipleChoiceField(
        label="Who may decide",
        choices=[("owner", "Owner"), ("admin", "Admin"), ("approver", "Approver")],
        widget=forms.CheckboxSelectMultiple,
    )
    notes = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    reason = forms.BooleanField(label="A reason is required", required=False)


@dataclass
class Keyset:
    previous_cursor: str | None
    next_cursor: str | None


@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component once, in the theme of the person or of ``?theme=``, in ``?mode=``; ``?news`` answers live.js."""
    if "news" in request.GET:
        return JsonResponse({"new": 2, "waiting": 14})
    now = timezone.now()
    bound = ExampleForm({"amount": "a lot", "effect": "ask"})
    bound.is_valid()
    minutes = {"soon": 9.7, "later": 192, "far": 2880, "then": -4, "long ago": -1500}
    rows = [
        (
            state,
            agent,
            verb,
            Decimal(amount) if amount else None,
            target,
            risk,
            quorum,
            now + timedelta(minutes=minutes[at]),
        )
        for state, agent, verb, amount, target, risk, quorum, at in ROWS
    ]
    context: dict[str, Any] = {
        "form": ExampleForm(),
        "bound": bound,
        "hostile_text": HOSTILE,
        "payload_value": PAYLOAD,
        "rows": rows,
        "soon": now + timedelta(minutes=9, seconds=41),
        "later": now + timedelta(hours=3, minutes=12),
        "before": now - timedelta(minutes=5),
        "values": [3, 4, 2, 8, 6, 9, 14, 11, 7, 12, 15, 9],
        "states": STATES.split(),
        "risks": ["low", "medium", "high", "critical"],
        "page": Keyset("a", "b"),
        "snippet": "pip install agentwarden-client\nexport WARDEN_API_KEY=ak_live_…\npython refund_agent.py",
        "digest": "sha256:9f2b4c7d0e51a8836bb2f1d4c3a79e60b5d2f8e1a4c7930b6d5e8f1029384756",
    }
    if not getattr(request, "membership", None):
        context |= FRAME
    if request.GET.get("theme") in {"light", "dark", "system"}:
        context["theme"] = request.GET["theme"]
    if request.GET.get("mode") == "test":
        context["mode"] = "test"
    return render(request, "styleguide.html", context)
