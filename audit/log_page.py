"""The page of the log: checkpoints, keys, lag, the last verification; and its files, to check elsewhere."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit import lag, note, proofs, signing
from audit.access import MemberRequest, reads_the_record
from audit.clock import database_now
from audit.log import Checkpoint, Log, SigningKey
from audit.views import attachment, event_of

LATEST = 20
TEXT = "text/plain; charset=utf-8"


def _logs(request: MemberRequest) -> list[Log]:
    """The log of this mode, and that of the organization as a whole."""
    logs = Log.objects.filter(organization_id=request.organization.id, mode__in=[request.mode, ""])
    return list(logs.order_by("-mode"))


def _log(request: MemberRequest, mode: str) -> Log:
    """The log that an address names, if it may be seen here. Raises Http404."""
    wanted = "" if mode == "organization" else mode
    log = next((log for log in _logs(request) if log.mode == wanted), None)
    if log is None:
        raise Http404(mode)
    return log


@require_safe
@reads_the_record
def page(request: MemberRequest) -> HttpResponse:
    """How the record is signed, by which keys, and how to check it."""
    now = database_now()
    logs = [(log, log.checkpoints.order_by("-size").first()) for log in _logs(request)]
    late = lag.seconds(now, request.organization.id)
    heads = Checkpoint.objects.filter(log__in=[log for log, _ in logs]).select_related("log").order_by("-at", "-size")
    return render(
        request,
        "audit/log.html",
        {
            "logs": logs,
            "state": lag.state(now),
            "refusal": lag.refusal(),
            "lag": late,
            "checkpoints": heads[:LATEST],
            "keys": [(key, _verifier_key(key)) for key in SigningKey.objects.all()][::-1],
        },
    )


def _verifier_key(key: SigningKey) -> str:
    return note.verifier_key(f"{signing.site()}/keys", bytes(key.public))


@require_safe
@reads_the_record
def keys(request: MemberRequest) -> HttpResponse:
    """The public keys, one a line, as warden-verify takes them."""
    lines = [f"# since {key.at:%Y-%m-%d %H:%M:%S} UTC\n{_verifier_key(key)}\n" for key in SigningKey.objects.all()]
    return HttpResponse("".join(lines), TEXT, headers=attachment("warden-keys.txt"))


@require_safe
@reads_the_record
def checkpoint(request: MemberRequest, mode: str, size: int | None = None) -> HttpResponse:
    """The newest checkpoint of a log, or that of a size, to be kept elsewhere."""
    heads = _log(request, mode).checkpoints.order_by("-size")
    head = (heads if size is None else heads.filter(size=size)).first()
    if head is None:
        raise Http404(mode)
    return HttpResponse(head.note, TEXT, headers=attachment(f"warden-{mode}-{head.size}.checkpoint"))


@require_safe
@reads_the_record
def proof(request: MemberRequest, evt_id: str) -> HttpResponse:
    """The proof of one event as a file: c2sp.org/tlog-proof."""
    event = event_of(request, evt_id)
    try:
        found = proofs.of_event(event.id)
    except proofs.Damaged as error:
        return HttpResponse(f"The log is damaged, and proves nothing: {error}\n", TEXT, status=503)
    if found is None:
        raise Http404(evt_id)
    return HttpResponse(found.text, TEXT, headers=attachment(f"{event.event_id}.tlog-proof"))
