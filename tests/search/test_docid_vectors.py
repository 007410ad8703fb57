"""The docids' vectors made part by part: the same bytes as if all were read and rounded at once."""

import io

import jax
import ml_dtypes
import numpy as np
import pytest

from gr2_jax.array_files import GrowingArray
from gr2_jax.pipeline.stage import Stage
from gr2_jax.search import docid_vectors
from gr2_jax.search.docid_vectors import DocidVectors, joined, vectors_in_parts, write_vectors

AT_ONCE = 4 * jax.local_device_count()
COUNTS = (1, AT_ONCE, AT_ONCE + 3, 3 * AT_ONCE - 1)
WIDTH = 5
TYPES = ("float32", "bfloat16", "int8")
TRAINED = np.random.default_rng(0).normal(size=(100, WIDTH)).astype(np.float32)
TRAINED[0] = 0  # of no length


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(docid_vectors, "_DOCIDS", 4)


def parts_of(count, dtype, read=lambda params, docids: params[docids[:, 0]]):
    return vectors_in_parts(read, TRAINED, np.arange(count)[:, None], dtype, range(count))


def at_once(count, dtype):
    """The table, and the scales of its rows: of int8 the largest entry is 127."""
    vectors = TRAINED[:count]
    if dtype != "int8":
        return vectors.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32), None
    scales = np.maximum(np.abs(vectors).max(axis=1) / 127, np.float32(1e-30)).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", COUNTS)
def test_parts_are_the_table_of_all_docids_in_memory_and_on_disk(tmp_path, count, dtype):
    values, scales = at_once(count, dtype)
    write_vectors(tmp_path, parts_of(count, dtype), dtype, WIDTH)
    stored = values.view(np.uint16) if dtype == "bfloat16" else values
    assert (tmp_path / "vectors.npy").read_bytes() == npy(stored)
    assert (tmp_path / "scales.npy").exists() == (scales is not None)
    if scales is not None:
        assert (tmp_path / "scales.npy").read_bytes() == npy(scales)
    for table in (joined(parts_of(count, dtype), count, dtype, WIDTH), DocidVectors.load(tmp_path)):
        assert table.values.dtype.name == dtype
        assert table.values.tobytes() == values.tobytes()
        assert (table.scales is None) == (scales is None)
        assert scales is None or table.scales.tobytes() == scales.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
def test_a_part_is_written_before_the_next_is_read(tmp_path, monkeypatch, dtype):
    written, append = [], GrowingArray.append

    def noting(array, values):
        written.append(len(values))
        append(array, values)

    def read(params, docids):
        assert len(docids) == AT_ONCE
        assert sum(written) == docids[0, 0] * (2 if dtype == "int8" else 1)  # scales are appended, too
        return params[docids[:, 0]]

    monkeypatch.setattr(GrowingArray, "append", noting)
    write_vectors(tmp_path, parts_of(COUNTS[-1], dtype, read), dtype, WIDTH)
    assert max(written) == AT_ONCE
    assert sum(written) == COUNTS[-1] * (2 if dtype == "int8" else 1)


@pytest.mark.parametrize("dtype", TYPES)
def test_some_rows_are_read_in_calls_of_the_shape_of_all(dtype):
    shapes, done = [], []

    def read(params, docids):
        shapes.append(docids.shape)
        return params[docids[:, 0]]

    docids, rows = np.arange(COUNTS[-1])[:, None], range(AT_ONCE, AT_ONCE + 2)
    (part,) = vectors_in_parts(read, TRAINED, docids, dtype, rows, done.append)
    values, scales = at_once(COUNTS[-1], dtype)
    assert part.values.tobytes() == values[AT_ONCE : AT_ONCE + 2].tobytes()
    assert scales is None or part.scales.tobytes() == scales[AT_ONCE : AT_ONCE + 2].tobytes()
    assert (shapes, done) == ([(AT_ONCE, 1)], [2])


@pytest.mark.parametrize("dtype", TYPES)
def test_what_breaks_off_leaves_no_stage(tmp_path, dtype):
    def read(params, docids):
        if docids[0, 0] >= AT_ONCE:
            raise RuntimeError("out of memory")
        return params[docids[:, 0]]

    stage = Stage(tmp_path / "vectors", "of these settings")
    with pytest.raises(RuntimeError, match="out of memory"):
        stage.build(lambda out: write_vectors(out, parts_of(COUNTS[-1], dtype, read), dtype, WIDTH))
    assert not stage.done
    assert list(tmp_path.iterdir()) == []
    stage.build(lambda out: write_vectors(out, parts_of(COUNTS[-1], dtype), dtype, WIDTH))
    assert stage.done
