from .delegation import Delegation
from .invitation import Invitation, SetupLink
from .organization import Membership, Organization, Role, Team
from .token import SCOPES, AccessToken
from .user import User

__all__ = [
    "SCOPES",
    "AccessToken",
    "Delegation",
    "Invitation",
    "Membership",
    "Organization",
    "Role",
    "SetupLink",
    "Team",
    "User",
]
