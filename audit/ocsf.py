"""Events in the Open Cybersecurity Schema Framework, version 1.5.0 (schema.ocsf.io/1.5.0). Pure.

What agents do is API Activity (6003), log-ins are Authentication (3002), factors and passwords Account Change (3001),
everything else that people and Warden do is Entity Management (3004). Index, leaf and log are in `unmapped`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.canonical import canonical
from audit.sentences import tell
from audit.sequenced import Sequenced, log_name

VERSION = "1.5.0"
API_ACTIVITY, ENTITY, AUTHENTICATION, ACCOUNT = 6003, 3004, 3002, 3001
OTHER = 99
# Kinds of people and the system that are more than the management of an entity: class, activity.
CLASSES = {
    "session:login": (AUTHENTICATION, 1),
    "session:failure": (AUTHENTICATION, 1),
    "session:logout": (AUTHENTICATION, 2),
    "session:end": (AUTHENTICATION, 2),
    "session:lockout": (ACCOUNT, 9),
    "mfa:add": (ACCOUNT, 10),
    "mfa:remove": (ACCOUNT, 11),
    "password:change": (ACCOUNT, 3),
    "password:reset": (ACCOUNT, 4),
}
ACTIVITIES = {
    1: ("create", "add", "join", "invite", "start", "propose", "connect", "link", "set"),
    2: ("export", "audit", "test"),
    3: ("change", "edit", "rename", "members", "role", "rotate", "roll", "apply", "accept"),
    4: ("delete", "remove", "revoke", "leave", "disconnect", "unlink"),
    8: ("enable", "resume"),
    9: ("disable", "pause"),
    10: ("activate",),
    12: ("suspend", "ban", "stop"),
    13: ("lift", "release"),
}
ACTIVITY_OF = {verb: number for number, verbs in ACTIVITIES.items() for verb in verbs}
# action_id and disposition_id of the profile security_control, by the result of a check.
CONTROLLED = {"allow": (1, 1), "deny": (2, 2), "ask": (OTHER, OTHER)}
STATUS = {"allow": 1, "success": 1, "approved": 1, "deny": 2, "failed": 2, "blocked": 2, "denied": 2, "error": 2}
INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4, 5
SEVERITIES = {
    "check:deny": LOW,
    "check:refuse": MEDIUM,
    "approval:refuse": LOW,
    "approval:denied": LOW,
    "session:failure": LOW,
    "session:lockout": MEDIUM,
    "agent:ban": MEDIUM,
    "agent:suspend": MEDIUM,
    "identity:ban": MEDIUM,
    "stop:start": MEDIUM,
    "record:accept": HIGH,
    "alert:fire": MEDIUM,
}
USERS = {"person": (1, "User"), "agent": (OTHER, "Agent"), "system": (3, "System")}


@dataclass(slots=True)
class _Told:
    """What a sentence needs of an event."""

    kind: str
    actor: str
    agent: str
    action: str
    target: str
    result: str


def line(event: Sequenced, *, payloads: bool) -> str:
    """The event as one line of JSON."""
    return json.dumps(to_ocsf(event, payloads=payloads), ensure_ascii=False, separators=(",", ":")) + "\n"


def to_ocsf(event: Sequenced, *, payloads: bool) -> dict[str, Any]:
    """The event as an OCSF event. Without `payloads`, nothing is in it that an agent or a person wrote."""
    body = event.body
    kind = str(body.get("kind", "unknown"))
    source, _, what = kind.partition(":")
    class_uid, activity = _class(source, what)
    said: dict[str, Any] = {
        "class_uid": class_uid,
        "category_uid": class_uid // 1_000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": _milliseconds(body.get("at")),
        "severity_id": _severity(what, event),
        "message": _message(event, kind, payloads=payloads),
        "metadata": _metadata(event, kind),
        "unmapped": _unmapped(event, kind, payloads=payloads),
    }
    if activity == OTHER:
        said["activity_name"] = what.replace(":", " ").replace("_", " ")
    said |= _status(what, str(body.get("result", "")))
    actor = {"user": _user(body)}
    if class_uid == API_ACTIVITY:
        said |= _api(event, kind, actor)
    elif class_uid == ENTITY:
        said |= {"actor": actor, "entity": _entity(event, what)}
    else:
        said |= {"actor": actor, "user": _about(event), "service": {"name": "Warden"}}
        if class_uid == ACCOUNT:
            del said["service"]
    return said


def _class(source: str, what: str) -> tuple[int, int]:
    if source == "agent":
        return API_ACTIVITY, OTHER
    return CLASSES.get(what) or (ENTITY, ACTIVITY_OF.get(what.rpartition(":")[2], OTHER))


def _api(event: Sequenced, kind: str, actor: dict[str, Any]) -> dict[str, Any]:
    """Who called, what, and whom it concerns."""
    body, kept = event.body, event.kept
    caller = str(body.get("agent") or actor["user"]["name"])
    said: dict[str, Any] = {
        "actor": actor,
        "api": {"operation": str(body.get("action") or kind), "service": {"name": "Warden"}},
        "src_endpoint": {"name": caller, **({"uid": str(kept["caller"])} if "caller" in kept else {})},
    }
    if "callee" in kept:
        said["resources"] = [{"name": str(kept["callee"]), "type": "callee"}]
    result = str(body.get("result", ""))
    if kind.startswith("agent:check:") and result in CONTROLLED:
        said["action_id"], said["disposition_id"] = CONTROLLED[result]
        if result == "ask":
            said["action"] = said["disposition"] = "ask"
    return said


def _entity(event: Sequenced, what: str) -> dict[str, Any]:
    body = event.body
    kind = what.partition(":")[0].replace("_", " ") or "event"
    uid = str(body.get("target") or body.get("agent") or body.get("action") or event.leaf or event.index)
    return {"uid": uid, "type": kind, **({"name": str(body["agent"])} if body.get("agent") else {})}


def _user(body: dict[str, Any]) -> dict[str, Any]:
    actor = body.get("actor")
    actor = actor if isinstance(actor, dict) else {}
    number, words = USERS.get(str(actor.get("type")), (0, "Unknown"))
    said = {"name": str(actor.get("label") or words), "type_id": number, "type": words}
    return said | ({"uid": str(actor["id"])} if actor.get("id") else {})


def _about(event: Sequenced) -> dict[str, Any]:
    """The account that a log-in or a change of an account is of: an address that was tried, or the actor's own."""
    email = event.data.get("email")
    return {"name": email, "type_id": 1, "type": "User"} if isinstance(email, str) and email else _user(event.body)


def _status(what: str, result: str) -> dict[str, Any]:
    if what in ("session:failure", "session:lockout"):
        return {"status_id": 2}
    if not result:
        return {}
    number = STATUS.get(result, OTHER)
    return {"status_id": number, "status": result} if number == OTHER else {"status_id": number}


def _severity(what: str, event: Sequenced) -> int:
    if what == "alert:fire" and event.data.get("severity") == "critical":
        return CRITICAL
    return SEVERITIES.get(what, INFORMATIONAL)


def _message(event: Sequenced, kind: str, *, payloads: bool) -> str:
    body = event.body
    if not body:
        return "An event is not in the database any more"
    label = _user(body)["name"]
    if not payloads:
        return " ".join(filter(None, (f"{label}:", kind, str(body.get("action") or body.get("target") or ""))))
    told = _Told(kind, label, *(str(body.get(name, "")) for name in ("agent", "action", "target", "result")))
    return "".join(part.text for part in tell(told, event.data))


def _metadata(event: Sequenced, kind: str) -> dict[str, Any]:
    body = event.body
    said: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "Warden", "vendor_name": "Warden"},
        "event_code": kind,
        "log_name": event.origin,
        "sequence": event.index,
    }
    for name, value in (("uid", body.get("id")), ("tenant_uid", body.get("organization"))):
        if value:
            said[name] = str(value)
    if body.get("at"):
        said["original_time"] = str(body["at"])
    if trace := event.kept.get("trace_id"):
        said["correlation_uid"] = str(trace)
    if kind.startswith("agent:check:") and body.get("result") in CONTROLLED:
        said["profiles"] = ["security_control"]
    return said


def _unmapped(event: Sequenced, kind: str, *, payloads: bool) -> dict[str, Any]:
    body = event.body
    columns = {name: body.get(name, "") for name in ("mode", "result", "agent", "action", "target")}
    said = {"index": event.index, "leaf": event.leaf, "log": log_name(event.mode), "kind": kind}
    said |= {name: value for name, value in columns.items() if value}
    return said | {"data": canonical(event.data)} if payloads else said | event.kept


def _milliseconds(at: Any) -> int:
    try:
        return int(datetime.fromisoformat(str(at)).timestamp() * 1_000)
    except ValueError:
        return 0
