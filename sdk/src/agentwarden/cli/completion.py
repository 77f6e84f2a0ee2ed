"""agentwarden completion: what a shell completes, made of the same table and parsers that read the arguments."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from ._exits import Exit
from ._options import OUTPUT
from ._output import Output
from ._table import parser

HOWTO = """To have it in every shell:
  bash   agentwarden completion bash > ~/.local/share/bash-completion/completions/agentwarden
  zsh    agentwarden completion zsh > "${fpath[1]}/_agentwarden"
  fish   agentwarden completion fish > ~/.config/fish/completions/agentwarden.fish"""


class Word(NamedTuple):
    """Something that can be typed after `path`, the subcommands before it."""

    path: tuple[str, ...]
    text: str
    help: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = HOWTO
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=sorted(SHELLS))
    parser.add_argument("--json", action="store_true", help=OUTPUT)


def run(options: argparse.Namespace, output: Output) -> Exit:
    script = SHELLS[options.shell](list(words(parser(None))))
    output.say(script, {"shell": options.shell, "script": script})
    return Exit.OK


def words(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Word]:
    """Every subcommand, option and choice, with its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {each.dest: each.help or "" for each in action._choices_actions}
            for name, sub in action.choices.items():
                yield Word(path, name, told.get(name, ""))
                yield from words(sub, (*path, name))
        elif action.option_strings:
            if action.dest != "help":
                yield Word(path, action.option_strings[-1], action.help or "")
        elif action.choices:
            yield from (Word(path, str(choice), "") for choice in action.choices)


def _by_path(found: list[Word]) -> dict[tuple[str, ...], list[Word]]:
    grouped: dict[tuple[str, ...], list[Word]] = {}
    for word in found:
        grouped.setdefault(word.path, []).append(word)
    return grouped


def _cases(found: list[Word], line: str) -> str:
    """The arms of a `case` over the subcommands typed so far, in bash and zsh alike."""
    return "\n".join(
        f"    {shlex.quote(' '.join(path))}) {line.format(' '.join(shlex.quote(word.text) for word in group))} ;;"
        for path, group in _by_path(found).items()
    )


def _paths(found: list[Word]) -> str:
    return "|".join(shlex.quote(" ".join(path)) for path in _by_path(found) if path)


def bash(found: list[Word]) -> str:
    return f"""_agentwarden() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" path="" word words=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "${{path:+$path }}$word" in
    {_paths(found)}) path="${{path:+$path }}$word" ;;
    esac
  done
  case "$path" in
{_cases(found, "words=({})")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "${{words[*]}}" -- "$cur")
}}
complete -o default -F _agentwarden agentwarden"""


def zsh(found: list[Word]) -> str:
    return f"""#compdef agentwarden
_agentwarden() {{
  local p="" word
  for word in "${{words[@]:1:CURRENT-2}}"; do
    case "${{p:+$p }}$word" in
    {_paths(found)}) p="${{p:+$p }}$word" ;;
    esac
  done
  case "$p" in
{_cases(found, "compadd -- {}")}
  esac
  _files
}}
if [ "$funcstack[1]" = "_agentwarden" ]; then _agentwarden "$@"; else compdef _agentwarden agentwarden; fi"""


def fish(found: list[Word]) -> str:
    lines = ["complete -c agentwarden -f"]
    for word in found:
        names = [each.text for each in found if each.path == word.path and not each.text.startswith("-")]
        seen = [f"__fish_seen_subcommand_from {name}" for name in word.path]
        if not word.text.startswith("-") and names:
            seen.append(f"not __fish_seen_subcommand_from {' '.join(names)}")
        condition = f" -n {shlex.quote('; and '.join(seen))}" if seen else ""
        what = f"-l {word.text[2:]}" if word.text.startswith("--") else f"-a {word.text}"
        lines.append(f"complete -c agentwarden{condition} {what} -d {shlex.quote(word.help)}")
    return "\n".join(lines)


SHELLS = {"bash": bash, "fish": fish, "zsh": zsh}
