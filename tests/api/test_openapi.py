"""The document is valid, describes every address and nothing else, and what is answered is what it says."""

import json
import re
from pathlib import Path

import httpx
import jsonschema
import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils.html import escape
from openapi_spec_validator import OpenAPIV31SpecValidator

from agents.services.permissions import create_permission
from gateway import routes
from gateway.aap import routes as aap_routes
from tests.api.conftest import Api
from tests.factories import a_key, a_member, an_approval
from warden.api.openapi import AGENT_ROUTES, ENDPOINTS, document
from warden.api.openapi_aap import AAP_ROUTES


def test_the_document_is_valid_openapi_3_1():
    made = json.loads(json.dumps(document()))
    assert made["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []
    names = [operation["operationId"] for methods in made["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere_and_nothing_is_left_over():
    made = document()
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(made)))
    assert used == set(made["components"]["schemas"])


def test_every_address_of_api_is_described_and_the_other_way_round():
    resolver = next(each for each in get_resolver().url_patterns if getattr(each, "app_name", "") == "api")
    served = {f"/api/{re.sub(r'<str:(\w+)>', r'{\1}', str(each.pattern))}" for each in resolver.url_patterns}
    served -= {"/api/docs", "/api/openapi.json", "/api/policy/schema.json", "/api/<path:rest>"}
    described = {(path, method.upper()) for path, methods in document()["paths"].items() for method in methods}
    assert {path for path, _ in described if path.startswith("/api/")} == served
    assert {(path, method) for path, method in described if path.startswith("/api/")} == {
        (f"/api/{each.path}", each.method) for each in ENDPOINTS
    }


def test_every_address_of_sdk_is_described_and_the_other_way_round():
    served = {(path, method) for path, (method, _) in routes.FIXED.items()}
    for verb, (method, _) in routes.OF_APPROVAL.items():
        served.add(("/sdk/approvals/{approval_id}" + (f"/{verb}" if verb else ""), method))
    served = served - {("/health", "GET"), ("/bundles/agentweave-authz.tar.gz", "GET")} | {("/v1/data/{path}", "POST")}
    assert {(route.path, route.method) for route in AGENT_ROUTES} == served


def test_every_address_of_aap_is_described_and_the_other_way_round():
    served = {(path, method) for path, verbs in aap_routes.FIXED.items() for method in verbs}
    for prefix, verbs in ((aap_routes.REQUESTS, aap_routes.OF_REQUEST), (aap_routes.INSTANCES, aap_routes.OF_INSTANCE)):
        for verb, methods in verbs.items():
            served |= {(f"{prefix}/{{id}}" + (f"/{verb}" if verb else ""), method) for method in methods}
    assert {(route.path, route.method) for route in AAP_ROUTES} == served


def test_anybody_may_read_the_document_and_people_the_page(db, owner, world):
    answer = Client().get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"]
    assert Client().get("/api/docs").status_code == 302
    client = Client()
    client.force_login(owner.person, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/api/docs").content.decode()
    for each in ENDPOINTS:
        assert f'id="{each.operation}"' in page
        assert escape(each.summary) in page
    assert "style=" not in page


def test_the_docs_have_no_dead_links(db, owner):
    client = Client()
    client.force_login(owner.person, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/api/docs").content.decode()
    ids = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= ids


def test_answers_are_what_the_document_says(db, owner, approver, world):
    """One of each kind of answer, checked against its schema as a client's generator would."""
    made = json.loads(json.dumps(document()))
    agent = owner("POST", "agents", {"name": "A"}, 201)
    permission = owner(
        "POST", "agents/a/permissions", {"action": "a.b", "max_amount": 5, "expires_at": "2030-01-01T00:00:00Z"}, 201
    )
    key = owner("POST", "keys", {"name": "K"}, 201)
    approval = an_approval(agent=world.bot, amount="5")
    found = {
        "Agent": agent,
        "Permission": permission,
        "NewKeyAnswer": key,
        "Key": owner("GET", "keys", status=200)[0],
        "Rule": owner("POST", "approval-rules", {"name": "R"}, 201),
        "Approval": approver("POST", f"approvals/{approval.approval_id}/approve", {"reason": "x"}, 200),
        "Organization": owner("GET", "organization", status=200),
        "Member": owner("GET", "members", status=200)[0],
        "Team": owner("POST", "teams", {"name": "T"}, 201),
        "NewInvitationAnswer": owner("POST", "invitations", {"email": "n@example.com", "role": "viewer"}, 201),
        "Event": owner("GET", "events", status=200)[0],
        "ErrorAnswer": Api("")("GET", "agents", status=401),
    }
    for name, answer in found.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": made["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)
        assert set(answer) >= set(made["components"]["schemas"][name]["required"])
        assert set(answer) <= set(made["components"]["schemas"][name]["properties"])


@pytest.mark.django_db(transaction=True)
def test_the_gateway_answers_what_the_document_says(server, world):
    made = json.loads(json.dumps(document()))
    by = a_member(world.acme, "owner")
    for action, effect in (("email.send", "allow"), ("deploy.production", "ask")):
        create_permission(agent=world.bot, by=by, action=action, effect=effect)
    _, key = a_key(world.acme, world.bot)
    with httpx.Client(base_url=server.url, headers={"X-API-Key": key}) as http:
        allowed = http.post("/sdk/check", json={"agent_id": "support-bot", "action": "email.send"}).json()
        asked = http.post("/sdk/check", json={"agent_id": "support-bot", "action": "deploy.production"}).json()
        found = [
            ("CheckAnswer", allowed),
            ("CheckAnswer", asked),
            (
                "LogAnswer",
                http.post(
                    "/sdk/log",
                    json={
                        "agent_id": "support-bot",
                        "action": "email.send",
                        "status": "success",
                        "decision_id": allowed["decision_id"],
                    },
                ).json(),
            ),
            ("ApprovalAnswer", http.get(f"/sdk/approvals/{asked['approval_id']}").json()),
            ("ApprovalAnswer", http.post(f"/sdk/approvals/{asked['approval_id']}/cancel").json()),
            ("ErrorAnswer", http.post("/sdk/check", json={}).json()),
        ]
        token = http.get("/api/agents", headers={"X-API-Key": "", "Authorization": f"Bearer {key}"})
    for name, answer in found:
        jsonschema.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": made["components"]}
        ).validate(answer)
    assert token.status_code == 401


def test_no_word_of_the_document_names_a_machine():
    assert str(Path.home()) not in json.dumps(document())
