"""The request as views behind `requires` get it."""

from django.http import HttpRequest

from accounts.models import Membership, Organization, User
from audit.leaf import Mode


class MemberRequest(HttpRequest):
    """Somebody who is logged in and belongs to an organization: accounts.middleware sets these."""

    user: User
    membership: Membership
    organization: Organization
    mode: Mode
