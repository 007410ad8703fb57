"""The border to the disk: files and folders that appear whole or not at all, and errors that name the file."""

import dataclasses
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError, disk_fault, reason_of


@contextmanager
def reading(place: str | Path, hint: str = "", *, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Whatever goes wrong in the block is the file's fault: it becomes a `UserError` that names `place` and ends with
    `hint`, how to make the file again. For the calls that read a file and what is made of its contents at once; a
    library raises too many types for a damaged file to name them. Errors of the types `passing` are no file's fault."""
    try:
        yield
    except (ImportError, NameError, *passing):
        raise
    except UserError as error:
        raise (UserError(f"{error}{hint}") if hint else error) from error.__cause__
    except MemoryError as error:
        raise UserError(f"{place} does not fit into memory: {reason_of(error)}") from error
    except OSError as error:
        raise UserError(f"cannot read {place}: {reason_of(error)}{hint}") from error
    except Exception as error:
        raise UserError(f"{place} is damaged: {reason_of(error)}{hint}") from error


@contextmanager
def writing(place: str | Path) -> Iterator[None]:
    """A full or read-only disk, whichever library meets it in the block, becomes a `UserError` that names `place`. All
    other errors pass."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (fault := disk_fault(error)) is None:
            raise
        raise UserError(f"cannot write {place}: {fault}") from error


def read_text(path: Path) -> str:
    """The file's text, line ends as they are; raises `UserError` if it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def read_json(path: Path) -> Any:
    """The value that the file holds, NaN and infinity included, which `write_json` writes; raises `UserError` if it
    cannot be read or is not JSON."""
    return parse_json(read_text(path), path)


def parse_json(text: str, place: str | Path, *, strict: bool = False) -> Any:
    """The value of a JSON text; raises `UserError` that names the place, a file or a line of one.

    Valid JSON that Python cannot hold is refused, too: too deep, or whole numbers of thousands of digits. `strict`
    refuses NaN and infinity, which JSON does not have.
    """
    try:
        return (_STRICT if strict else _LENIENT).decode(text)
    except json.JSONDecodeError as error:
        shown = repr(text if len(text) <= 60 else text[:57] + "...")
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise UserError(f"{place} is not JSON: {error.msg} at {line}column {error.colno} of {shown}") from error
    except RecursionError:
        raise UserError(f"{place} is not JSON that can be read: it is nested too deeply") from None
    except _Constant as name:
        raise UserError(f"{place} is not JSON: it holds {name}, which is no number of JSON") from None
    except ValueError:
        most = sys.get_int_max_str_digits()
        raise UserError(
            f"{place} is not JSON that can be read: it holds a number of more than {most:,} digits"
        ) from None


class _Constant(ValueError):
    """NaN, Infinity or -Infinity, by name."""


def _refuse_constant(name: str) -> None:
    raise _Constant(name)


_LENIENT, _STRICT = json.JSONDecoder(), json.JSONDecoder(parse_constant=_refuse_constant)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys; dataclasses are written as objects, paths as strings."""
    text = json.dumps(value, indent=1, sort_keys=True, default=plain) + "\n"
    # several hosts may write the same file, so each has its own partial file
    with replacing(path, f".{socket.gethostname()}-{os.getpid()}.partial") as partial:
        partial.write_text(text)


def plain(value: Any) -> Any:
    """Converts a dataclass or a path for JSON: the `default` of `json.dumps`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Writes the parts as one UTF-8 file with LF line ends."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)


@contextmanager
def replacing(path: Path, suffix: str = ".partial") -> Iterator[Path]:
    """Yields a temporary file beside `path`, whose folder is created. The file replaces `path` when the block ends
    without an error, and is deleted otherwise."""
    partial = path.with_name(path.name + suffix)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            with suppress(OSError):  # a read-only disk, which has said so
                partial.unlink(missing_ok=True)


def refuse_occupied(directory: Path) -> None:
    """Raises `UserError` unless `directory` is missing or an empty folder."""
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory} exists and is not empty: name a new folder")
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file: name a new folder")


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """Yields a folder beside `directory` that takes its name when the block ends without an error, and is deleted
    otherwise.

    Raises:
        UserError: `directory` exists and is not an empty folder.
    """
    refuse_occupied(directory)
    directory = directory.resolve()
    partial = directory.with_name(directory.name + ".partial")
    with writing(directory):
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir(parents=True)
        try:
            yield partial
            if directory.is_dir():  # an empty one, over which not every file system renames
                directory.rmdir()
            os.replace(partial, directory)
        except BaseException:
            _discard(partial)
            raise


def _discard(directory: Path) -> None:
    """Deletes a folder into which the threads of the library that failed may write for a moment yet."""
    for pause in (0.0, 0.1, 0.5):
        time.sleep(pause)
        shutil.rmtree(directory, ignore_errors=True)


def put_in_place(partial: Path, directory: Path, old: Path | None = None) -> None:
    """Renames a finished folder to `directory`, in the place of an older one, which is deleted.

    A folder cannot replace another in one step, so the older one is renamed first, to `old` (by default
    <directory>.old); where the second rename fails, it gets its name back.

    Raises:
        UserError: The file system refuses to rename; `directory` is as it was.
    """
    old = directory.with_name(directory.name + ".old") if old is None else old
    try:
        before = directory.exists()
        if before:
            if old.exists():  # left by a process that was killed
                shutil.rmtree(old)
            os.replace(directory, old)
        try:
            os.replace(partial, directory)
        except OSError:
            if before:
                os.replace(old, directory)
            raise
    except OSError as error:
        raise UserError(f"cannot rename {partial} to {directory}: {reason_of(error)}") from error
    shutil.rmtree(old, ignore_errors=True)
