"""agentwarden validate: what it reads, what it refuses, where, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentwarden import cli

# The good examples of AgentWeave's best practices, put together.
GOOD = """\
identity:
  provider: "spire"
  spiffe_id: "spiffe://example.com/agent/data-processor/production"
  socket_path: "/run/spire/sockets/agent.sock"
  allowed_trust_domains:
    - "example.com"
    - "partner.trusted-org.com"
authorization:
  default_action: "deny"
  opa_url: "http://localhost:8181"
transport:
  tls_min_version: "1.3"
  verify_peer: true
  require_client_cert: true
  cipher_suites:
    - "TLS_AES_256_GCM_SHA384"
    - "TLS_CHACHA20_POLY1305_SHA256"
observability:
  audit_log:
    enabled: true
    destination: "syslog"
    syslog_address: "logs.example.com:514"
    syslog_protocol: "tcp"
    level: "info"
    include_payloads: false
    fields: ["timestamp", "caller_spiffe_id", "decision"]
database:
  password_env: "DB_PASSWORD"
"""
OURS = """\
version: 1
agents:
  support-bot:
    permissions:
      email.send: allow
      stripe.refund: {effect: ask, max_amount: 50.25, currency: USD}
      deploy.run:
        - {effect: allow, environment: staging}
"""


@pytest.fixture
def validate(tmp_path: Path, capsys: Any) -> Any:
    """Writes a file, validates it, and gives the exit code and what was said, without the file's name."""

    def run(text: str, *options: str, name: str = "production.yaml") -> tuple[int, list[str]]:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        code = cli.main(["validate", str(file), *options])
        return code, [line.removeprefix(f"{file}:") for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.parametrize("text", [GOOD, OURS], ids=["agentweave", "ours"])
def test_what_the_guides_call_good_is_valid(validate: Any, text: str) -> None:
    assert validate(text) == (0, ["1 file: valid"])


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ('provider: "spire"', 'provider: "mock"', "2:13: error: identity.provider: mock proves nothing"),
        ('provider: "spire"', "provider: none", "2:13: error: identity.provider: is spire"),
        ("data-processor/production", "", "3:14: error: identity.spiffe_id: has the form"),
        ("/agent/data-processor/production", "/service", "3:14: error: identity.spiffe_id: may be anyone's"),
        ('- "example.com"', '- "*"', "6:7: error: identity.allowed_trust_domains: '*' trusts everybody"),
        ('default_action: "deny"', 'default_action: "allow"', "9:19: error: authorization.default_action: allow lets"),
        ("http://localhost:8181", "http://opa.example.com", "10:12: error: authorization.opa_url: http beyond"),
        ('tls_min_version: "1.3"', 'tls_min_version: "1.1"', "12:20: error: transport.tls_min_version: is 1.3"),
        ("verify_peer: true", "verify_peer: false", "13:16: error: transport.verify_peer: must be true"),
        ("verify_peer: true", "verify_peer: yes", "13:16: error: transport.verify_peer: must be true"),
        ("require_client_cert: true", "require_client_cert: false", "14:24: error: transport.require_client_cert"),
        ("TLS_AES_256_GCM_SHA384", "TLS_RSA_WITH_RC4_128_MD5", "16:7: error: transport.cipher_suites: 'TLS_RSA"),
        (
            "TLS_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "16:7: error: transport.cipher_suites: TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 is of TLS 1.2",
        ),
        ("    enabled: true", "    enabled: false", "20:14: error: observability.audit_log.enabled: must be true"),
        ('    syslog_address: "logs.example.com:514"\n', "", "21:18: error: observability.audit_log.syslog_address is"),
        ("include_payloads: false", "include_payloads: true", "25:23: error: observability.audit_log.include_payloads"),
        ("tls_min_version", "tls_min_versoin", "12:3: error: transport.tls_min_versoin is unknown"),
        ('password_env: "DB_PASSWORD"', 'password: "hunter2"', "28:3: error: password holds a secret"),
        ("database:", "security:\n  enabled: false\ndatabase:", "28:3: error: security.enabled does not exist"),
        ("identity:\n", "identity:\nidentity:\n", "2:1: error: 'identity' is here twice, first in line 1"),
        ("database:", "database: [", "error: not YAML"),
    ],
)
def test_what_is_unsafe_is_refused_with_its_line(validate: Any, find: str, put: str, said: str) -> None:
    assert find in GOOD
    code, lines = validate(GOOD.replace(find, put, 1))
    assert code == 1
    assert any(said in line for line in lines), lines
    assert lines[-1] == "1 file: not valid"


def test_what_is_for_development_is_a_warning_there(validate: Any) -> None:
    text = GOOD.replace('provider: "spire"', 'provider: "mock"')
    code, lines = validate(text, name="development.yaml")
    assert (code, lines[0].partition(": mock")[0]) == (0, "2:13: warning: identity.provider")
    assert validate(text, "--strict", name="development.yaml")[0] == 1
    assert validate(text, "--production", name="development.yaml")[0] == 1
    older = GOOD.replace('"1.3"', '"1.2"')
    assert validate(older)[0] == 0


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ("email.send: allow", "email.send: maybe", "5:19: error: agents.support-bot.permissions.email.send: 'maybe'"),
        ("max_amount: 50.25", "max_amuont: 50.25", "6:36: error: 'max_amuont' is unknown here"),
        ("environment: staging", "risk: huge", "error: agents.support-bot.permissions.deploy.run.0.risk: 'huge'"),
        ("version: 1\n", "", "error: the file: 'version' is a required property"),
        ("    permissions:", "    api_key: ak_1\n    permissions:", "4:5: error: api_key holds a secret"),
    ],
)
def test_ours_is_read_by_its_schema(validate: Any, find: str, put: str, said: str) -> None:
    assert find in OURS
    code, lines = validate(OURS.replace(find, put, 1), name="warden.yaml")
    assert code == 1
    assert any(said in line for line in lines), lines


@pytest.mark.parametrize("text", ["", "- 1\n", "a: &a [*a]\n", "services: {}\n", "[" * 5_000])
def test_what_is_no_configuration_is_not_called_valid(validate: Any, text: str) -> None:
    assert validate(text)[0] == 1


def test_several_files_are_judged_together_and_programs_get_json(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(OURS.replace("allow\n", "maybe\n"), encoding="utf-8")
    assert cli.main(["validate", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    [problem] = answer["problems"]
    assert (answer["valid"], problem["file"], problem["line"]) == (False, str(tmp_path / "b.yaml"), 5)
    assert problem["severity"] == "error"


def test_a_file_that_is_not_there_is_no_success(capsys: Any) -> None:
    assert cli.main(["validate", "nowhere.yaml"]) == 2
    assert "cannot be read" in capsys.readouterr().err
