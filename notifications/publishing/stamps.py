"""Time-stamps as files: of an export, and one by one."""

import json
from pathlib import Path

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from audit import note
from audit.leaf import timestamp
from audit.log import Log
from audit.sequenced import log_name
from audit.views import attachment
from notifications.models import TimeStamp


def write(folder: Path, log: Log, first: int, size: int) -> None:
    """`timestamps.jsonl` of a log's export: those of its checkpoints after `first`, up to `size`."""
    with (folder / "timestamps.jsonl").open("w") as out:
        for stamp in TimeStamp.objects.filter(log=log, size__gt=first, size__lte=size).order_by("size").iterator():
            said = {"size": stamp.size, "at": timestamp(stamp.at), "response": note.encode(bytes(stamp.response))}
            out.write(json.dumps(said) + "\n")


@require_safe
@requires("settings:read")
def time_stamp(request: MemberRequest, mode: str, size: int) -> HttpResponse:
    """What the authority said of a checkpoint, as `openssl ts` reads it."""
    logs = Log.objects.filter(organization_id=request.organization.id, mode__in=[request.mode, ""])
    log = next((log for log in logs if log_name(log.mode) == mode), None)
    stamp = TimeStamp.objects.filter(log=log, size=size).first() if log else None
    if stamp is None:
        raise Http404(mode)
    name = f"warden-{mode}-{size}.tsr"
    return HttpResponse(bytes(stamp.response), "application/timestamp-reply", headers=attachment(name))
