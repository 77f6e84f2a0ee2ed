"""What was said about a request."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import User
from approvals.models.approval import Approval
from audit.ids import new_id, show_id


class Comment(models.Model):
    """What people say to each other about an approval, what they ask its agent, and what it answers.

    `approvals.comments` writes what people say, `approvals.thread` what agents do. No one else, and nothing changes it.
    """

    KINDS = [("comment", "Comment"), ("question", "Question to the agent"), ("answer", "Answer of the agent")]

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    approval = models.ForeignKey(Approval, models.CASCADE, related_name="comments")
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    key_id = models.UUIDField(null=True, help_text="The credential, where the agent wrote it.")
    author = models.CharField(max_length=254, help_text="Their address, or the agent's slug, as it was.")
    kind = models.CharField(max_length=8, choices=KINDS)
    text = models.TextField()
    mentions = ArrayField(models.UUIDField(), default=list, help_text="Members who were told.")
    evidence = models.TextField(blank=True, help_text="A text file that came with it.")
    evidence_name = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="answer", user=None, key_id__isnull=False)
                | Q(kind__in=["comment", "question"], user__isnull=False, key_id=None),
                name="comment_author",
            ),
            models.CheckConstraint(
                condition=Q(evidence="", evidence_name="") | (~Q(evidence="") & ~Q(evidence_name="")),
                name="comment_evidence",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"

    @property
    def comment_id(self) -> str:
        return show_id("cmt", self.id)
