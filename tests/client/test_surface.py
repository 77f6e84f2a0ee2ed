"""Every public name of the Python client is in the TypeScript client too, or its README says why not."""

import dataclasses
import inspect
import re
from typing import Any

import agentwarden
import pytest
from agentwarden import AgentWarden, metrics, testing, tracing

from tests.docs.pages import codes, read, table

HOME = "sdk/typescript/src"
README = "sdk/typescript/README.md"


def names(cell: str) -> list[str]:
    """The names in a cell that holds nothing else."""
    return codes(cell) if re.fullmatch(r"[^ `]+|(?:`[^`]+` ?)+", cell) else []


ROWS = [(names(row["in Python"]), names(row["here"])) for row in table(README, "in Python", "here")]
RENAMED = {name: other for ours, others in ROWS if ours and others for name, other in zip(ours, others, strict=True)}
MISSING = {row["in Python"] for row in table(README, "in Python", "here") if row["here"] == "–"}


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def there(*ours: str) -> set[str]:
    """What they are called in TypeScript."""
    return {RENAMED.get(name) or camel(name) for name in ours if name not in MISSING}


def block(file: str, head: str) -> str:
    """The body of the interface or class that begins so."""
    found = re.search(rf"^export {head}\b.*?\{{\n(.*?)^\}}", read(f"{HOME}/{file}"), re.M | re.S)
    assert found, head
    return found[1]


def fields(file: str, name: str) -> set[str]:
    return set(re.findall(r"^  (?:readonly )?(\w+)\??:", block(file, f"interface {name}"), re.M))


def members(file: str, name: str) -> set[str]:
    """Public methods, properties and fields of a class."""
    text = re.sub(r"^  async \[.*", "", block(file, f"class {name}"), flags=re.M)
    return set(re.findall(r"^  (?:async |get |readonly )?([a-zA-Z]+)[(<:]", text, re.M)) - {"constructor"}


def keywords(function: Any, *but: str) -> list[str]:
    """The parameters that may be left out, or are given by name alone."""
    parameters = inspect.signature(function).parameters.values()
    given = [each.name for each in parameters if each.default is not each.empty or each.kind is each.KEYWORD_ONLY]
    return [name for name in given if name not in but]


def test_every_export_is_exported() -> None:
    text = re.sub(r"/\*.*?\*/", "", read(f"{HOME}/index.ts"), flags=re.S)
    types = set(re.findall(r"\btype (\w+)", text)) | {
        name.strip() for listed in re.findall(r"export type \{(.*?)\}", text, re.S) for name in listed.split(",")
    }
    shown = {
        name.strip().removeprefix("type ")
        for listed in re.findall(r"export (?:type )?\{(.*?)\}", text, re.S)
        for name in listed.split(",")
    } - {""}
    ours = there(*agentwarden.__all__)
    assert ours - shown == set()
    assert shown - ours - types == set()  # values that Python has not; types describe options


@pytest.mark.parametrize(
    "name", ["CheckResult", "LogResult", "Approval", "Claim", "Comment", "Identity", "BatchResult", "Receipt"]
)
def test_every_field_of_an_answer_is_there(name: str) -> None:
    kind = getattr(agentwarden, name)
    properties = [each for each, value in vars(kind).items() if isinstance(value, property)]
    file = {"BatchResult": "batch.ts", "Receipt": "receipts.ts"}.get(name, "models.ts")
    assert fields(file, name) == there(*(field.name for field in dataclasses.fields(kind)), *properties)


def test_every_method_is_there() -> None:
    ours = [name for name, _ in inspect.getmembers(AgentWarden, inspect.isfunction) if not name.startswith("_")]
    assert members("client.ts", "AgentWarden") == there(*ours)


def test_every_setting_is_there() -> None:
    ours = there(*inspect.signature(AgentWarden).parameters)
    assert fields("wire.ts", "Options") == ours | {"onWarning"}


@pytest.mark.parametrize(
    ("file", "name", "function", "but", "more"),
    [
        ("client.ts", "CheckOptions", AgentWarden.check, ["context"], set()),
        ("client.ts", "ClaimOptions", AgentWarden.claim, [], set()),
        ("client.ts", "CommentOptions", AgentWarden.comment, [], set()),
        ("client.ts", "ExecuteOptions", AgentWarden.execute, ["context"], set()),
        ("client.ts", "ExecuteOptions", AgentWarden.batch, ["context"], set()),
        (
            "client.ts",
            "ProtectOptions",
            AgentWarden.protect,
            ["wait", "wait_timeout", "reasoning", "expires_in"],
            {"apply"},
        ),
        ("requests.ts", "LogOptions", AgentWarden.log, ["context"], set()),
        ("error-context.ts", "ErrorContextOptions", agentwarden.error_context, [], set()),
        ("receipts.ts", "ReceiptOptions", agentwarden.verify_receipt, [], set()),
    ],
)
def test_every_option_of_a_call_is_there(file: str, name: str, function: Any, but: list[str], more: set[str]) -> None:
    assert fields(file, name) == there(*keywords(function, *but)) | more


def test_a_protected_function_takes_the_options_of_a_call() -> None:
    assert "interface ProtectOptions<A extends unknown[]> extends ExecuteOptions" in read(f"{HOME}/client.ts")
    assert set(keywords(AgentWarden.execute, "context")) <= set(keywords(AgentWarden.protect))


def test_every_error_is_in_the_tree() -> None:
    ours = {name for name in agentwarden.__all__ if name.endswith("Error")} - {"AgentWardenError"}
    source = read(f"{HOME}/errors.ts") + read(f"{HOME}/batch.ts")
    assert set(re.findall(r"^export class (\w+)(?:<.*>)? extends AgentWardenError", source, re.M)) == ours
    assert set(re.findall(r"── (\w+)", source)) == ours


def test_every_verb_of_the_fake_is_there() -> None:
    ours = [name for name in vars(testing.FakeWarden) if not name.startswith("_")]
    recorded = ["checks", "logs", "claims", "policy_version"]
    assert members("testing.ts", "FakeWarden") == there(*ours, *recorded)
    for name in ("RecordedCheck", "RecordedLog"):
        kind = getattr(testing, name)
        assert fields("testing.ts", name) == there(*(field.name for field in dataclasses.fields(kind)))


def test_metrics_and_spans_have_the_same_names() -> None:
    counted = set(re.findall(r'name: "(\w+)"', read(f"{HOME}/metrics.ts")))
    assert counted == set(re.findall(r"^(agentwarden_\w+)", inspect.getdoc(metrics) or "", re.M))
    assert sorted(counted) == sorted(row["metric"] for row in table("docs/client.md", "metric", "meaning"))
    told = r'"agentwarden\.(\w+)"|(?:_attribute|attribute)\(span, "(\w+)"'
    ours, theirs = (re.findall(told, text) for text in (inspect.getsource(tracing), read(f"{HOME}/tracing.ts")))
    assert {"".join(each) for each in ours} == {"".join(each) for each in theirs}
