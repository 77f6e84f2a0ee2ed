"""What happens here that rooms to the right may want to join in."""

from django.dispatch import Signal

# Sent inside the transaction that makes an organization, with `organization` and `by` (audit.leaf.Actor): what a
# receiver writes commits with it, and what it raises undoes it.
organization_created = Signal()
