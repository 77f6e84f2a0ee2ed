"""What each role may do: one table, read by views, services, the API and the pages that explain it."""

OWNER, ADMIN, APPROVER, AUDITOR, VIEWER = "owner", "admin", "approver", "auditor", "viewer"
ROLES = {OWNER: "Owner", ADMIN: "Admin", APPROVER: "Approver", AUDITOR: "Auditor", VIEWER: "Viewer"}
DESCRIPTIONS = {
    OWNER: "Everything, and may name other owners.",
    ADMIN: "Configures agents, permissions, members and settings; decides.",
    APPROVER: "Sees requests and decides them.",
    AUDITOR: "Reads everything, the whole record included; changes nothing.",
    VIEWER: "Sees agents, permissions and requests; changes nothing.",
}

_VIEW = {"agents:read", "approvals:read"}
MAY: dict[str, frozenset[str]] = {
    VIEWER: frozenset(_VIEW),
    AUDITOR: frozenset(_VIEW | {"logs:read", "members:read", "settings:read"}),
    APPROVER: frozenset(_VIEW | {"logs:read", "approvals:decide", "approvals:comment"}),
    ADMIN: frozenset(
        _VIEW
        | {
            "logs:read",
            "approvals:decide",
            "approvals:comment",
            "agents:write",
            "members:read",
            "members:write",
            "settings:read",
            "settings:write",
        }
    ),
}
MAY[OWNER] = MAY[ADMIN] | {"owners:write", "subjects:erase"}


def may(role: str, ability: str) -> bool:
    """Whether `role` has `ability`. An unknown role has none."""
    return ability in MAY.get(role, frozenset())
