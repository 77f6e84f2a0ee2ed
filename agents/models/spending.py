"""What of each budget was used in each of its windows."""

from django.core.exceptions import ValidationError
from django.db import models

from agents.policy.budgets import NAMES, limits_of


class Spending(models.Model):
    """One counter: of a tier or an agent, in one mode and window. agents.spending is the only writer.

    `unit` is empty for how often, and a currency for how much.
    """

    owner = models.UUIDField()
    mode = models.CharField(max_length=4)
    span = models.CharField(max_length=5)
    starts = models.DateTimeField()
    unit = models.CharField(max_length=3, blank=True)
    value = models.DecimalField(max_digits=30, decimal_places=10)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "mode", "span", "starts", "unit"], name="spending_once"),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="spending_not_negative"),
        ]
        indexes = [models.Index(fields=["starts"], name="spending_old")]  # for forgetting

    def __str__(self) -> str:
        return f"{self.value} of {self.owner} in the {self.span} of {self.starts}"


def clean_limits(given: object, currency: str, field: str = "currency") -> dict[str, object]:
    """Limits as they are kept: whole numbers, and amounts as text. `field` is what names the currency.

    Raises ValidationError.
    """
    if not isinstance(given, dict) or not given.keys() <= {*NAMES}:
        raise ValidationError({"limits": f"Limits are {', '.join(NAMES)}."})
    kept: dict[str, object] = {}
    for name, most in given.items():
        if most in (None, ""):
            continue
        try:
            (limit,) = limits_of({name: most}, currency or None)
        except ValueError as error:
            raise ValidationError({field: "A total needs one currency: name it."}) from error
        except ArithmeticError as error:
            raise ValidationError({name: "Use a number."}) from error
        whole = name.startswith("count")
        if not limit.most.is_finite() or limit.most < 0 or limit.most >= 10**15 or (whole and limit.most % 1):
            raise ValidationError({name: f"Use a {'whole ' if whole else ''}number, 0 or more."})
        kept[name] = int(limit.most) if whole else format(limit.most.normalize(), "f")
    return kept
