import dataclasses
import json
from pathlib import Path

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import CorpusConfig
from gr2_jax.files import read_json, replacing, write_json


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
