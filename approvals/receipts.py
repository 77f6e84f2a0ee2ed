"""What the receipt of a claim says. The sequencer signs it (audit.receipts), knowing nothing of approvals."""

import hashlib
import uuid
from collections.abc import Collection
from typing import Any

from psycopg import AsyncConnection

from approvals.holding import Held
from approvals.states import BREAK_GLASS
from audit.ids import show_id
from audit.leaf import timestamp


async def approvers(
    connection: AsyncConnection[Any], claimed: Collection[Held]
) -> dict[uuid.UUID, list[dict[str, str]]]:
    """Who approved each of them as it was claimed: by which way, how surely it was they, and when."""
    ids = [held.id for held in claimed]
    outside = [held.id for held in claimed if held.code == BREAK_GLASS]
    found: dict[uuid.UUID, list[dict[str, str]]] = {approval_id: [] for approval_id in ids}
    cursor = await connection.execute(
        "SELECT r.approval_id, r.user_id, u.email, b.email, r.via, r.assurance, r.created_at"
        " FROM approvals_review r LEFT JOIN accounts_user b ON b.id = r.on_behalf_of_id"
        " JOIN accounts_user u ON u.id = r.user_id"
        " WHERE r.approval_id = ANY(%s) AND r.verdict = 'approve' AND r.voided_at IS NULL ORDER BY r.id",
        [ids],
    )
    async for approval_id, user_id, email, absent, via, assurance, at in cursor:
        who = {"id": show_id("usr", user_id), "email": email, "via": via, "assurance": assurance, "at": timestamp(at)}
        found[approval_id].append(who | ({"on_behalf_of": absent} if absent else {}))
    if outside:
        cursor = await connection.execute(
            "SELECT b.approval_id, b.user_id, b.user_label, b.assurance, b.created_at FROM approvals_breakglass b"
            " WHERE b.approval_id = ANY(%s)",
            [outside],
        )
        async for approval_id, user_id, email, assurance, at in cursor:  # alone: the votes did not allow it
            who = {"id": show_id("usr", user_id), "email": email, "via": "browser", "assurance": assurance}
            found[approval_id] = [who | {"at": timestamp(at), "outside_rule": "break_glass"}]
    return found


def claims(held: "Held", approved_by: list[dict[str, str]], policy_version: str, audience: str = "") -> dict[str, Any]:
    """What the receipt of a claim says: the claims of a JWT (RFC 7519), times in seconds. The sequencer signs it.

    It is for the audience that the agent named, else for the callee, else for whoever serves the organization.
    """
    if held.claimed_at is None or held.claim_until is None or held.decided_at is None:
        raise ValueError("only what was claimed has a receipt")
    return {
        "aud": audience or held.callee or show_id("org", held.organization_id),
        "sub": held.approval_id,
        "iat": int(held.claimed_at.timestamp()),
        "exp": int(held.claim_until.timestamp()),
        "organization": show_id("org", held.organization_id),
        "mode": held.mode,
        "environment": held.environment,
        "agent": held.agent_slug,
        "action": held.action,
        "callee": held.callee,
        "digest": held.digest,
        "context_sha256": hashlib.sha256(held.context.encode()).hexdigest(),
        "policy_version": policy_version,
        "approved_at": int(held.decided_at.timestamp()),
        "approvers": approved_by,
        **({"outside_rule": held.code} if held.code == BREAK_GLASS else {}),
    }
