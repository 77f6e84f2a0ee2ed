"""What an agent is about to do, as one sentence: `refund $500.00 to cus_ABC123`.

Made of the action's name, the amount the policy compared, and the likeliest field of the context. It helps to read;
what is decided is the exact payload below it. Values come from the agent: whoever shows them draws them harmless.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

LONGEST = 80  # characters of a value in a sentence; an amount is never cut

MONEY = {"refund", "pay", "payout", "transfer", "charge", "credit", "payment", "withdraw", "reimburse", "invoice"}
_SPOKEN = {"payment": "pay", "payout": "pay out"}
MAKING = {"create", "issue", "execute", "make", "request", "submit", "process"}  # `stripe.refund.create` is a refund
TIERS = {"small", "medium", "large", "xlarge", "huge", "any", "low", "high", "default", "bulk"}
VERBS = {
    "add", "approve", "archive", "assign", "backup", "ban", "block", "book", "call", "cancel", "change", "clear",
    "close", "comment", "commit", "configure", "connect", "copy", "create", "deactivate", "delete", "deploy",
    "disable", "download", "drop", "edit", "email", "enable", "execute", "export", "fetch", "grant", "import",
    "install", "invite", "issue", "list", "lock", "merge", "migrate", "modify", "move", "notify", "open", "order",
    "pause", "post", "provision", "publish", "purchase", "purge", "push", "query", "read", "reboot", "remove",
    "rename", "reset", "resize", "restart", "restore", "resume", "revoke", "rollback", "rotate", "run", "scale",
    "schedule", "search", "send", "share", "shutdown", "start", "stop", "suspend", "sync", "terminate", "truncate",
    "unlock", "update", "upgrade", "upload", "upsert", "wipe", "write",
}  # fmt: skip
_SENT = {"send", "email", "post", "notify", "share", "invite", "publish"}

# Fields that say to whom or what, likeliest first.
_PAID = (
    "customer_id", "customer", "recipient", "to", "payee", "account_id", "account", "vendor", "user_id",
    "charge_id", "charge", "payment_intent", "payment_id", "invoice_id", "invoice", "order_id", "ticket_id",
)  # fmt: skip
_TOLD = (
    "to", "recipient", "recipients", "email", "address", "channel", "phone", "customer_id", "customer", "user_id",
)  # fmt: skip
_DEPLOYED = (
    "service", "app", "application", "repository", "repo", "project", "artifact", "image", "version", "ref",
)  # fmt: skip
_ANY = (
    "ticket_id", "ticket", "id", "record_id", "resource", "name", "table", "database", "path", "file", "url",
    "host", "hostname", "server", "instance", "service", "user_id", "user", "customer_id", "customer", "email",
    "to", "dataset", "repository", "repo", "branch",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the sentence: our own words, the amount, or a value the agent gave."""

    kind: Literal["words", "amount", "value"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What follows `support-bot wants to`."""

    parts: tuple[Part, ...]

    def plain(self, amount: str) -> str:
        """As plain text, with the amount written as given."""
        return " ".join(amount if part.kind == "amount" else part.text for part in self.parts)


def sentence(action: str, amount: Decimal | None, context: Mapping[str, Any]) -> Sentence:
    """The sentence for an action. Total: any action and any context have one."""
    return Sentence(tuple(_parts(action, amount, context)))


def _parts(action: str, amount: Decimal | None, context: Mapping[str, Any]) -> Iterator[Part]:
    names = action.split(".")
    while len(names) > 1 and names[-1] in TIERS:
        names.pop()
    verb, things = _verb(names)
    if verb in MONEY:
        yield Part("words", _SPOKEN.get(verb, verb))
        yield Part("amount") if amount is not None else Part("words", "an amount it does not state")
        yield from _target(context, _PAID, "to")
    elif verb == "deploy":
        yield Part("words", verb)
        yield from _target(context, _DEPLOYED)
        if things:
            yield Part("words", f"to {' '.join(things)}")
        yield from _worth(amount)
    elif verb:
        yield Part("words", " ".join([verb, *things]))
        yield from _target(context, _TOLD, "to") if verb in _SENT else _target(context, _ANY)
        yield from _worth(amount)
    else:
        yield Part("words", f"run {action}")
        yield from _target(context, _ANY, "on")
        yield from _worth(amount)


def _verb(names: list[str]) -> tuple[str, list[str]]:
    """The verb of a name and what it is done to, both as words; no verb where the name holds none that we know."""
    words = [name.replace("_", " ").replace("-", " ") for name in names]
    *before, last = names
    if last in MONEY:
        return last, words[:-1]
    if last in MAKING and before and before[-1] in MONEY:
        return before[-1], words[:-2]
    if last in VERBS:
        return last, words[:-1]
    if names[0] in VERBS | MONEY:
        return names[0], words[1:]
    return "", words


def _worth(amount: Decimal | None) -> Iterator[Part]:
    if amount is not None:
        yield Part("words", "for")
        yield Part("amount")


def _target(context: Mapping[str, Any], fields: tuple[str, ...], preposition: str = "") -> Iterator[Part]:
    for field in fields:
        value = _value(context.get(field))
        if value:
            if preposition:
                yield Part("words", preposition)
            yield Part("value", value)
            return


def _value(value: Any) -> str:
    """A scalar as text, the first of a list with how many more; empty for anything else."""
    if isinstance(value, list):
        first = _value(value[0]) if value and not isinstance(value[0], list) else ""
        return f"{first} and {len(value) - 1:,} more" if first and len(value) > 1 else first
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    text = str(value).strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
