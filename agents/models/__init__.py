from .agent import Agent
from .banned import BannedIdentity
from .code import AppliedPolicy, PolicyProposal, ShadowPolicy
from .instance import Instance, Provisioner
from .key import ApiKey
from .opa import ExternalOpa
from .permission import Permission
from .privacy import PrivacyRule
from .review import PermissionReview, ReviewItem, ReviewReminder
from .rule import ApprovalRule
from .spending import Spending
from .stop import Stop
from .version import Epoch, PolicyVersion

__all__ = [
    "Agent",
    "ApiKey",
    "AppliedPolicy",
    "ApprovalRule",
    "BannedIdentity",
    "Epoch",
    "ExternalOpa",
    "Instance",
    "Permission",
    "PermissionReview",
    "PolicyProposal",
    "PolicyVersion",
    "PrivacyRule",
    "Provisioner",
    "ReviewItem",
    "ReviewReminder",
    "ShadowPolicy",
    "Spending",
    "Stop",
]
