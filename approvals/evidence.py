"""Everything about one agent in one file, for whoever looks into an incident: a zip of JSON and JSON Lines."""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

from django.db import transaction

from agents.models import Agent, ApiKey
from agents.services.by import Who, actor
from agents.services.facts import facts
from agents.services.writing import public_id
from approvals.models import Approval
from audit import export, queries
from audit.clock import database_now
from audit.leaf import Mode, timestamp
from audit.record import record

MODES: tuple[Mode, ...] = ("live", "test")
IN_MEMORY = 8_388_608  # bytes; more goes into a file
README = """Evidence about the agent {slug}, exported from Warden on {now} by {by}.

agent.json        the agent as it is now, with its tiers and keys (never a key itself)
events-live.jsonl, events-test.jsonl
                  everything recorded about it, newest first: each line has the event's canonical bytes and its leaf,
                  SHA-256 of a zero byte and those bytes (RFC 6962)
approvals.jsonl   what it asked people for, and how each ended
policy.jsonl      the versions of the policy that changed it, whole
manifest.json     the SHA-256 of each of these files
"""


def write_evidence(*, agent: Agent, by: Who) -> IO[bytes]:
    """The zip, at its beginning. That somebody took it away is recorded first."""
    with transaction.atomic():
        record(
            kind=f"{actor(by).type}:evidence:export",
            organization_id=agent.organization_id,
            actor=actor(by),
            agent=agent.slug,
            target=public_id(agent),
        )
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - whoever sends it closes it
    now, hashes = database_now(), {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, chunks in _files(agent, now, actor(by).label):
            digest = hashlib.sha256()
            with archive.open(name, "w") as part:
                for chunk in chunks:
                    digest.update(chunk)
                    part.write(chunk)
            hashes[name] = digest.hexdigest()
        archive.writestr("manifest.json", _json({"exported_at": timestamp(now), "sha256": hashes}))
    file.seek(0)
    return file


def name_of(agent: Agent, now: datetime) -> str:
    return f"warden-evidence-{agent.slug}-{now:%Y%m%dT%H%M%SZ}.zip"


def _files(agent: Agent, now: datetime, by: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "README.txt", [README.format(slug=agent.slug, now=timestamp(now), by=by).encode()]
    yield "agent.json", [_json(_agent(agent))]
    for mode in MODES:
        search = queries.Search(mode=mode, agent=agent.slug, since=agent.created_at)
        yield f"events-{mode}.jsonl", export.lines(agent.organization_id, search)
    yield "approvals.jsonl", (_json(_approval(each)) + b"\n" for each in _approvals(agent))
    yield "policy.jsonl", (
        _json({"number": each.number, "version": each.version, "at": timestamp(each.created_at),
               "summary": each.summary, "content": json.loads(each.content)}) + b"\n"
        for each in agent.versions.order_by("-number").iterator()
    )  # fmt: skip


def _agent(agent: Agent) -> dict[str, Any]:
    return {
        "id": public_id(agent),
        **facts(agent, whole=True),
        "created_at": timestamp(agent.created_at),
        "permissions": [{"id": public_id(each), **facts(each, whole=True)} for each in agent.permissions.all()],
        "keys": [
            {"id": public_id(each), **facts(each), "created_at": timestamp(each.created_at),
             "last_used_at": timestamp(each.last_used_at) if each.last_used_at else None}
            for each in ApiKey.objects.filter(agent=agent)
        ],
    }  # fmt: skip


def _approvals(agent: Agent) -> Iterator[Approval]:
    return Approval.objects.filter(agent=agent).order_by("-created_at", "-id").iterator(chunk_size=500)


def _approval(row: Approval) -> dict[str, Any]:
    moments = ("created_at", "expires_at", "decided_at", "claimed_at", "outcome_at")
    return {
        "id": row.approval_id,
        "mode": row.mode,
        "action": row.action,
        "callee": row.callee,
        "environment": row.environment,
        "digest": row.digest,
        "context": row.context_data,
        "reasoning": row.reasoning,
        "state": row.state,
        "decided_by": row.decided_by_label,
        "reason": row.reason,
        "outcome": row.outcome,
        **{name: timestamp(value) if (value := getattr(row, name)) else None for name in moments},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=None, default=str).encode()
