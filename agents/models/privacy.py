"""What of requests is stored only withheld or encrypted."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.policy.names import is_permission_name
from audit import sealing
from audit.ids import new_id

EVERY = "*"
NEVER = {"amount", "currency"}  # tiers are chosen by them, and people shown them
DEPTH, LONGEST = 8, 300


def read_path(text: str, *, wild: bool) -> tuple[str, ...]:
    """The names of a path such as `customer.email` or `lines.*.iban`. Raises ValidationError."""
    names = tuple(text.strip().removeprefix("$.").split("."))
    if not all(names) or len(names) > DEPTH:
        raise ValidationError(f"Write names with dots between them, at most {DEPTH}, such as customer.email.")
    if names[0] == sealing.ANY or (not wild and sealing.ANY in names):
        raise ValidationError("* stands for each name or item within a field, not for the field itself.")
    if any(name.startswith("$") for name in names):
        raise ValidationError("No name begins with $ but the $. of the whole path.")
    return names


def check_pattern(text: str) -> None:
    if text != EVERY and not is_permission_name(text):
        raise ValidationError("Write an action such as stripe.refund, a wildcard such as stripe.*, or * for all.")


class PrivacyRule(models.Model):
    """Holds from its commit on, for what is asked and logged then; what was stored before stays as it is."""

    class Treatment(models.TextChoices):
        REDACT = "redact", "Withhold: the value is stored nowhere"
        ENCRYPT = "encrypt", "Encrypt: under the subject's key, readable until that is erased"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="privacy_rules")
    action = models.CharField(
        "Actions", max_length=200, validators=[check_pattern], help_text="stripe.refund, stripe.* or * for all."
    )
    path = models.CharField(
        "Field", max_length=LONGEST, help_text="Its path in the context, such as customer.email or lines.*.iban."
    )
    treatment = models.CharField("What is done", max_length=7, choices=Treatment)
    subject = models.CharField(
        "Subject",
        max_length=LONGEST,
        blank=True,
        help_text="The field that says whose it is, such as customer.id. Needed to encrypt.",
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["action", "path"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "action", "path"], name="privacy_rule_once"),
            models.CheckConstraint(
                condition=models.Q(treatment="redact") | ~models.Q(subject=""), name="privacy_rule_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.treatment} {self.path} of {self.action}"

    def clean(self) -> None:
        """Raises ValidationError where a path is none, or the policy could not do without what it covers."""
        problems: dict[str, ValidationError | str] = {}
        for name, wild in (("path", True), ("subject", False)):
            if text := getattr(self, name):
                try:
                    names = read_path(text, wild=wild)
                    setattr(self, name, ".".join(names))
                except ValidationError as error:
                    problems[name] = error
                    continue
                if name == "path" and names[0] in NEVER:
                    problems[name] = "Amount and currency choose the tier, and are shown: they cannot be covered."
        if self.treatment == self.Treatment.ENCRYPT and not self.subject:
            problems.setdefault("subject", "Name the field that says whose it is: its key encrypts, and erases.")
        if problems:
            raise ValidationError(problems)

    @property
    def sealing(self) -> sealing.Rule:
        """As the pure functions take it."""
        treatment = "encrypt" if self.treatment == self.Treatment.ENCRYPT else "redact"
        subject = tuple(self.subject.split(".")) if self.subject else ()
        return sealing.Rule(tuple(self.path.split(".")), treatment, subject)  # type: ignore[arg-type]
