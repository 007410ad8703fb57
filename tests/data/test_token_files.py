"""Tokenised texts on the disk are those that were added, padded as if they were in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.data import token_files
from gr2_jax.data.token_files import TokenRows, read_token_files, token_writer
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.errors import UserError

TEXTS = [[5, 6, 7], [], [8], [9, 10, 11, 12], [13, 14]]
WIDTH = 3


def write(folder, texts, *, ids=20, at_once=2):
    with token_writer(folder, "documents", ids=ids) as writer:
        for start in range(0, len(texts), at_once):
            part = texts[start : start + at_once]
            writer.add(part, [start + i for i in range(len(part))])


def read(folder, *, ids=20):
    return read_token_files(folder, "documents", width=WIDTH, ids=ids, grade=4)


@pytest.mark.parametrize("ids", [20, 1 << 17])
def test_what_was_written_is_read(tmp_path, ids):
    write(tmp_path, TEXTS, ids=ids)
    found, expected = read(tmp_path, ids=ids), pad_rows(TEXTS, WIDTH)
    np.testing.assert_array_equal(found.tokens[:], expected)
    taken = found.take(np.array([3, 0, 3]))
    np.testing.assert_array_equal(taken.tokens, expected[[3, 0, 3]])
    assert taken.tokens.dtype == np.int32
    assert taken.docid_rows.tolist() == [[3], [0], [3]]
    assert taken.grades.tolist() == [[4]] * 3
    assert (tmp_path / "documents.tokens.npy").stat().st_size == 128 + 10 * (2 if ids == 20 else 4)


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(1, 19), max_size=5), min_size=1, max_size=6), st.data())
def test_rows_are_those_of_an_array(texts, data):
    rows = TokenRows(
        np.array([token for text in texts for token in text], np.uint16), np.cumsum([0, *map(len, texts)]), WIDTH
    )
    expected = pad_rows(texts, WIDTH)
    count = len(texts)
    index = data.draw(st.lists(st.integers(-count, count - 1), max_size=9))
    np.testing.assert_array_equal(rows[np.array(index, int)], expected[np.array(index, int)])
    part = data.draw(st.slices(count))
    np.testing.assert_array_equal(rows[part], expected[part])
    np.testing.assert_array_equal(rows[count - 1], expected[count - 1])
    head = data.draw(st.integers(0, count))
    np.testing.assert_array_equal(rows.head(head)[:], expected[:head])
    assert rows.shape == expected.shape
    assert len(rows.head(head)) == head
    for wrong in (count, -count - 1):
        with pytest.raises(IndexError):
            rows[np.array([0, wrong])]


def test_all_rows_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(token_files, "_AT_ONCE", 2)
    write(tmp_path, TEXTS)
    assert [row.tolist() for row in read(tmp_path).tokens] == pad_rows(TEXTS, WIDTH).tolist()


def test_what_is_no_row_number_or_no_array_of_numbers_is_refused(tmp_path):
    write(tmp_path, TEXTS)
    with pytest.raises(TypeError, match="row numbers"):
        read(tmp_path).tokens[np.array([True, False])]
    np.save(tmp_path / "documents.rows.npy", np.arange(5.0))
    with pytest.raises(UserError, match="is damaged"):
        read(tmp_path)


def test_no_texts(tmp_path):
    write(tmp_path, [])
    assert read(tmp_path).tokens[:].shape == (0, WIDTH)


def test_a_killed_writer_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), token_writer(tmp_path, "documents", ids=20) as writer:
        writer.add(TEXTS, [1 // i for i in range(5)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("tokens", [1] * 9),
        ("tokens", [20] * 10),
        ("starts", [0, 3, 2, 4, 8, 10]),
        ("rows", [0, 1]),
        ("rows", [0, 1, 2, 3, -4]),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, part, values):
    write(tmp_path, TEXTS)
    path = tmp_path / f"documents.{part}.npy"
    np.save(path, np.array(values, np.load(path).dtype))
    with pytest.raises(UserError, match="is damaged"):
        read(tmp_path)
