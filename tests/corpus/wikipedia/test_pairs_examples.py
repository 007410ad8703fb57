"""tf.train.Example and TFRecord written without TensorFlow, compared with TensorFlow."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.corpus.wikipedia.examples import decode_example, encode_example, frame, read_examples, read_records
from gr2_jax.errors import UserError

pytest.importorskip("google_crc32c")
FEATURES = {"doc_id": 5, "text": "héllo\n", "grades": [4, -1, 2**40], "titles": ["a", "", "c"]}


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.lists(st.text(), min_size=1))
def test_written_examples_are_read_back(numbers, texts):
    assert decode_example(encode_example({"n": numbers, "t": texts})) == {"n": numbers, "t": texts}


def test_bytes_equal_those_of_tensorflow(tmp_path):
    tf = pytest.importorskip("tensorflow")
    record = encode_example(FEATURES)
    example = tf.train.Example.FromString(record)
    assert example.SerializeToString(deterministic=True) == record
    assert list(example.features.feature["grades"].int64_list.value) == [4, -1, 2**40]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(record)
    assert (tmp_path / "theirs").read_bytes() == frame(record)


@pytest.mark.parametrize("lost", [1, 4, 20])
def test_a_truncated_file_is_reported(lost):
    data = frame(b"one") + frame(b"another")
    assert list(read_records(io.BytesIO(data), "f")) == [b"one", b"another"]
    with pytest.raises(
        UserError, match=rf"f ends in the middle of the record that begins at byte {len(frame(b'one'))}"
    ):
        list(read_records(io.BytesIO(data[:-lost]), "f"))


def test_a_damaged_length_is_reported_before_reading_that_much():
    data = bytearray(frame(b"one"))
    data[6] = 0xFF
    with pytest.raises(UserError, match=r"f ends .* byte 0, or is damaged"):
        list(read_records(io.BytesIO(data), "f"))


@pytest.mark.parametrize("damaged", [b"\xff\xff", encode_example({"other": 1}), encode_example({"n": []})])
def test_a_damaged_record_is_reported_with_its_offset(damaged):
    good = frame(encode_example({"n": 5}))
    examples = read_examples(io.BytesIO(good + frame(damaged)), "f", lambda features: features["n"][0])
    assert next(examples) == 5
    with pytest.raises(UserError, match=f"f: the record that begins at byte {len(good)} is damaged"):
        next(examples)
