"""How many requests of an agent wait for people."""

from django.db import models


class Place(models.Model):
    """One counter: the pending requests of an agent in one mode, as far as they were added up.

    `approvals.pending` is the only writer. With the PlaceChanges that are not in it yet, it is exact.
    """

    agent_id = models.UUIDField()
    mode = models.CharField(max_length=4)
    taken = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent_id", "mode"], name="place_once")]

    def __str__(self) -> str:
        return f"{self.taken} of {self.agent_id} in {self.mode}"


class PlaceChange(models.Model):
    """Requests that began to wait (1), or do not any more (-1), and that no Place has yet.

    The database writes it with each change of a state, whoever makes it (migration 0014); rows wait for no lock.
    """

    agent_id = models.UUIDField()
    mode = models.CharField(max_length=4)
    change = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["agent_id", "mode"], name="place_change")]

    def __str__(self) -> str:
        return f"{self.change:+} of {self.agent_id} in {self.mode}"
