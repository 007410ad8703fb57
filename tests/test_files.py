import contextlib
import dataclasses
import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.errors import Preempted, UserError
from gr2_jax.experiment import CorpusConfig
from gr2_jax.files import (
    new_directory,
    parse_json,
    put_in_place,
    read_json,
    reading,
    replacing,
    write_json,
    write_text,
    writing,
)


def test_write_json(tmp_path):
    path = tmp_path / "metrics" / "test" / "x.json"
    write_json(path, {"b": 1, "a": [CorpusConfig(), Path("p")]})
    first = path.read_bytes()
    write_json(path, {"a": [CorpusConfig(), Path("p")], "b": 1})
    assert path.read_bytes() == first
    assert json.loads(first) == {"a": [dataclasses.asdict(CorpusConfig()), "p"], "b": 1}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": ')
    (tmp_path / "latin.json").write_bytes(b'"\xe9"')
    for name, message in [("none.json", "cannot read"), ("broken.json", "is not JSON"), ("latin.json", "not UTF-8")]:
        with pytest.raises(UserError, match=f"{name}.*{message}|{message}.*{name}"):
            read_json(tmp_path / name)


DEEP, LONG = "[" * 100_000 + "]" * 100_000, "9" * 5000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DEEP, "nested too deeply"),
        (f'{{"a": {DEEP}}}', "nested too deeply"),
        (LONG, "a number of more than 4,300 digits"),
        (f'{{"a": [-{LONG}]}}', "a number of more than 4,300 digits"),
        ('{\n "a": 1,\n "b": }', "line 3, column 7"),
    ],
)
def test_json_beyond_the_parser_is_named(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=rf"x\.json is not JSON.*{message}"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_read_from_our_own_files_alone(tmp_path, name):
    write_json(tmp_path / "x.json", {"a": float(name)})
    assert str(read_json(tmp_path / "x.json")["a"]) == str(float(name))
    with pytest.raises(UserError, match=f"y, line 7 is not JSON: it holds {name}"):
        parse_json(f'{{"a": {name}}}', "y, line 7", strict=True)


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "x"
    with replacing(path) as partial:
        partial.write_text("old")

    def fail_half_way():
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x"]


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS]


@pytest.mark.parametrize("code", FULL)
def test_a_full_or_read_only_disk_is_one_sentence_that_names_the_file(tmp_path, code):
    """Whether Python says so, or a library in words of its own, or in an exception that came of it."""

    def by_python():
        raise OSError(code, os.strerror(code))

    def by_a_library():
        raise RuntimeError(f"INTERNAL: writing 3 bytes to file 7: {os.strerror(code)} [os_error_code='{code}']")

    def as_a_cause():
        try:
            by_python()
        except OSError as error:
            raise ValueError("could not serialise") from error

    for fail in (by_python, by_a_library, as_a_cause):
        said = f"^cannot write {tmp_path / 'x'}: {os.strerror(code)}$"
        for border in (writing, replacing, new_directory):
            with pytest.raises(UserError, match=said), border(tmp_path / "x"):
                fail()
    assert list(tmp_path.iterdir()) == []


def test_errors_that_are_each_other_s_cause_are_looked_through_once(tmp_path):
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    with pytest.raises(ValueError, match="first"), writing(tmp_path):
        raise first


def test_writing_leaves_every_other_error_alone(tmp_path):
    for error in (ValueError("x"), OSError(errno.ENOENT, "gone", "elsewhere"), UserError("x"), Preempted("x")):
        with pytest.raises(type(error)) as raised, writing(tmp_path):
            raise error
        assert raised.value is error


def test_reading_names_the_file_whatever_a_library_raises(tmp_path):
    for error in (ValueError("bad"), KeyError("bad"), RuntimeError("\n bad\nmore"), TypeError("bad"), EOFError("bad")):
        with pytest.raises(UserError, match=r"^x is damaged: .*bad.*; do this$") as raised, reading("x", "; do this"):
            raise error
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"^cannot read x: Permission denied; do this$"), reading("x", "; do this"):
        raise PermissionError(errno.EACCES, "Permission denied", "x")
    with pytest.raises(UserError, match=r"^x does not fit into memory: 9 GB$"), reading("x"):
        raise MemoryError("9 GB")
    with pytest.raises(UserError, match=r"^said; do this$"), reading("x", "; do this"):
        raise UserError("said")


@pytest.mark.parametrize("error", [Preempted("stopped"), NameError("a fault of ours"), ModuleNotFoundError("orbax")])
def test_what_is_no_fault_of_a_file_passes(error):
    with pytest.raises(type(error)), reading("x"):
        raise error


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000])
def test_json_beyond_the_parser_is_one_sentence(tmp_path, text):
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(UserError, match=r"deep.json is not JSON that can be read"):
        read_json(tmp_path / "deep.json")


class Faults:
    """Makes the n-th change of the file system fail, with an error of its own."""

    CALLS = ("replace", "rename", "mkdir", "rmdir", "unlink", "open")

    def __init__(self, patch, at, code):
        self.left, self.code = at, code
        for name in self.CALLS:
            patch.setattr(os, name, self.failing(getattr(os, name)))
        patch.setattr(io, "open", self.failing(io.open, lambda mode="r", *_: set(mode) & set("wxa+")))

    def failing(self, original, counts=lambda *_: True):
        def call(path, *arguments, **options):
            if isinstance(path, str | os.PathLike) and counts(*arguments):
                self.left -= 1
                if self.left < 0:
                    raise OSError(self.code, os.strerror(self.code), os.fspath(path))
            return original(path, *arguments, **options)

        return call


@given(
    at=st.integers(0, 14),
    code=st.sampled_from([*FULL, errno.ENOTEMPTY, errno.EIO, errno.EACCES]),
    older=st.booleans(),
)
@settings(max_examples=80)
def test_a_disk_that_fails_at_any_moment_loses_nothing(tmp_path_factory, at, code, older):
    """The old files are there, whole, or the new ones; and the same call with room gives the new ones."""
    root = tmp_path_factory.mktemp("faults")

    def make(text):
        partial = root / "stage.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write_json(partial / "a.json", text)
        write_text(partial / "b.txt", [text])
        put_in_place(partial, root / "stage")

    def held():
        """If the disk refuses even to give the older folder its name back, it is beside."""
        folder = next((root / name for name in ("stage", "stage.old") if (root / name).exists()), None)
        return {path.name: path.read_text() for path in folder.iterdir()} if folder else {}

    if older:
        make("old")
    before = held()
    with pytest.MonkeyPatch.context() as patch:
        Faults(patch, at, code)
        with contextlib.suppress(UserError, OSError):
            make("new")
    new = {"a.json": '"new"\n', "b.txt": "new"}
    assert held() in (before, new)
    make("new")
    assert held() == new
    assert sorted(path.name for path in root.iterdir()) == ["stage"]


def test_a_file_system_that_does_not_rename_over_a_folder(tmp_path, monkeypatch):
    """As some network file systems: the folder that is replaced has to be out of the way first."""
    replace = os.replace

    def strict(source, target):
        if os.path.isdir(target):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), os.fspath(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", strict)
    for name in ("new", "new.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "new.old" / "mine").touch()
    with new_directory(tmp_path / "new") as partial:
        (partial / "x").write_text("whole")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "new", "new.old", "x"]


def test_a_folder_that_cannot_be_replaced_keeps_its_name(tmp_path, monkeypatch):
    replace = os.replace

    def failing(source, target):
        if str(source).endswith(".partial"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(source))
        replace(source, target)

    for name in ("stage", "stage.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UserError, match=r"cannot rename .*stage.partial to .*stage: Permission denied"):
        put_in_place(tmp_path / "stage.partial", tmp_path / "stage")
    assert (tmp_path / "stage" / "x").read_text() == "stage"
