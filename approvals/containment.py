"""What an agent's ban ends here: everything that it waits for, in the transaction of the ban."""

from typing import Any

from django.db import transaction

from agents.models import Agent, Instance
from agents.services.by import Who, actor
from approvals import services, states
from approvals.models import Approval
from audit.clock import database_now
from audit.leaf import SYSTEM, Actor

BECAUSE = "Its agent was banned"
RETIRED = "Its instance was retired"


def follow_ban(*, agent: Agent, by: Who, **_: Any) -> None:
    """Cancels what the agent waits for, live and test; those who wait are told. A receiver of agents.signals."""
    pending = Approval.objects.filter(agent=agent, state=states.PENDING)
    _cancel(list(pending.select_for_update(of=("self",)).order_by("id")), actor(by))


def follow_retirement(*, instance: Instance, by: Actor, **_: Any) -> None:
    """Cancels what an AAP instance waits for, in the transaction that retires it. A receiver of agents.signals."""
    pending = Approval.objects.filter(key_id=instance.pk, by_aap=True, state=states.PENDING)
    _cancel(list(pending.select_for_update(of=("self",)).order_by("id")), by, RETIRED)


def cancel_left_over(limit: int = 500) -> int:
    """Cancels what a banned agent, or a retired instance, asked in the very moment of that. Returns how many; may run
    twice, or at once."""
    retired = Instance.objects.filter(retired_at__isnull=False).values("pk")
    with transaction.atomic():
        pending = Approval.objects.select_for_update(skip_locked=True, of=("self",)).filter(state=states.PENDING)
        banned = pending.filter(agent__status=Agent.Status.BANNED).order_by("id")[:limit]
        ended = _cancel(list(banned), SYSTEM)
        return ended + _cancel(list(pending.filter(by_aap=True, key_id__in=retired)[:limit]), SYSTEM, RETIRED)


def _cancel(pending: list[Approval], by: Actor, reason: str = BECAUSE) -> int:
    now = database_now()
    values = {"state": states.CANCELLED, "decided_at": now, "reason": reason}
    ids = [approval.id for approval in pending]
    changed = Approval.objects.filter(id__in=ids, state=states.PENDING).update(**values)
    services.all_or_nothing(changed, pending)
    for approval in pending:
        for name, value in values.items():
            setattr(approval, name, value)
    kind = f"{by.type}:approval:stop"
    services.tell(
        pending, [services.entry(each, kind, by, states.CANCELLED, {"reason": reason}) for each in pending], now
    )
    return changed
