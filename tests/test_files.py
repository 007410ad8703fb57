import dataclasses
import json
from pathlib import Path

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import CorpusConfig
from gr2_jax.files import parse_json, read_json, replacing, write_json


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
