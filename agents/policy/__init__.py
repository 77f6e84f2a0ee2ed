"""What agents may do, and the decision about one request: pure functions over plain data.

No database, no clock, no settings: `decide(policy, request, now)` gives the same answer for the same arguments.
"""

from .compiled import check_permission, compile_policy
from .conditions import Condition, ConditionError, ConditionFailed, compile_condition
from .decide import decide
from .describe import Flag, Ladder, Step, describe, ladders, review_flags
from .model import Agent, Decision, Effect, Limit, Looked, Permission, Policy, Request, Risk, Status
from .money import AmountError, parse_amount, plain, show
from .names import covers, is_action, is_permission_name, is_wildcard
from .overlap import Overlap, overlaps
from .stops import STOPPED, Stop, stopped_by
from .versions import content_hash

__all__ = [
    "STOPPED",
    "Agent",
    "AmountError",
    "Condition",
    "ConditionError",
    "ConditionFailed",
    "Decision",
    "Effect",
    "Flag",
    "Ladder",
    "Limit",
    "Looked",
    "Overlap",
    "Permission",
    "Policy",
    "Request",
    "Risk",
    "Status",
    "Step",
    "Stop",
    "check_permission",
    "compile_condition",
    "compile_policy",
    "content_hash",
    "covers",
    "decide",
    "describe",
    "is_action",
    "is_permission_name",
    "is_wildcard",
    "ladders",
    "overlaps",
    "parse_amount",
    "plain",
    "review_flags",
    "show",
    "stopped_by",
]
