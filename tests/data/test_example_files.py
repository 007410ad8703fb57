import contextlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.example_files import ExampleFiles, TokenisedExample, write_example_files
from gr2_jax.errors import UserError

LENGTH, JUDGED, TI, SHARDS = 6, 3, 4, 3


def random_examples(count, *, docids, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        judged = int(rng.integers(0, 6))
        texts = [rng.integers(1, 99, rng.integers(0, 6)).tolist() for _ in range(judged)] if docids else None
        tokens, rows = rng.integers(1, 2**31 - 1, rng.integers(0, 9)), rng.integers(0, 50, judged)
        yield TokenisedExample(tokens.tolist(), rows.tolist(), rng.integers(0, 5, judged).tolist(), texts)


def padded(values, length, filler):
    return (list(values) + [filler] * length)[:length]


def in_memory(examples):
    """The arrays by plain lists."""
    docids = None
    if examples[0].docid_tokens is not None:
        docids = [padded([padded(d, TI, 0) for d in e.docid_tokens], JUDGED, [0] * TI) for e in examples]
        docids = np.array(docids, np.int32)
    return ExampleArrays(
        np.array([padded(e.tokens, LENGTH, 0) for e in examples], np.int32),
        np.array([padded(e.docid_rows, JUDGED, -1) for e in examples], np.int32),
        np.array([padded(e.grades, JUDGED, 0) for e in examples], np.int32),
        docids,
    )


@pytest.fixture(scope="module", params=[True, False], ids=["docids", "rows"])
def both(request, tmp_path_factory):
    examples = list(random_examples(100, docids=request.param))
    directory = tmp_path_factory.mktemp("files") / "made"
    assert write_example_files(directory, iter(examples), shards=SHARDS) == 100
    return directory, examples


@pytest.mark.parametrize("indices", [[], [99], [0, 1, 2, 3], [7, 7, 98, 0, 51, 7]])
def test_taking_from_files_equals_taking_from_memory(both, indices):
    directory, examples = both
    files = ExampleFiles.open(directory, length=LENGTH, judged=JUDGED, docid_length=TI)
    arrays = in_memory(examples)
    assert len(files) == files.size == arrays.size == 100
    for mine, theirs in zip(files.take(np.array(indices, int)), arrays.take(np.array(indices, int)), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert mine.dtype == np.int32
            np.testing.assert_array_equal(mine, theirs)


def test_widths_are_the_longest_where_not_given(both):
    directory, examples = both
    taken = ExampleFiles.open(directory).take(np.arange(100))
    assert taken.tokens.shape[1] == max(len(e.tokens) for e in examples)
    assert taken.grades.shape[1] == max(len(e.grades) for e in examples)
    if taken.docid_tokens is not None:
        assert taken.docid_tokens.shape[2] == max(len(d) for e in examples for d in e.docid_tokens)


@pytest.mark.parametrize("index", [-1, 100])
def test_indices_past_the_ends_are_refused(both, index):
    with pytest.raises(IndexError, match="leave the 100 examples"):
        ExampleFiles.open(both[0]).take(np.array([0, index]))


def test_the_same_examples_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_example_files(tmp_path / name, random_examples(5, docids=True), shards=8)  # more shards than examples
    paths = sorted((tmp_path / "a").iterdir())
    assert len(paths) == 9
    assert all(path.read_bytes() == (tmp_path / "b" / path.name).read_bytes() for path in paths)
    assert ExampleFiles.open(tmp_path / "a").take(np.arange(5)).size == 5


def test_an_interrupted_write_leaves_nothing_and_can_be_repeated(tmp_path):
    def dying():
        yield from random_examples(3, docids=False)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_example_files(tmp_path / "x", dying())
    with pytest.raises(UserError, match="holds no tokenised examples"):
        ExampleFiles.open(tmp_path / "x")
    assert write_example_files(tmp_path / "x", random_examples(3, docids=False)) == 3
    with pytest.raises(UserError, match="exists already"):
        write_example_files(tmp_path / "x", [])


def test_damage_is_named(tmp_path):
    write_example_files(tmp_path / "x", random_examples(9, docids=False), shards=2)
    shard = tmp_path / "x" / "examples.array_record-00001-of-00002"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="00001-of-00002 is damaged, 0 of 4"):
        ExampleFiles.open(tmp_path / "x")
    shard.unlink()
    with pytest.raises(UserError, match="00001-of-00002 is missing"):
        ExampleFiles.open(tmp_path / "x")
    fields = tmp_path / "x" / "fields.json"
    fields.write_text(json.dumps(json.loads(fields.read_text()) | {"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        ExampleFiles.open(tmp_path / "x")


def test_reading_needs_no_tensorflow(both):
    code = (
        "import sys, numpy; from pathlib import Path; from gr2_jax.data.example_files import ExampleFiles\n"
        f"ExampleFiles.open(Path({str(both[0])!r})).take(numpy.arange(3))\n"
        "assert not {'tensorflow', 'seqio', 'apache_beam', 'jax'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_field_that_is_not_known_is_left_out(tmp_path):
    write_example_files(tmp_path / "x", random_examples(9, docids=False), shards=SHARDS)
    path = tmp_path / "x" / "fields.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"longest": fields["longest"] | {"other": {}}}))
    assert len(ExampleFiles.open(tmp_path / "x")) == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"longest": {"tokens": 10**15, "docid_rows": 3, "docid_tokens": None}},
        {"longest": {"tokens": "8", "docid_rows": 3, "docid_tokens": None}},
        {"longest": {"tokens": -8, "docid_rows": 3, "docid_tokens": None}},
        {"longest": {"tokens": None, "docid_rows": 3, "docid_tokens": None}},
        {"longest": {"tokens": 8, "docid_rows": 3, "docid_tokens": {}}},
        {"longest": {"tokens": 8}},
        {"longest": []},
        {"shards": []},
        {"shards": [10**15, 1, 1]},
        {"shards": "many"},
        {"shards": None},
    ],
)
def test_fields_that_describe_no_examples_are_refused(tmp_path, changes):
    write_example_files(tmp_path / "x", random_examples(9, docids=False), shards=SHARDS)
    path = tmp_path / "x" / "fields.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=r"fields.json is damaged|is missing|is damaged"):
        ExampleFiles.open(tmp_path / "x")


@settings(max_examples=25)
@given(st.data())
def test_damaged_bytes_are_examples_or_one_sentence(both, tmp_path_factory, data):
    folder = shutil.copytree(both[0], tmp_path_factory.mktemp("x") / "x")
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        taken = ExampleFiles.open(folder, length=LENGTH, judged=JUDGED, docid_length=TI).take(np.arange(100))
        assert taken.tokens.shape == (100, LENGTH)
