"""Events in words. One table: a kind, its icon, and a sentence whose gaps are filled from the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple, Protocol


class Sentence(NamedTuple):
    icon: str
    words: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a sentence. Only what is `ours` is our own wording; draw every other piece as somebody's text."""

    text: str
    gap: str = ""

    @property
    def ours(self) -> bool:
        return not self.gap


class Told(Protocol):
    """What a sentence needs of an event."""

    kind: str
    actor: str
    agent: str
    action: str
    target: str
    result: str


# Gaps: columns of the event, names in its data, or `fields`: what a change changed. What stands in [brackets] is left
# out where its gap is empty. What people and the system both do is told once, without its source.
_AGENTS = {
    "check:allow": Sentence("check", "{agent} was allowed {action}"),
    "check:deny": Sentence("x", "{agent} was refused {action}[: {reason}]"),
    "check:ask": Sentence("hand", "{agent} asked for {action}"),
    "check:refuse": Sentence("ban", "A key asked for {action} as an agent that does not exist[: {agent_id}]"),
    "action:log": Sentence("file-text", "{agent} says that {action} came to: {result}"),
    "approval:claim": Sentence("badge-check", "{agent} took its approval of {action}"),
    "approval:refuse": Sentence("ban", "{agent} could not take its approval of {action}[: {reason}]"),
    "approval:cancel": Sentence("circle-slash", "{agent} gave up {action}"),
    "grant:use": Sentence("ticket-check", "{agent} was allowed {action} by a grant[: {reason}]"),
    "call:consume": Sentence("badge-check", "{agent} took what it was allowed: {action}"),
    "call:refuse": Sentence("ban", "{agent} could not take what it was allowed: {action}[: {reason}]"),
    "instance:create": Sentence("plug", "A provisioner made the instance {named} of {agent}"),
    "instance:change": Sentence("pencil", "A provisioner changed the instance {named} of {agent}[: {fields}]"),
    "instance:retire": Sentence("unplug", "A provisioner retired the instance {named} of {agent}"),
    "approval:stop": Sentence("ban", "What {agent} waited for was cancelled: {action}[ ({reason})]"),
    "comment:answer": Sentence("message-square-reply", "{agent} answered about {action}"),
    "key:first_use": Sentence("key-round", "A key of [{agent}] was used for the first time"),
}
_OTHERS = {
    "approval:expired": Sentence("timer-off", "Nobody decided in time what {agent} asked: {action}"),
    "approval:reminded": Sentence("bell", "Those who may decide what {agent} asked were reminded: {action}"),
    "approval:escalated": Sentence("bell-ring", "Nobody decided yet, so {to} may decide {action} of {agent} too"),
    "approval:lapsed": Sentence("timer-off", "{agent} did not take its approval of {action} in time"),
    "approval:approved": Sentence("circle-check", "{action} of {agent} was approved, by {actor} last[: {reason}]"),
    "approval:denied": Sentence("circle-x", "{action} of {agent} was denied, by {actor} last[: {reason}]"),
    "record:rotate": Sentence("refresh-cw", "{actor} rotated the key that signs the record"),
    "record:accept": Sentence("octagon-alert", "{actor} accepted a restored record[: {reason}]"),
    "approval:edit": Sentence("file-pen-line", "{actor} changed {edited} of {action} that {agent} asked[: {reason}]"),
    "grant:create": Sentence("ticket-plus", "{actor} granted more of the same: {words}"),
    "grant:revoke": Sentence("ticket-x", "{actor} ended a grant, {words}[: {reason}]"),
    "review:changes": Sentence("message-square-warning", "{actor} asked {agent} to change {action}[: {reason}]"),
    "comment:comment": Sentence("message-square", "{actor} commented on {action} of {agent}[, for {mentioned}]"),
    "comment:question": Sentence(
        "message-circle-question-mark", "{actor} asked {agent} about {action}[, for {mentioned}]"
    ),
    "approval:void": Sentence("ban", "What {agent} was approved is void: {reason}"),
    "review:approve": Sentence("thumbs-up", "{actor} approved {action} of {agent}[ for {for}][: {reason}]"),
    "review:deny": Sentence("thumbs-down", "{actor} denied {action} of {agent}[ for {for}][: {reason}]"),
    "delegation:create": Sentence("plane", "{email} is away from {starts_at} to {ends_at}[; {to} may decide for them]"),
    "delegation:end": Sentence("undo-2", "{actor} called off the absence of {email}"),
    "organization:single": Sentence("user-x", "{actor} gave up that two people are needed"),
    "organization:several": Sentence("users", "{actor} made two people needed again"),
    "record:export": Sentence("download", "{actor} exported the record"),
    "agent:create": Sentence("bot", "{actor} created the agent {agent}"),
    "agent:change": Sentence("pencil", "{actor} changed the agent {agent}[: {fields}]"),
    "agent:activate": Sentence("circle-play", "{actor} activated {agent}[: {reason}]"),
    "agent:suspend": Sentence("circle-pause", "{actor} suspended {agent}[: {reason}]"),
    "agent:ban": Sentence("ban", "{actor} banned {agent}[: {reason}]"),
    "approval:stop": Sentence("ban", "What {agent} waited for was cancelled: {action}[ ({reason})]"),
    "identity:ban": Sentence("ban", "{actor} banned {spiffe_id}[: {reason}]"),
    "identity:lift": Sentence("undo-2", "{actor} lifted the ban of {spiffe_id}"),
    "evidence:export": Sentence("package", "{actor} exported the evidence about {agent}"),
    "agent:delete": Sentence("trash-2", "{actor} deleted the agent {agent}"),
    "privacy:create": Sentence("lock-keyhole", "{actor} made a privacy rule: {named}"),
    "privacy:delete": Sentence("lock-keyhole-open", "{actor} deleted a privacy rule: {named}"),
    "record:retention": Sentence("archive-x", "{events} events from before {before} are let go: their time is over"),
    "approval:retention": Sentence(
        "archive-x", "{requests} requests from before {before} are let go: their time is over"
    ),
    "delivery:retention": Sentence(
        "archive-x", "{deliveries} messages from before {before} are let go: their time is over"
    ),
    "subject:erase": Sentence("eraser", "{actor} erased a subject[: {reason}]"),
    "approval:reveal": Sentence("eye", "{actor} was shown encrypted values of {target}"),
    "agent:audit": Sentence("clipboard-check", "{actor} reviewed all that {agent} may do"),
    "permission_review:start": Sentence("clipboard-list", "{actor} began to review what {agent} may do"),
    "permission_review:keep": Sentence("check", "{actor} keeps {what} of {agent}, reviewed[: {reason}]"),
    "permission_review:narrow": Sentence("fold-horizontal", "{actor} has {what} of {agent} narrowed[: {reason}]"),
    "permission_review:remove": Sentence("trash-2", "{actor} removed {what} of {agent}, reviewed[: {reason}]"),
    "permission_review:sign": Sentence("signature", "{actor} signed the review of {agent}"),
    "shadow:set": Sentence("ghost", "{actor} set a shadow policy[ of {source}]: {summary}"),
    "shadow:end": Sentence("ghost", "{actor} ended the shadow policy[ of {source}]"),
    "external_opa:set": Sentence("shield-check", "{actor} has the external OPA at {url} asked"),
    "external_opa:remove": Sentence("shield-off", "{actor} has the external OPA at {url} asked no more"),
    "policy_proposal:propose": Sentence("git-pull-request-arrow", "{actor} proposed a change of the policy: {summary}"),
    "policy_proposal:accept": Sentence("circle-check", "{actor} accepted a change of the policy: {summary}"),
    "policy_proposal:reject": Sentence("circle-x", "{actor} rejected a change of the policy: {reason}"),
    "policy:apply": Sentence("file-check", "{actor} applied the policy's files[ of {source}]: {summary}"),
    "permission:create": Sentence("layers", "{actor} added a tier {action} to {agent}"),
    "permission:change": Sentence("pencil", "{actor} changed the tier {action} of {agent}[: {fields}]"),
    "permission:delete": Sentence("trash-2", "{actor} deleted the tier {action} of {agent}"),
    "rule:create": Sentence("scale", "{actor} created the approval rule[ {named}]"),
    "rule:change": Sentence("pencil", "{actor} changed an approval rule[: {fields}]"),
    "rule:delete": Sentence("trash-2", "{actor} deleted the approval rule[ {named}]"),
    "key:create": Sentence("key-round", "{actor} created the key[ {named}][ of {agent}]"),
    "key:roll": Sentence("refresh-cw", "{actor} rolled a key[ of {agent}]"),
    "key:revoke": Sentence("circle-slash", "{actor} revoked a key[ of {agent}]"),
    "provisioner:create": Sentence("key-round", "{actor} made the provisioner token[ {named}] of {agent}"),
    "provisioner:revoke": Sentence("circle-slash", "{actor} revoked a provisioner token of {agent}"),
    "instance:create": Sentence("plug", "{actor} made the instance {named} of {agent}"),
    "instance:change": Sentence("pencil", "{actor} changed the instance {named} of {agent}[: {fields}]"),
    "instance:retire": Sentence("unplug", "{actor} retired the instance {named} of {agent}"),
    "organization:create": Sentence("building-2", "{actor} created the organization[ {name}]"),
    "organization:change": Sentence("settings", "{actor} changed the organization[: {fields}]"),
    "stop:start": Sentence("octagon-pause", "{actor} stopped {what}[: {reason}]"),
    "stop:ask": Sentence("hand", "{actor} asked to release the stop of {what}[: {reason}]"),
    "stop:keep": Sentence("octagon-pause", "{actor} took back the request to release the stop of {what}"),
    "stop:release": Sentence("circle-play", "{actor} released the stop of {what}[, as {asked_by} had asked]"),
    "member:add": Sentence("user-plus", "{actor} added {email} as {role}"),
    "member:invite": Sentence("mail", "{actor} invited {email} as {role}"),
    "member:join": Sentence("user-check", "{actor} joined as {role}"),
    "member:role": Sentence("user-cog", "{actor} made {email} {to}, who was {from}"),
    "member:glass": Sentence("hammer", "{actor} let {email} break the glass"),
    "member:no_glass": Sentence("hammer", "{actor} does not let {email} break the glass any more"),
    "glass:justified": Sentence("signature", "{actor} found it justified that {of} broke the glass[: {note}]"),
    "glass:unjustified": Sentence("signature", "{actor} found it not justified that {of} broke the glass[: {note}]"),
    "glass:overdue": Sentence("siren", "Nobody has signed off in time that {of} broke the glass for {agent}"),
    "approval:break_glass": Sentence("hammer", "{actor} allowed {action} of {agent} outside its rule[: {reason}]"),
    "member:remove": Sentence("user-minus", "{actor} removed {email}"),
    "member:leave": Sentence("log-out", "{actor} left the organization"),
    "invitation:resend": Sentence("mail", "{actor} sent the invitation of {email} again"),
    "invitation:revoke": Sentence("circle-slash", "{actor} revoked the invitation of {email}"),
    "channel:create": Sentence("megaphone", "{actor} created the channel {name}"),
    "channel:change": Sentence("pencil", "{actor} changed the channel {name}[: {fields}]"),
    "channel:rotate": Sentence("refresh-cw", "{actor} gave the channel {name} a new secret"),
    "channel:enable": Sentence("circle-play", "{actor} turned the channel {name} on"),
    "channel:disable": Sentence("circle-pause", "{actor} turned the channel {name} off[: {because}]"),
    "channel:delete": Sentence("trash-2", "{actor} deleted the channel {name}"),
    "channel:test": Sentence("send", "{actor} sent a test to the channel {name}"),
    "stream:create": Sentence("radio-tower", "{actor} created the stream {name}"),
    "stream:change": Sentence("pencil", "{actor} changed the stream {name}[: {fields}]"),
    "stream:rotate": Sentence("refresh-cw", "{actor} gave the stream {name} a new secret"),
    "stream:pause": Sentence("circle-pause", "{actor} paused the stream {name}"),
    "stream:resume": Sentence("circle-play", "{actor} resumed the stream {name}"),
    "stream:move": Sentence("rotate-ccw", "{actor} had the stream {name} begin at {index} of the {log} log"),
    "stream:test": Sentence("send", "{actor} tested the stream {name}[, and heard: {answer}]"),
    "stream:delete": Sentence("trash-2", "{actor} deleted the stream {name}"),
    "delivery:retry": Sentence("repeat", "{actor} had {event} delivered again[ to {address}]"),
    "preference:change": Sentence("bell", "{actor} changed what they are told of[: {fields}]"),
    "mail:test": Sentence("mail-check", "{actor} tested the mail server[, which said: {answer}]"),
    "slack:connect": Sentence("plug", "{actor} connected Slack[ ({name})]"),
    "slack:disconnect": Sentence("unplug", "{actor} disconnected Slack[ ({name})]"),
    "slack:disable": Sentence("circle-pause", "{actor} turned Slack off[: {because}]"),
    "slack:link": Sentence("link", "{actor} linked {email} to a Slack user[ {slack_user}]"),
    "slack:unlink": Sentence("unlink", "{actor} unlinked {email} from a Slack user[ {slack_user}]"),
    "alert:fire": Sentence("siren", "The alert {named} fired[: {rule}]"),
    "alert:resolve": Sentence("circle-check", "The alert {named} is resolved"),
    "alert_rule:create": Sentence("bell-plus", "{actor} created the alert rule {named}"),
    "alert_rule:change": Sentence("pencil", "{actor} changed the alert rule {named}[: {fields}]"),
    "alert_rule:delete": Sentence("trash-2", "{actor} deleted the alert rule {named}"),
    "team:create": Sentence("users", "{actor} created the team {name}"),
    "team:rename": Sentence("pencil", "{actor} renamed the team {from} to {to}"),
    "team:members": Sentence("users", "{actor} changed the team {name}[, added {added}][, removed {removed}]"),
    "team:delete": Sentence("trash-2", "{actor} deleted the team {name}"),
    "token:create": Sentence("key-round", "{actor} made the access token {name}[, which may {scopes}]"),
    "token:revoke": Sentence("circle-slash", "{actor} revoked the access token {name}[ of {email}]"),
    "token:first_use": Sentence("key-round", "{actor} used the access token {name} for the first time"),
    "session:login": Sentence("log-in", "{actor} logged in[ with {methods}][ from {ip}]"),
    "session:logout": Sentence("log-out", "{actor} logged out"),
    "session:end": Sentence("log-out", "{actor} ended a session[ of {email}]"),
    "session:failure": Sentence("shield-alert", "A log-in as {email} failed[ from {ip}]"),
    "session:lockout": Sentence("lock", "{email} was locked out after failed log-ins[ from {ip}]"),
    "mfa:add": Sentence("shield-check", "{actor} added a second factor[: {type}][ {name}]"),
    "mfa:remove": Sentence("shield-off", "{actor} removed a second factor[: {type}][ {name}]"),
    "identity:connect": Sentence("link", "{actor} connected an identity of {provider}"),
    "identity:disconnect": Sentence("unlink", "{actor} disconnected an identity of {provider}"),
    "email:change": Sentence("mail", "{actor} changed an address of {email}"),
    "password:change": Sentence("lock-keyhole", "{actor} changed the password of {email}"),
    "password:reset": Sentence("lock-keyhole", "{actor} reset the password of {email}"),
    "profile:change": Sentence("user", "{actor} changed the profile of {email}[: {fields}]"),
}
SENTENCES: dict[str, Sentence] = (
    {f"agent:{name}": told for name, told in _AGENTS.items()}
    | {f"person:{name}": told for name, told in _OTHERS.items()}
    | {f"system:{name}": told for name, told in _OTHERS.items()}
)
ICONS = {"agent": "bot", "person": "user", "system": "shield"}  # of a kind that has no sentence


def tell(event: Told, data: Mapping[str, Any]) -> list[Part]:
    """The event as a sentence, in pieces. An unknown kind is told by its own words, never hidden."""
    known = SENTENCES.get(event.kind)
    if known is None:
        _, _, rest = event.kind.partition(":")
        words = (rest or event.kind).replace(":", " ").replace("_", " ")
        return [Part(event.actor or "Warden", "actor"), Part(f": {words}"), *_on(event)]
    return list(_fill(known.words, event, data))


def icon(kind: str) -> str:
    """The drawing of a kind."""
    known = SENTENCES.get(kind)
    return known.icon if known else ICONS.get(kind.partition(":")[0], "circle-dot")


def _on(event: Told) -> list[Part]:
    what = event.action or event.target or event.agent
    return [Part(" "), Part(what, "target")] if what else []


def _fill(words: str, event: Told, data: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    for piece in words.replace("]", "[").split("["):
        optional = f"[{piece}]" in words
        made = [
            part
            for text, gap, _, _ in Formatter().parse(piece)
            for part in ([Part(text)] if text else []) + ([Part(_value(gap, event, data), gap)] if gap else [])
        ]
        if not optional or all(part.ours or part.text for part in made):
            parts += [part for part in made if part.text]
    return parts


def _value(gap: str, event: Told, data: Mapping[str, Any]) -> str:
    changed = _first(data, "changes", "after", "before")
    value: Any
    match gap:
        case "fields":
            value = [name.replace("_", " ") for name in changed]
        case "named":
            value = data.get("named") or changed.get("name")
        case "actor":
            value = event.actor or "Warden"
        case "kind" | "agent" | "action" | "target" | "result":
            value = getattr(event, gap)
        case _:
            value = data.get(gap)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _first(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return next((value for name in names if isinstance(value := data.get(name), dict) and value), {})
