"""Folders of object stores (`gs://`, `s3://`): a copy on this host's disk that follows the bucket's folder.

A bucket has no folders that could be renamed and no files that could be appended to or memory-mapped. So programs work
on the copy, `local_copy(url)`, and say what they finished: `push(path)` makes the bucket equal to the copy there, a
folder's record (stage.json) last, so that a folder with its record is whole. `pull(path)` does the
reverse. For a path that is no copy of a bucket both do nothing.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gr2_jax.errors import UserError, install, reason_of

SCHEMES = ("gs", "s3")
VARIABLE = "GR2_BUCKETS"
"""The folder of the copies; by default ~/.cache/gr2_jax/buckets."""
_RECORDS = ("stage.json", "manifest.json")  # they say that the others of their folder are whole
_LAST = (*_RECORDS, "config.json", "checksums.json", "_CHECKPOINT_METADATA")

_PACKAGES = {"gs": "gcsfs", "s3": "s3fs"}
# Names of a workdir's files and folders that stay on this host.
_OURS = re.compile(r"\.lock(\..*)?|candidates|pieces|.*\.(partial|old)|.*\.orbax-checkpoint-tmp.*")
_STEP = re.compile(r"(.*/)?checkpoints/[^/]+/[0-9]+(\..*)?/")  # Orbax keeps checkpoints in Google's buckets itself
_copies: dict[str, "_Copy"] = {}


@dataclasses.dataclass(frozen=True)
class _Stamp:
    """A file as the bucket and this host last had it in common."""

    key: str
    size: int
    changed: int

    def is_of(self, path: Path) -> bool:
        with suppress(OSError):
            stat = path.stat()
            return (stat.st_size, stat.st_mtime_ns) == (self.size, self.changed)
        return False


def is_in_bucket(place: str | os.PathLike) -> bool:
    """Whether this is the URL of a bucket's folder or file."""
    return str(place).partition("://")[0] in SCHEMES and "://" in str(place)


def check_reachable(url: str) -> None:
    """Raises `UserError` for a URL of another kind of store, or whose package is not installed."""
    if not is_in_bucket(url):
        known = " and ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UserError(f"{url} is in no store that is known here: {known} are")
    _file_system(url)


def local_copy(place: str | os.PathLike, *, workdir: bool = False) -> Path:
    """The path of a folder or file on this host's disk: of a bucket's, a copy that this process alone works on, equal
    to the bucket's now; of any other, its own path. What is unfinished in a `workdir` is not copied either way.

    Raises:
        UserError: The bucket cannot be read, or the package for it is not installed.
    """
    if not is_in_bucket(place):
        return Path(place)
    url = str(place).rstrip("/")
    if url not in _copies:
        with _reaching(url):
            _copies[url] = _Copy.make(url, workdir)
            _copies[url].pull("")
    return _copies[url].path


def url_of(path: Path) -> str | None:
    """The bucket's URL of a path in a copy; None for any other path."""
    found = _copy_of(path)
    return None if found is None else posixpath.join(found[0].url, found[1]).rstrip("/")


def shown(path: Path) -> str:
    """The path, or the URL that it is a copy of: what a user knows it by."""
    return url_of(path) or str(path)


def with_urls(text: str) -> str:
    """A message with the URLs in place of the paths of their copies."""
    for copy in _copies.values():
        text = text.replace(str(copy.path), copy.url)
    return text


def push(path: Path) -> None:
    """Makes a file or folder of the bucket equal to its copy."""
    if (found := _copy_of(path)) is not None:
        with _reaching(found[0].url):
            found[0].push(found[1])


def pull(path: Path) -> None:
    """Makes the copy of a file or folder equal to the bucket's."""
    if (found := _copy_of(path)) is not None:
        with _reaching(found[0].url):
            found[0].pull(found[1])


def read(path: Path) -> str | None:
    """What the bucket's file holds now, beside its copy; None where there is none."""
    copy, name = _copy_of(path)
    with _reaching(copy.url):
        copy.files.invalidate_cache()
        try:
            return copy.files.cat_file(copy.at(name)).decode("utf-8", "replace")
        except FileNotFoundError:
            return None


def write(path: Path, text: str, *, new: bool = False) -> bool:
    """Writes a file of the bucket, without a copy; with `new` only where there is none, and returns whether it did."""
    copy, name = _copy_of(path)
    with _reaching(copy.url):
        if new and read(path) is not None:  # a store that does not know the condition is asked first
            return False
        try:
            copy.files.pipe_file(copy.at(name), text.encode(), mode="create" if new else "overwrite")
        except FileExistsError:
            return False
        return True


def remove(path: Path) -> None:
    """Removes a file of the bucket that has no copy."""
    copy, name = _copy_of(path)
    with _reaching(copy.url), suppress(FileNotFoundError):
        copy.files.rm_file(copy.at(name))


def folders(path: Path) -> list[str]:
    """The names of the bucket's folders in a folder, also of those that are not copied; none of any other path."""
    if (found := _copy_of(path)) is None:
        return []
    copy, name = found
    with _reaching(copy.url):
        copy.files.invalidate_cache()
        try:
            listed = copy.files.ls(copy.at(name), detail=True)
        except FileNotFoundError:
            return []
    return sorted({posixpath.basename(entry["name"].rstrip("/")) for entry in listed if entry["type"] == "directory"})


def size_of(path: Path) -> int:
    """The bytes of the files in the bucket's folder of a copy."""
    copy, name = _copy_of(path)
    with _reaching(copy.url):
        return sum(info["size"] for info in copy.files.find(copy.at(name), detail=True).values())


def remove_folder(path: Path) -> None:
    """Removes a folder of the bucket and its copy; first what says that the others are whole."""
    copy, name = _copy_of(path)
    with _reaching(copy.url):
        there = copy.files.find(copy.at(name))
        for place in sorted(there, key=lambda place: posixpath.basename(place) not in _LAST):
            with suppress(FileNotFoundError):
                copy.files.rm_file(place)
        copy.files.invalidate_cache()
    shutil.rmtree(path, ignore_errors=True)


class _Copy:
    """The copy of one folder, or of one file, under a URL."""

    def __init__(self, url: str, files: Any, path: Path, stamps: Path, workdir: bool = False):
        self.url, self.files, self.path, self._file, self._workdir = url, files, path, stamps, workdir
        self.base = url.partition("://")[2]
        self._stamps = self._read_stamps()

    @classmethod
    def make(cls, url: str, workdir: bool) -> "_Copy":
        files, folder = _file_system(url), _own_folder(url)
        path = folder / posixpath.basename(url)
        if not files.isfile(url.partition("://")[2]):
            path.mkdir(parents=True, exist_ok=True)
        return cls(url, files, path, folder / ".bucket.json", workdir)

    def at(self, name: str) -> str:
        """The bucket's name of a file or folder."""
        return posixpath.join(self.base, name) if name else self.base

    def pull(self, under: str) -> None:
        self.files.invalidate_cache()
        there = dict(self._in_bucket(under))
        wanted = [name for name, key in there.items() if not self._is_current(name, key)]
        for name in wanted:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            self._stamps.pop(name, None)
        if wanted:
            self.files.get([self.at(name) for name in wanted], [str(self.path / name) for name in wanted])
        for name in set(self._here(under)) - set(there):
            (self.path / name).unlink(missing_ok=True)
            self._stamps.pop(name, None)
        self._stamp({name: there[name] for name in wanted})

    def push(self, under: str) -> None:
        here = list(self._here(under))
        gone = [name for name in self._stamps if _is_under(name, under) and name not in set(here)]
        changed = [name for name in here if name not in self._stamps or not self._stamps[name].is_of(self.path / name)]
        last = [name for name in changed if posixpath.basename(name) in _LAST]
        first = [name for name in changed if name not in last]
        records = [name for name in last if posixpath.basename(name) in _RECORDS and name in self._stamps]
        self._remove(  # what they vouch for changes
            name for name in records if any(_is_under(other, posixpath.dirname(name)) for other in first + gone)
        )
        self._put(first)
        self._remove(gone)
        self._put(last)
        if changed or gone:
            self.files.invalidate_cache()
            there = dict(self._in_bucket(under))
            self._stamp({name: there[name] for name in changed if name in there})

    def _put(self, names: list[str]) -> None:
        try:
            self._put_all(names)
        except FileNotFoundError:  # a checkpoint that Orbax's thread has deleted meanwhile
            self._put_all([name for name in names if (self.path / name).is_file()])

    def _put_all(self, names: list[str]) -> None:
        if names:
            self.files.put([str(self.path / name) for name in names], [self.at(name) for name in names])

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self.files.rm_file(self.at(name))
            self._stamps.pop(name, None)

    def _in_bucket(self, under: str) -> Iterator[tuple[str, str]]:
        """(name, a key that changes with the contents) of the bucket's files."""
        for place, info in self.files.find(self.at(under), detail=True).items():
            name = "" if place == self.base else posixpath.relpath(place, self.base)
            if info["type"] == "file" and not place.endswith("/") and self._is_copied(name):
                marks = (info.get(mark) for mark in ("md5Hash", "ETag", "etag", "mtime"))
                yield name, f"{info['size']} {next(filter(None, marks), '')}"

    def _here(self, under: str) -> Iterator[str]:
        """The names of this host's files."""
        root = self.path / under if under else self.path
        if root.is_file():
            yield under
        for folder, _, names in os.walk(root):
            for file in names:
                name = Path(folder, file).relative_to(self.path).as_posix()
                if self._is_copied(name):
                    yield name

    def _is_copied(self, name: str) -> bool:
        if not self._workdir:
            return True
        if self.url.startswith("gs://") and _STEP.match(name):
            return False
        return not any(map(_OURS.fullmatch, name.split("/")))

    def _is_current(self, name: str, key: str) -> bool:
        stamp = self._stamps.get(name)
        return stamp is not None and stamp.key == key and stamp.is_of(self.path / name)

    def _stamp(self, keys: dict[str, str]) -> None:
        for name, key in keys.items():
            with suppress(FileNotFoundError):
                stat = (self.path / name).stat()
                self._stamps[name] = _Stamp(key, stat.st_size, stat.st_mtime_ns)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({name: dataclasses.astuple(stamp) for name, stamp in self._stamps.items()}))
        os.replace(partial, self._file)

    def _read_stamps(self) -> dict[str, _Stamp]:
        try:
            return {name: _Stamp(*fields) for name, fields in json.loads(self._file.read_text()).items()}
        except (OSError, ValueError, TypeError, AttributeError):  # everything is fetched again
            return {}


def _copy_of(path: Path) -> tuple[_Copy, str] | None:
    """The copy that a path is in, and its name there; the innermost of several."""
    found = [copy for copy in _copies.values() if copy.path == path or copy.path in path.parents]
    if not found:
        return None
    copy = max(found, key=lambda copy: len(copy.path.parts))
    name = path.relative_to(copy.path).as_posix()
    return copy, "" if name == "." else name


def _is_under(name: str, folder: str) -> bool:
    return not folder or name == folder or name.startswith(f"{folder}/")


def _own_folder(url: str) -> Path:
    """A folder for the copy, which no other process uses: the lock lasts as long as this process."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    base = Path(os.environ.get(VARIABLE) or cache / "gr2_jax" / "buckets")
    name = f"{posixpath.basename(url)}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    for number in itertools.count():
        folder = base.expanduser().absolute() / f"{name}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        if _is_locked(folder):
            return folder
    raise AssertionError


def _is_locked(folder: Path) -> bool:
    """Whether this process now holds the folder, until it ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    _held.append(lock)
    return True


_held: list = []


@functools.cache
def _file_system(url: str) -> Any:
    """fsspec's file system for a URL."""
    scheme = url.partition("://")[0]
    package = _PACKAGES[scheme]
    try:
        import fsspec

        files = fsspec.filesystem(scheme)
    except ImportError as error:
        raise UserError(f"{url} needs {package}: {install(scheme)}") from error
    # Orbax goes through the same package, and not through TensorFlow's file systems, where TensorFlow is installed
    os.environ.setdefault("EPATH_USE_TF", "false")
    for name in (
        "gcsfs",
        "google.auth",
        "s3fs",
        "botocore",
        "aiobotocore",
    ):  # what they log of a failure is raised, too
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return files


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Whatever fails in the block is the store's refusal: a `UserError` that names the URL."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{url} is not there, or its bucket is not") from error
    except Exception as error:  # each store's package raises types of its own
        raise UserError(f"{url} cannot be reached or is refused: {reason_of(error)}") from error
