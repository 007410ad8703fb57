"""Files and folders that are written beside their place and renamed; JSON read with the place of what is wrong."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError


def read_json(path: Path) -> Any:
    """What the file holds; raises `UserError` where it cannot be read or is not JSON."""
    return parse_json(read_text(path), path)


def read_text(path: Path) -> str:
    """The file's text, line ends as they are; raises `UserError` where it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


def parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a file beside `path` that takes its place when the block ends well."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def refuse_occupied(directory: Path) -> None:
    """Raises `UserError` unless there is nothing at `directory`, or an empty folder."""
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory} exists and is not empty: name a new folder")
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file: name a new folder")


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """Yields a folder beside `directory` that takes its name when the block ends well, and is deleted when it fails.

    Raises:
        UserError: `directory` exists and is not an empty folder.
    """
    refuse_occupied(directory)
    directory = directory.resolve()
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        os.replace(partial, directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
