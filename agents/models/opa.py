"""An organization's external OPA: a gate that can only tighten."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from accounts.models import Organization, User
from agents.opa.gate import Gate

FILE = RegexValidator(r"\A[A-Za-z0-9_-][A-Za-z0-9._-]*\Z", "A file's name, of letters, digits, dots, dashes.")
LEAST, MOST = 50, 3_000  # milliseconds


def _file(words: str) -> models.CharField:
    return models.CharField(max_length=100, blank=True, validators=[FILE], help_text=words)


class ExternalOpa(models.Model):
    """Asked about everything that this Warden would allow, or ask people about. No row: nothing is asked.

    Secrets are files of the machine, named here: in OPA_CREDENTIALS_DIR, in a folder that has the organization's slug.
    """

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="external_opa")
    url = models.CharField(
        "URL", max_length=2_048, help_text="Of the rule, such as https://opa.example.com/v1/data/acme/warden."
    )
    timeout_ms = models.PositiveSmallIntegerField(
        "time it has, in milliseconds",
        default=500,
        validators=[MinValueValidator(LEAST), MaxValueValidator(MOST)],
        help_text="For everything. No answer by then is a denial.",
    )
    token_file = _file("Its token, sent as Authorization: Bearer. Empty: none.")
    ca_file = _file("Authorities that may have issued its certificate, as PEM. Empty: those of the machine.")
    certificate_file = _file("Our certificate, as PEM, where it wants one.")
    key_file = _file("The certificate's key. Empty: it is in the certificate's file.")
    set_at = models.DateTimeField()
    set_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(timeout_ms__gte=LEAST, timeout_ms__lte=MOST), name="external_opa_timeout"
            ),
            models.CheckConstraint(
                condition=models.Q(key_file="") | ~models.Q(certificate_file=""), name="external_opa_key_pair"
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def facts(self) -> Gate:
        """As it is asked."""
        return Gate(
            url=self.url,
            timeout_ms=self.timeout_ms,
            folder=self.organization.slug,
            token_file=self.token_file,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
        )
