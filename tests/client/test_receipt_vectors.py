"""The receipts that the TypeScript client is tested with are Warden's own, and judged as the Python client does."""

import json

from tests.client.receipt_vectors import vectors
from tests.docs.pages import read


def test_the_file_has_what_warden_signs_and_what_the_python_client_says() -> None:
    kept = json.loads(read("sdk/typescript/test/receipts.json"))
    assert kept == json.loads(json.dumps(vectors())), "write it again: see tests/client/receipt_vectors.py"


def test_some_are_taken_and_most_refused_each_for_its_reason() -> None:
    verdicts = {case["name"]: case["refused"] for case in vectors()["cases"]}
    taken = {name for name, refused in verdicts.items() if refused is None}
    assert taken == {
        *("a good one", "of which less is asked", "by a key in base64", "by one of two keys"),
        *("with the newer name of the algorithm", "without a key id", "of an empty context that was approved"),
        *("of a strange context", "at its last second", "at its first second", "outside the rule, by break-glass"),
    }
    assert len(set(verdicts.values())) >= 10
