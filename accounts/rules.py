"""Who may do what to whom: pure functions over roles. `check_…` raises with the reason, `why_not` gives it as text."""

from collections.abc import Callable

from accounts import roles


class Refused(Exception):
    """Why not, in a sentence for the person who asked."""


def why_not(check: Callable[..., None], *args: object) -> str:
    """The reason why `check` refuses, or nothing where it does not: for disabled buttons."""
    try:
        check(*args)
    except Refused as reason:
        return str(reason)
    return ""


def check_ability(role: str, ability: str) -> None:
    """Raises Refused where `role` lacks `ability`."""
    if not roles.may(role, ability):
        raise Refused(f"Your role, {roles.ROLES.get(role, role).lower()}, does not include this.")


def check_give(by: str, role: str) -> None:
    """Whether a member with the role `by` may give somebody `role`."""
    check_ability(by, "members:write")
    if role not in roles.ROLES:
        raise Refused(f"There is no role “{role}”. Roles are {', '.join(roles.ROLES)}.")
    if role == roles.OWNER and not roles.may(by, "owners:write"):
        raise Refused("Only an owner can name another owner.")


def check_touch(by: str, target: str) -> None:
    """Whether a member with the role `by` may change or remove one with the role `target`."""
    check_ability(by, "members:write")
    if target == roles.OWNER and not roles.may(by, "owners:write"):
        raise Refused("Only an owner can change or remove an owner.")


def check_owner_left(target: str, owners: int) -> None:
    """Whether an organization with so many owners can do without one whose role is `target`."""
    if target == roles.OWNER and owners <= 1:
        raise Refused("This is the last owner. Make somebody else an owner first.")


def roles_to_give(by: str) -> dict[str, str]:
    """The roles that a member with the role `by` may give, with their names."""
    return {role: name for role, name in roles.ROLES.items() if not why_not(check_give, by, role)}


def scopes_to_give(role: str, scopes: dict[str, str]) -> dict[str, str]:
    """Those of `scopes` that a person with `role` has, and so may put into a token."""
    return {scope: words for scope, words in scopes.items() if roles.may(role, scope)}
