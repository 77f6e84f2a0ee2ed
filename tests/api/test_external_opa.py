"""The external OPA by script: who reads agents sees it, who writes them sets it, and nobody sees another's."""

from agents.models import ExternalOpa

BODY = {"url": "https://opa.example.com/v1/data/acme/warden", "timeout_ms": 400}


def test_an_owner_sets_it_a_viewer_reads_it_and_it_goes_again(owner, viewer, world):
    assert viewer("GET", "external-opa")[0] == 404
    assert viewer("PUT", "external-opa", BODY)[0] == 403
    made = owner("PUT", "external-opa", BODY, 200)
    assert (made["url"], made["timeout_ms"], made["token_file"]) == (BODY["url"], 400, "")
    assert viewer("GET", "external-opa", status=200) == made
    assert owner("PUT", "external-opa", BODY | {"url": "https://10.0.0.1/"})[0] == 422
    assert owner("PUT", "external-opa", BODY | {"timeout_ms": 60_000})[0] == 422
    owner("DELETE", "external-opa", status=204)
    assert not ExternalOpa.objects.exists()
