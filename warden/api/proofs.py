"""/api/record: the logs, their checkpoints, proofs and keys. docs/record.md says what they show."""

from audit import lag, note, proofs, receipts, signing
from audit.clock import database_now
from audit.ids import read_id
from audit.log import Checkpoint, Log, SigningKey
from audit.models import Event
from warden.api.answers import record as answers
from warden.api.bodies import CheckpointsQuery, ConsistencyQuery, LogQuery
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure, missing


@endpoint("GET", "record/logs", "logs:read")
def list_record_logs(call: Call) -> list[answers.RecordLog]:
    """List the logs of the organization, with the newest checkpoint of each."""
    late = lag.seconds(database_now(), call.organization.pk)
    logs = Log.objects.filter(organization_id=call.organization.pk).order_by("id")
    return [
        answers.RecordLog(log.mode or "organization", log.origin, _checkpoint(head), late)  # type: ignore[arg-type]
        for log in logs
        if (head := log.checkpoints.order_by("-size").first())
    ]


@endpoint("GET", "record/checkpoints", "logs:read")
def list_checkpoints(call: Call, query: CheckpointsQuery) -> list[answers.Checkpoint]:
    """List signed checkpoints of a log, newest first. Keep some where the operators of Warden cannot reach."""
    rows = _log(call, query.mode).checkpoints.order_by("-size")
    if query.below:
        rows = rows.filter(size__lt=query.below)
    return [_checkpoint(head) for head in rows[: query.limit]]


@endpoint("GET", "record/consistency", "logs:read")
def prove_consistency(call: Call, query: ConsistencyQuery) -> answers.Consistency:
    """Prove that a log only grew from one size to another (RFC 6962, 2.1.2)."""
    log = _log(call, query.mode)
    head = log.checkpoints.order_by("-size").first()
    new = query.new or (head.size if head else 0)
    if not head or new > head.size or query.old > new:
        raise Failure(422, f"old, new: sizes of the log, which is {head.size if head else 0} long")
    return answers.Consistency(log.origin, query.old, new, [note.encode(each) for each in _sound(log, query.old, new)])


@endpoint("GET", "record/keys", "logs:read")
def list_record_keys(call: Call) -> list[answers.RecordKey]:
    """List the public keys that sign or signed, oldest first. Each later one is signed by the one before it."""
    name = f"{signing.site()}/keys"
    return [
        answers.RecordKey(
            verifier_key=note.verifier_key(name, bytes(key.public)),
            jwk=receipts.jwk(bytes(key.public)),
            since=key.at,
            certificate=key.certificate,
        )
        for key in SigningKey.objects.all()
    ]


@endpoint("GET", "events/{event_id}/proof", "logs:read")
def prove_event(call: Call, event_id: str, query: LogQuery) -> answers.Proof:
    """Prove that an event is in its log (RFC 6962, 2.1.1). `file` is the same as c2sp.org/tlog-proof has it."""
    number = next((found for prefix in ("evt", "dec", "log") if (found := read_id(prefix, event_id))), None)
    event = number and Event.objects.filter(pk=number, organization_id=call.organization.pk).first()
    if not event:
        raise missing("Event")
    try:
        proof = proofs.of_event(event.id, newest=query.newest)
    except proofs.Damaged as error:
        raise Failure(503, f"The log is damaged, and proves nothing: {error}") from error
    if proof is None:
        raise Failure(409, "This event is not put in order yet. Try again in a moment.", "not_sequenced")
    return answers.Proof(
        origin=proof.log.origin,
        index=proof.index,
        leaf=bytes(event.leaf).hex(),
        hashes=[note.encode(each) for each in proof.hashes],
        checkpoint=_checkpoint(proof.checkpoint),
        file=proof.text,
    )


def _sound(log: Log, old: int, new: int) -> list[bytes]:
    try:
        return proofs.consistency(log, old, new)
    except proofs.Damaged as error:
        raise Failure(503, f"The log is damaged, and proves nothing: {error}") from error


def _log(call: Call, mode: str) -> Log:
    wanted = "" if mode == "organization" else mode
    log = Log.objects.filter(organization_id=call.organization.pk, mode=wanted).first()
    if log is None:
        raise missing("Log")
    return log


def _checkpoint(head: Checkpoint) -> answers.Checkpoint:
    return answers.Checkpoint(head.size, bytes(head.root).hex(), head.at, head.note)
