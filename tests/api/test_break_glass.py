"""Break-glass by script: who may, what was, its sign-off. Never the thing itself."""

from accounts.by import COMMAND_LINE
from accounts.services import break_glass as capability
from approvals.glass.services import break_glass
from tests.factories import a_permission, an_approval


def test_owners_give_it_withdraw_it_and_sign_off(owner, world, approver, stranger):
    admin = world.person("admin")
    (path,) = [f"members/{each['id']}" for each in owner("GET", "members", status=200) if each["role"] == "approver"]
    assert "does not include" in admin("POST", f"{path}/break-glass", status=409)["detail"]
    stranger("POST", f"{path}/break-glass", status=404)
    assert owner("POST", f"{path}/break-glass", status=200)["breaks_glass"] is True
    tier = a_permission(world.bot, "database.table.drop", "ask")
    row = an_approval(agent=world.bot, action="database.table.drop")
    row.permission = row.permission.replace(row.permission_data["id"], str(tier.pk))
    row.save(update_fields=["permission"])
    token = {"Authorization": f"Bearer {approver.token}"}
    assert approver.client.post(f"/api/approvals/{row.approval_id}/break-glass", headers=token).status_code == 404
    del row.permission_data
    break_glass(
        approval_id=row.pk,
        by=approver.person,
        organization=world.acme,
        digest=row.digest,
        reason="It leaks.",
        typed=row.action,
        assurance="stepup",
    )
    shown = owner("GET", f"approvals/{row.approval_id}", status=200)
    (made,) = owner("GET", "break-glass", status=200)
    assert (shown["code"], shown["broken_glass"]) == ("break_glass", made["id"])
    assert (made["by"], made["approval_id"], made["verdict"]) == (approver.person.email, row.approval_id, None)
    assert owner("GET", "break-glass?mode=test", status=200) == stranger("GET", "break-glass", status=200) == []
    sent = {"verdict": "justified", "note": "Indeed."}
    approver("POST", f"break-glass/{made['id']}/sign", sent, 403)
    stranger("POST", f"break-glass/{made['id']}/sign", sent, 404)
    assert "does not include" in admin("POST", f"break-glass/{made['id']}/sign", sent, 409)["detail"]
    assert owner("POST", f"break-glass/{made['id']}/sign", sent, 200)["signed_by"] == owner.person.email
    assert owner("DELETE", f"{path}/break-glass", status=200)["breaks_glass"] is False


def test_the_members_list_says_who_has_it(owner, world, approver):
    capability.allow(member=world.acme.memberships.get(user=approver.person), by=COMMAND_LINE)
    assert [each["breaks_glass"] for each in owner("GET", "members", status=200) if each["role"] == "approver"] == [
        True
    ]
