"""The command line: `gr2 <command> [config.py] [overlay.py...] [--section.field value ...]`, or `python -m gr2_jax`."""

import argparse
import atexit
import gc
import importlib
import os
import platform
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from types import ModuleType

from gr2_jax import __version__
from gr2_jax.compilation_cache import keep_compiled_programs
from gr2_jax.errors import LOST, RESTART, Lost, Preempted, UserError, disk_fault, install, nearest, reason_of
from gr2_jax.terminal import (
    PIPE_CLOSED,
    escape_what_stdout_cannot_encode,
    flush_or_silence,
    reader_has_left,
    show,
    warn,
)

COMMANDS = (
    "quickstart",
    "index",
    "config",
    "collection",
    "wikipedia",
    "pairs",
    "run",
    "study",
    "prepare",
    "docids",
    "train",
    "check",
    "plan",
    "rehearse",
    "evaluate",
    "search",
    "serve",
    "export",
    "metrics",
    "report",
    "clean",
    "convert",
)
"""Modules of `gr2_jax.commands`, each with HELP, `add_arguments(parser)` and `run(options, settings) -> exit code`."""

_EPILOG = "gr2 help COMMAND, or gr2 COMMAND --help, shows the arguments of a command."
_Plain = argparse.RawDescriptionHelpFormatter

# Imports and tracing make many objects, nearly all of which stay: by default Python looks through them a hundred times.
_NEW_OBJECTS = 100_000
_CTRL_C = 130
_INTERRUPTED = (RESTART, _CTRL_C)
_EXTRAS = {
    "serve": ("starlette", "uvicorn", "mcp"),
    "huggingface": ("safetensors", "transformers", "huggingface_hub"),
    "beam": ("apache_beam",),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; a `UserError` is printed as one line and ends the program with code 2, and a pipe whose reader
    has left, as of `gr2 ... | head`, ends it without a word."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)
    escape_what_stdout_cannot_encode()
    keep_compiled_programs()
    gc.set_threshold(_NEW_OBJECTS)
    code = _exit_code(sys.argv[1:] if arguments is None else list(arguments))
    flush_or_silence()
    if arguments is None and code in _INTERRUPTED:
        _end_at_once(code)
    gc.freeze()  # else the interpreter's last collections look at a million objects, for half a second
    sys.exit(code)


def _end_at_once(code: int) -> None:
    """Ends the program without taking the interpreter apart: a signal may have come while threads of libraries work,
    which would then read what is already freed, and the program would end with a segmentation fault."""
    atexit._run_exitfuncs()  # they are in order: temporary files go, the other processes of a job hear of it
    os._exit(code)


def _exit_code(arguments: list[str]) -> int:
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        warn(str(error))
        return 2
    except ModuleNotFoundError as error:
        extra = next((extra for extra, names in _EXTRAS.items() if str(error.name).startswith(names)), "quickstart")
        warn(f"{error.name} is not installed: {install(extra)}")
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError) and reader_has_left():
            return PIPE_CLOSED
        place = "" if error.filename is None else f"{error.filename}: "
        warn(f"{place}{reason_of(error)}")
        return 2
    except Preempted as stopped:
        warn(str(stopped))
        return RESTART
    except Lost as missing:
        warn(str(missing))
        return LOST
    except Exception as error:
        if (fault := disk_fault(error)) is not None:
            warn(f"cannot write a file: {fault}")
            return 2
        if not _may_be_of_a_lost_host(error):
            raise
        from gr2_jax.hosts import wait_for_name

        warn(f"another process of this job is gone: {' '.join(str(error).split())[:300]}")
        wait_for_name()
        os._exit(LOST)  # an orderly exit would wait for it
    except KeyboardInterrupt:
        warn("stopped; the same command resumes from here")
        return _CTRL_C


def _may_be_of_a_lost_host(error: Exception) -> bool:
    """Whether this process is one of several, and JAX or its collectives ended with the error."""
    from gr2_jax.hosts import process_count

    return process_count() > 1 and (isinstance(error, RuntimeError) or "Gloo" in str(error))  # which is a ValueError


def _leave(number, frame) -> None:
    """SIGTERM where nothing polls for it: finished stages are on disk, and an unfinished one is repeated."""
    raise Preempted("stopped; the same command resumes from here")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UserError(message)


class _Version(argparse.Action):
    """Prints the versions that a report of a fault needs, read from what is installed: nothing of it is imported."""

    def __call__(self, parser: argparse.ArgumentParser, *_) -> None:
        from importlib.metadata import version

        show(f"gr2_jax {__version__}, Python {platform.python_version()}, jax {version('jax')}")
        parser.exit()


class _Completion(argparse.Action):
    """Prints the script that completes commands and options in a shell."""

    def __call__(self, root: argparse.ArgumentParser, options: argparse.Namespace, shell: str, *_) -> None:
        from gr2_jax.commands.completion import completion_script

        show(completion_script(parser(), shell))
        root.exit()


def parser(asked: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of all commands; options that it does not know are settings. Only the commands that are `asked` for
    get their arguments, which may load much: of the others it knows the names and what they are for."""
    parser = _Parser(prog="gr2", description=__doc__, epilog=_EPILOG, allow_abbrev=False, formatter_class=_Plain)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the versions of gr2_jax, Python and jax")
    parser.add_argument("--completion", action=_Completion, metavar="SHELL", help="print completions for bash or zsh")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name in COMMANDS:
        command = _command(name)
        own = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        if name in asked:
            command.add_arguments(own)
    return parser


def _command(name: str) -> ModuleType:
    return importlib.import_module(f"gr2_jax.commands.{name}")


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["help"]:  # `gr2 help train` is `gr2 train --help`
        arguments = [*arguments[1:2], "--help"]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise UserError(f"there is no command '{arguments[0]}': {nearest(arguments[0], COMMANDS)}")
    try:
        options, settings = parser(arguments[:1]).parse_known_args(arguments)
    except SystemExit as stop:  # of --help and --version
        return stop.code
    return _command(options.command).run(options, settings)
