"""agentwarden policy: the policy as files, with a person's token. The server reads, plans and applies them."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from .._client import AgentWarden
from .._json import decode, encode
from .._requests import Request
from ._configuration import configuration
from ._exits import Exit, Trouble
from ._options import common
from ._output import Output
from ._yaml import Unreadable, load

LONG = 60.0  # seconds for a plan of many agents
HELPS = {
    "validate": "check files against what there is; change nothing",
    "plan": "say what files would change; change nothing",
    "apply": "apply files, all of it or nothing",
    "test": "run the files' scenarios on what they would make",
    "backtest": "ask the files what agents really asked",
    "diff": "say how what there is differs from what was applied last",
    "export": "print everything there is as one file",
}


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=words, description=f"{words.capitalize()}.") for name, words in HELPS.items()
    }
    for name in ("validate", "plan", "apply", "test", "backtest"):
        made[name].add_argument("files", nargs="+", metavar="FILE", help="each laid over those before it")
        made[name].add_argument("--prune", action="store_true", help="delete what the files' sections do not name")
    made["apply"].add_argument(
        "--plan", metavar="DIGEST", help="the plan that was looked at; refused if it is another now"
    )
    made["apply"].add_argument("--yes", action="store_true", help="apply what is planned now, without a question")
    made["apply"].add_argument(
        "--source", default="", metavar="TEXT", help="where the files come from, such as a commit"
    )
    made["test"].add_argument("--fail-under", type=float, default=0.0, metavar="PERCENT", help="of tiers that are met")
    made["test"].add_argument("--junit", metavar="FILE", help="write the results there, as JUnit's XML")
    made["backtest"].add_argument("--days", type=int, default=7, metavar="N", help="how far back (default: 7)")
    made["diff"].add_argument("--check", action="store_true", help="exit with 1 where it differs")
    for verb in made.values():
        common(verb, agent=False)
        verb.set_defaults(timeout=LONG)


def run(options: argparse.Namespace, output: Output) -> Exit:
    with configuration(options).person() as person:
        verbs = {
            "validate": _validate,
            "plan": _plan,
            "apply": _apply,
            "test": _test,
            "backtest": _backtest,
            "diff": _diff,
            "export": _export,
        }
        return verbs[options.verb](person, options, output)


def _validate(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    answer = _post(person, "validate", _body(options))
    lines = [f"{each['file']}:{each['line']}:{each['column']}: {each['message']}" for each in answer["problems"]]
    output.say("\n".join(lines) or "valid", answer)
    return Exit.OK if answer["valid"] else Exit.DENIED


def _plan(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    plan = _post(person, "plan", _body(options))
    output.say(_told(plan), plan)
    return Exit.OK


def _told(plan: dict[str, Any]) -> str:
    left = [f"Not in the files: {', '.join(plan['unmanaged'])}."] if plan["unmanaged"] else []
    return "\n".join([plan["text"], "", *left, f"{plan['summary']}. Plan {plan['digest']}"])


def _apply(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    body = _body(options)
    digest = options.plan
    if not digest:
        plan = _post(person, "plan", body)
        output.note(_told(plan))
        digest = plan["digest"]
        if plan["changes"] and not (options.yes or _agreed()):
            raise Trouble("Nothing was applied", Exit.DENIED)
    done = _post(person, "apply", body | {"plan": digest, "source": options.source})
    secrets = [f"The secret of {name}, shown this once: {secret}" for name, secret in done["secrets"].items()]
    output.say("\n".join([*secrets, f"Applied: {done['summary']}."]), done)
    return Exit.OK


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise Trouble("Say --yes, or --plan with the digest of a plan that was looked at: there is nobody to ask here")
    sys.stderr.write("Apply this? Type yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _test(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    answer = _post(person, "test", _body(options))
    report = answer.pop("junit")
    if options.junit:
        try:
            Path(options.junit).write_text(report, encoding="utf-8")
        except OSError as error:
            raise Trouble(f"The report cannot be written: {error}") from error
    wrong = [each for each in answer["results"] if each["wrong"]]
    lines = [f"{each['file']}:{each['line']}: {each['name']}: {each['wrong']}" for each in wrong]
    lines += [f"not met: {each['agent']}: {each['tier']}" for each in answer["missed"]]
    total = answer["passed"] + answer["failed"]
    lines.append(f"{answer['passed']} of {total} hold; {answer['coverage']:.1f} % of tiers are met.")
    output.say("\n".join(lines), answer)
    return Exit.DENIED if answer["failed"] or answer["coverage"] < options.fail_under else Exit.OK


def _backtest(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    body = _body(options) | {"days": options.days}
    groups: Counter[tuple[str, str, str, str]] = Counter()
    examples: list[Any] = []
    looked_at = differs = 0
    after: str | None = None
    while True:
        page = _post(person, "backtest", body | {"after": after})
        looked_at, differs = looked_at + page["looked_at"], differs + page["differs"]
        for each in page["groups"]:
            groups[each["agent"], each["action"], each["was"], each["would"]] += each["count"]
        examples += page["examples"][: 100 - len(examples)]
        output.note(f"{looked_at} checks looked at, {differs} would differ")
        after = page["next"]
        if after is None:
            break
    rows = [
        {"agent": agent, "action": action, "was": was, "would": would, "count": count}
        for (agent, action, was, would), count in groups.most_common()
    ]
    lines = [f"{each['count']:>8}  {each['agent']}  {each['action']}  {each['was']} → {each['would']}" for each in rows]
    lines.append(f"{differs} of {looked_at} checks would have been decided otherwise.")
    output.say("\n".join(lines), {"looked_at": looked_at, "differs": differs, "groups": rows, "examples": examples})
    return Exit.OK


def _diff(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    answer = _get(person, "diff")
    output.say("\n".join(part for part in (answer["summary"], answer["text"]) if part), answer)
    return Exit.DENIED if options.check and answer["text"] else Exit.OK


def _export(person: AgentWarden, options: argparse.Namespace, output: Output) -> Exit:
    answer = _get(person, "export")
    if output.as_json:
        output.say("", answer)
    else:
        sys.stdout.write(answer["text"])  # a file: as it is
    return Exit.OK


def _post(person: AgentWarden, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    request = Request("POST", f"/api/policy/{verb}", encode(body, what="files").encode())
    answer: dict[str, Any] = decode(person._run(person._core.exchange(request)).body)
    return answer


def _get(person: AgentWarden, verb: str) -> dict[str, Any]:
    answer: dict[str, Any] = decode(person._run(person._core.exchange(Request("GET", f"/api/policy/{verb}"))).body)
    return answer


def _body(options: argparse.Namespace) -> dict[str, Any]:
    files = [{"name": name, "text": _read(name)} for name in options.files]
    values: dict[str, str] = {}
    for each in files:
        for kind, name in _references(each["name"], each["text"]):
            values[f"{kind}:{name}"] = _value(kind, name)
    return {"files": files, "values": values, "prune": options.prune}


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Trouble(f"{name} cannot be read: {error}") from error


def _references(name: str, text: str) -> list[tuple[str, str]]:
    """What channels name instead of writing it down. What is no YAML the server tells about."""
    try:
        value = load(name, text).plain()
    except Unreadable:
        return []
    channels = value.get("channels") if isinstance(value, dict) else None
    found = []
    for channel in channels.values() if isinstance(channels, dict) else ():
        for kind in ("env", "file"):
            named = channel.get(f"address_{kind}") if isinstance(channel, dict) else None
            if isinstance(named, str):
                found.append((kind, named))
    return found


def _value(kind: str, name: str) -> str:
    try:
        return (os.environ[name] if kind == "env" else Path(name).read_text(encoding="utf-8")).strip()
    except (KeyError, OSError, ValueError) as error:
        raise Trouble(f"{name}, which a file names, cannot be read here: {error}") from error
