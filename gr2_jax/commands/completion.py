"""Completion in a shell: a script that knows commands, options and settings, and asks the shell for files.

The script is written once, by shtab. Libraries that ask the program at every press of the key would start Python and
import the command's module each time.
"""

import argparse
import dataclasses
import typing
from collections.abc import Iterator
from typing import Any, Literal

from gr2_jax.errors import UserError, nearest

SHELLS = ("bash", "zsh")

# A run's folder has one of each row's lists: the names are read from the first run that the line names.
_BASH_ROWS = """
_gr2_rows() {
  local word
  for word in "${COMP_WORDS[@]}"; do
    if [ -f "$word/config.json" ]; then compgen -W "$(command ls "$word/runs" 2>/dev/null)" -- "$1"; return; fi
  done
}
"""
_ZSH_ROWS = """
_gr2_rows() {
  local word
  for word in $words; do
    if [ -f "$word/config.json" ]; then compadd -- "$word"/runs/*(N:t); return; fi
  done
}
"""
_BASH_CONFIGS = """
_gr2_config_files() {
  compgen -f -X '!*.py' -- "$1"
  compgen -d -- "$1"
}
"""
_ROWS = {"bash": "_gr2_rows", "zsh": "_gr2_rows"}
_CONFIGS = {"bash": "_gr2_config_files", "zsh": "_files -g '*.py'"}
_PREAMBLE = {"bash": _BASH_ROWS + _BASH_CONFIGS, "zsh": _ZSH_ROWS}

_FOLDERS = ("workdir", "output", "destination")
_FILES = ("queries", "qrels", "run", "more", "dumps", "source")


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes this parser's commands. Raises `UserError` for a shell that is not known."""
    if shell not in SHELLS:
        raise UserError(f"--completion is '{shell}': {nearest(shell, SHELLS)}")
    import shtab

    for command in _commands_of(parser):
        actions = {action.dest: action for action in command._actions}
        if "config" in actions or "profile" in actions:
            _add_settings(command)
        for name, action in actions.items():
            if kind := _kind_of(name, shtab):
                action.complete = kind
            elif words := _words_of(name):
                action.choices = words
    return shtab.complete(parser, shell, preamble=_PREAMBLE)


def _commands_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return list(commands.choices.values())


def _kind_of(name: str, shtab: Any) -> dict[str, str] | None:
    """How a shell completes an argument, by its name."""
    if name in _FOLDERS:
        return shtab.DIRECTORY
    return ({"row": _ROWS, "config": _CONFIGS, "base": _CONFIGS} | dict.fromkeys(_FILES, shtab.FILE)).get(name)


def _words_of(name: str) -> tuple[str, ...]:
    """The words that an argument can be. The commands themselves refuse others in a sentence of their own, so that
    their parsers do not know them."""
    from gr2_jax.evaluation.significance import TESTS
    from gr2_jax.recipes.quickstart import PROFILES
    from gr2_jax.search.searcher import SearchOptions

    known = {"action": ("show",), "profile": tuple(PROFILES), "test": tuple(TESTS)}
    return known.get(name) or _literals(typing.get_type_hints(SearchOptions).get(name))


def _literals(hint: Any) -> tuple[str, ...]:
    if hint is bool:
        return ("true", "false")
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _add_settings(command: argparse.ArgumentParser) -> None:
    """The sections that every experiment has; rows and docid schemes have the names that a config gives them."""
    from gr2_jax.experiment import Experiment

    for path, hint in _settings(Experiment):
        command.add_argument(f"--{path}", choices=_literals(hint) or None)


def _settings(section: type, path: str = "") -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, f"{path}{field.name}.")
        elif field.name not in ("rows", "schemes", "workdir"):
            yield f"{path}{field.name}", hint
