"""What happened to a person, a team or an organization, newest first, in words."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organization
from audit.ids import show_id
from audit.models import Event

# subject:action → (icon, words); {…} are the event's data
WORDS = {
    "member:add": ("user-plus", "added {email} as {role}"),
    "member:invite": ("mail", "invited {email} as {role}"),
    "member:join": ("user-plus", "joined as {role}"),
    "member:role": ("user-cog", "changed the role of {email} from {from} to {to}"),
    "member:glass": ("hammer", "let {email} break the glass"),
    "member:no_glass": ("hammer", "does not let {email} break the glass any more"),
    "member:remove": ("user-minus", "removed {email}"),
    "member:leave": ("log-out", "left"),
    "invitation:resend": ("mail", "sent the invitation of {email} again"),
    "invitation:revoke": ("mail-x", "revoked the invitation of {email}"),
    "team:create": ("users-round", "made the team {name}"),
    "team:rename": ("pencil", "renamed the team {from} to {to}"),
    "team:members": ("users-round", "changed who is in {name}"),
    "team:delete": ("trash-2", "deleted the team {name}"),
    "organization:create": ("building-2", "made the organization"),
    "organization:change": ("pencil", "changed the organization"),
    "token:create": ("key-round", "made the access token {name}"),
    "token:first_use": ("key-round", "used the access token {name} for the first time"),
    "token:revoke": ("key-round", "revoked the access token {name}"),
    "stream:create": ("radio-tower", "made the stream {name}"),
    "stream:change": ("pencil", "changed the stream"),
    "stream:rotate": ("refresh-cw", "gave it a new signing secret"),
    "stream:pause": ("circle-pause", "paused it"),
    "stream:resume": ("circle-play", "resumed it"),
    "stream:move": ("rotate-ccw", "had it begin at {index} of the {log} log; it was at {at}"),
    "stream:test": ("send", "tested it: {answer}"),
    "channel:create": ("megaphone", "made the channel"),
    "channel:change": ("pencil", "changed the channel"),
    "channel:rotate": ("refresh-cw", "gave it a new signing secret"),
    "channel:enable": ("circle-play", "enabled it"),
    "channel:disable": ("circle-pause", "disabled it"),
    "channel:test": ("send", "sent it a test"),
    "slack:connect": ("plug", "connected {name}"),
    "slack:disable": ("circle-pause", "disabled it: {because}"),
    "session:login": ("log-in", "logged in"),
    "session:logout": ("log-out", "logged out"),
    "session:end": ("log-out", "ended {count} other sessions"),
    "session:failure": ("triangle-alert", "refused a log-in as {email}"),
    "session:lockout": ("lock", "locked out {email} after too many failures"),
    "password:change": ("lock-keyhole", "changed the password"),
    "password:set": ("lock-keyhole", "set a password"),
    "password:reset": ("lock-keyhole", "reset the password by mail"),
    "mfa:add": ("shield-check", "added a second factor ({type})"),
    "mfa:remove": ("shield-off", "removed a second factor ({type})"),
    "identity:connect": ("link", "connected single sign-on"),
    "identity:disconnect": ("unlink", "disconnected single sign-on"),
    "email:change": ("mail", "changed the e-mail address"),
    "profile:change": ("pencil", "changed the profile"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One event: who did what, when, and how each field went from what to what."""

    at: datetime
    actor: str
    icon: str
    words: str
    changes: list[tuple[str, str, str]]


def step(event: Event) -> Step:
    """An event of this room in words. One of another room is shown by its kind."""
    data = event.data
    icon, words = WORDS.get(event.kind.partition(":")[2], ("circle-dot", event.kind))
    try:
        words = words.format(**data)
    except (KeyError, IndexError):
        words = event.kind
    changes = data.get("changes")
    fields = changes if isinstance(changes, dict) else {}
    rows = [
        (name.replace("_", " "), _shown(each.get("from")), _shown(each.get("to")))
        for name, each in fields.items()
        if isinstance(each, dict)
    ]
    return Step(event.at, event.actor or "Warden", icon, words, rows)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def trail_of(organization: Organization, prefix: str, pk: uuid.UUID, limit: int = 20) -> list[Step]:
    """The last `limit` events about the object with that identifier."""
    events = Event.objects.filter(organization_id=organization.id, target=show_id(prefix, pk)).order_by("-id")[:limit]
    return [step(event) for event in events]
