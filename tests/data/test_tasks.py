import numpy as np
import pytest

from gr2_jax.data.seqio.tasks import Example, materialise, register_task, write_examples
from gr2_jax.data.vocabulary import Tokenizer, train_vocabulary

LENGTH, JUDGED, EXTRA = 6, 3, 5
EXAMPLES = [
    Example("Sort an array", [4, 0, 7], [4, 2, 1]),  # as many documents as kept; row 0 in the middle
    Example("the quick brown fox jumps over the lazy dog, and over it again", [0], [3]),  # cut; row 0 alone
    Example("numbers", [9, 8, 7, 6, 0], [4, 4, 3, 1, 1]),  # more documents than kept
    Example("", [2, 1], [1, 1]),
    Example("café Straße 漢", [2**31 - 2], [1]),
    Example("no document", [], []),
    Example("a wrong document", [5, 6], [1, 0]),  # grade 0 is a judgement, not padding
    *(Example(f"array {i}", [i], [1 + i % 4]) for i in range(40)),
]


def register(name, folder, vocabulary, examples=EXAMPLES):
    path = folder / f"{name}.tfrecord"
    write_examples(path, examples)
    return register_task(name, path, vocabulary=vocabulary, extra_ids=EXTRA)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory, vocabulary):
    return materialise(
        register("round_trip", tmp_path_factory.mktemp("tasks"), vocabulary), length=LENGTH, judged=JUDGED
    )


def padded(values, length, filler):
    return (list(values) + [filler] * length)[:length]


def test_the_round_trip_equals_plain_python_in_file_order(arrays, vocabulary):
    encode = Tokenizer(vocabulary, extra_ids=EXTRA).encode
    assert arrays.tokens.tolist() == [padded(encode(e.text), LENGTH, 0) for e in EXAMPLES]
    assert arrays.docid_rows.tolist() == [padded(e.docid_rows, JUDGED, -1) for e in EXAMPLES]
    assert arrays.grades.tolist() == [padded(e.grades, JUDGED, 0) for e in EXAMPLES]
    assert {a.dtype for a in arrays[:3]} == {np.dtype(np.int32)}
    assert arrays.docid_tokens is None


def test_the_examples_cover_the_cases_of_the_test_above(arrays):
    assert (arrays.tokens[1] != 0).all()
    assert arrays.docid_rows[0].tolist() == [4, 0, 7]
    assert arrays.docid_rows[1].tolist() == [0, -1, -1]
    assert arrays.grades[2].tolist() == [4, 4, 3]
    assert not arrays.tokens[3].any()


def test_inputs_end_in_the_end_token_within_their_length(tmp_path, vocabulary):
    write_examples(tmp_path / "x", EXAMPLES[:3])
    task = register_task("ended", tmp_path / "x", vocabulary=vocabulary, extra_ids=EXTRA, add_eos=True)
    encode = Tokenizer(vocabulary, extra_ids=EXTRA).encode
    expected = [padded([*encode(e.text)[: LENGTH - 1], 1], LENGTH, 0) for e in EXAMPLES[:3]]
    assert materialise(task, length=LENGTH, judged=1).tokens.tolist() == expected


def test_shards_are_read_in_the_order_of_writing(tmp_path, vocabulary, arrays):
    assert write_examples(tmp_path / "x.tfrecord", iter(EXAMPLES), shards=7) == len(EXAMPLES)
    assert len(list(tmp_path.iterdir())) == 7
    task = register_task("sharded", f"{tmp_path}/x.tfrecord*", vocabulary=vocabulary, extra_ids=EXTRA)
    for mine, theirs in zip(materialise(task, length=LENGTH, judged=JUDGED)[:3], arrays[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_writing_is_deterministic_and_leaves_one_file(tmp_path):
    for name in ("a", "b"):
        write_examples(tmp_path / name, iter(EXAMPLES))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_registering_again_reads_the_new_file_and_the_new_vocabulary(tmp_path, vocabulary):
    own = tmp_path / "own.model"
    own.write_bytes(vocabulary.read_bytes())
    first = materialise(register("again", tmp_path, own, EXAMPLES[:1]), length=LENGTH, judged=1)
    train_vocabulary(["array"], own, size=12)  # other pieces under the same name
    second = materialise(register("again", tmp_path, own, EXAMPLES[:1] * 2), length=LENGTH, judged=1)
    assert len(first.tokens) == 1
    assert len(second.tokens) == 2
    encode = Tokenizer(own, extra_ids=EXTRA).encode
    assert second.tokens[0].tolist() == padded(encode(EXAMPLES[0].text), LENGTH, 0) != first.tokens[0].tolist()
