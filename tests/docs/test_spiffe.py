"""docs/spiffe.md: its reasons are those the code gives, and what it says of TLS is what the listener does."""

import re

from tests.docs.pages import ROOT, codes, read, table
from warden.listener import CIPHERS

PAGE = "docs/spiffe.md"


def test_every_reason_is_in_the_table() -> None:
    source = "\n".join((ROOT / name).read_text() for name in ("agents/spiffe/svids.py", "gateway/identity.py"))
    known = set(re.findall(r'Refused\(\s*"(\w+)"', source)) | {"unknown_caller"}
    assert {row["reason"] for row in table(PAGE, "reason", "because")} == known
    [counted] = [row for row in table("docs/metrics.md", "metric") if row["metric"] == "agentweave_authz_denied_total"]
    assert known <= set(codes(counted["meaning"]))


def test_the_algorithms_of_tls_1_2_are_named() -> None:
    assert "ECDHE and AES-GCM" in read(PAGE)
    assert all(name.startswith("ECDHE-") and "-GCM-" in name for name in CIPHERS.split(":"))
