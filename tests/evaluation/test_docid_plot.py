import struct
import sys

import numpy as np
import pytest

from gr2_jax.docids.structure import structure
from gr2_jax.evaluation.docid_plot import plot_docids
from gr2_jax.evaluation.docid_quality import rank_summary

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def schemes():
    words = {"structure": structure(np.array([[1, 2, 0], [1, 3, 4], [5, 0, 0]])), "own_rank": None}
    codes = {"structure": structure(np.array([[1, 2], [1, 3], [4, 2]])), "own_rank": rank_summary(np.array([1, 9, 0]))}
    return {"words": words, "codes": codes}


def drawn(schemes, folder, name="docids.png"):
    plot_docids(schemes, folder / name)
    return (folder / name).read_bytes()


def test_a_png_with_the_same_bytes_each_time(schemes, tmp_path):
    picture = drawn(schemes, tmp_path)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (1650, 1200)
    assert drawn(schemes, tmp_path, "again.png") == picture
    assert {path.name for path in tmp_path.iterdir()} == {"docids.png", "again.png"}  # no partial file stays


def test_the_data_and_not_the_users_settings_decide_the_bytes(schemes, tmp_path):
    import matplotlib

    picture = drawn(schemes, tmp_path)
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50}):
        assert drawn(schemes, tmp_path) == picture
        assert matplotlib.rcParams["font.size"] == 20
    for changed in ({"codes": schemes["codes"]}, {**schemes, "words": schemes["codes"]}):
        assert drawn(changed, tmp_path) != picture


def test_what_was_not_measured_has_no_line(schemes, tmp_path):
    nothing = {"structure": None, "own_rank": None}
    for some in ({"words": schemes["words"]}, {"words": schemes["words"], "new": nothing}, {"new": {}}):
        assert drawn(some, tmp_path)[:4] == b"\x89PNG"


def test_more_schemes_than_markers(schemes, tmp_path):
    assert drawn({f"scheme {i}": schemes["codes"] for i in range(11)}, tmp_path)[:4] == b"\x89PNG"


def test_pyplot_and_its_windows_are_not_needed(schemes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    drawn(schemes, tmp_path)


def test_the_lines_are_the_figures(schemes, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    lines, plot = [], Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda self, *data, **style: lines.append(data) or plot(self, *data, **style))
    drawn({"words": schemes["words"]}, tmp_path)
    unique, lengths, branching = ([*map(float, *data)] for data in lines)
    assert unique == pytest.approx([0, 1 / 3, 1, 1])
    assert lengths == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert branching == pytest.approx([2, 3 / 2, 1, 1])
    lines.clear()
    drawn({"codes": schemes["codes"]}, tmp_path)
    ranks, shares = lines[3]
    assert list(ranks) == list(range(1, 101))
    assert list(shares) == pytest.approx([1 / 3] * 8 + [2 / 3] * 92)
