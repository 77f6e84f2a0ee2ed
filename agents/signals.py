"""What happens here that rooms to the right may want to join in."""

from django.dispatch import Signal

# Sent inside the transaction that bans an agent, with `agent`, `by` (agents.services.by.Who) and `reason`: what a
# receiver writes commits with it, and what it raises undoes it.
agent_banned = Signal()

# Sent inside the transaction in which an instance of AAP loses its receiver, with `instance`.
receiver_removed = Signal()

# Sent inside the transaction that retires an instance of AAP, with `instance` and `by` (audit.leaf.Actor).
instance_retired = Signal()

# Sent inside the transaction that proposes a change of the policy, or decides one, with `proposal`.
proposal_moved = Signal()
