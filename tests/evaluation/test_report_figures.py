"""The report's figures: SVG in the page's colours, the same bytes each time; PCA against scikit-learn's; t-SNE."""

import re
import sys

import numpy as np
import pytest
from html_pages import Outline

from gr2_jax.evaluation.report_page import figures
from gr2_jax.evaluation.report_page.projection import neighbour_plane, principal_plane
from gr2_jax.evaluation.report_page.style import _DARK, _LIGHT, COLOURS
from gr2_jax.evaluation.report_page.svg import can_draw

pytest.importorskip("matplotlib")
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(60, 9)).astype(np.float32)


def drawings():
    plane = principal_plane(POINTS)
    levels = np.array([1, 0, 1, *[-1] * 56])
    quality = {"structure": {"unique_by_depth": [0.0, 0.5, 1.0], "length_histogram": [1, 2]}, "own_rank": None}
    return [
        figures.intervals("a", "nDCG@20", {"A & B": (0.5, (0.4, 0.6)), "C": (0.2, None)}),
        figures.curves("b", "loss", {f"part <{i}>": (range(5), RANDOM.normal(size=5)) for i in range(3)}),
        figures.curves("c", "measure", {"$x$": ([3], [0.5])}, points=True),
        figures.differences("d", "A minus B", RANDOM.normal(size=5000)),
        figures.listed(
            "e", plane.points, levels=levels, labels=["1", "2", "3", *[""] * 56], names=["grade 1", "grade 4"]
        ),
        figures.first_tokens("f", plane, RANDOM.integers(-1, 8, 60)),
        *(svg for svg, _ in figures.docid_panels({"title": quality})),
    ]


def test_svgs_have_the_pages_colours_alone_and_refer_to_themselves_alone():
    ids = []
    for svg in drawings():
        outline = Outline(svg)
        assert outline.count("svg") == 1
        assert {reference.removeprefix("#") for reference in outline.references} <= set(outline.ids)
        assert "http" not in svg
        assert not re.findall("#[0-9a-f]{6}", svg), "a colour that is none of the page's"
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= set(COLOURS)
        ids += outline.ids
    assert len(set(ids)) == len(ids)  # in one page


def test_texts_are_texts():
    text = " ".join(Outline(svg).text for svg in drawings())
    assert all(part in text for part in ("A & B", "part <0>", "$x$", "A minus B", "grade 4", "query"))


def test_the_same_bytes_whatever_the_users_settings_are(monkeypatch):
    import matplotlib

    def drawn():
        return figures.curves("b", "loss", {"a": ([1, 2], [3.0, 4.0])})

    first = drawn()
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert drawn() == first
        assert matplotlib.rcParams["font.size"] == 20
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # no window is needed
    assert drawn() == first
    assert "2026" not in first  # no date


def test_of_thousands_of_bars_and_points_some_hundred_are_drawn():
    many = figures.differences("d", "x", RANDOM.normal(size=100_000))
    assert len(many) < 60_000
    steps = np.arange(100_000)
    assert len(figures.curves("c", "loss", {"a": (steps, np.sin(steps))})) < 40_000


def test_the_plane_is_scikit_learns():
    from sklearn.decomposition import PCA

    pca = PCA(2).fit(POINTS)
    plane = principal_plane(POINTS)
    np.testing.assert_allclose(np.abs(plane.points), np.abs(pca.transform(POINTS)), atol=1e-4)
    np.testing.assert_allclose(plane.shares, pca.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(principal_plane(POINTS + 7).points, plane.points, atol=1e-4)


def test_planes_of_little():
    for vectors in (np.ones((3, 4)), np.zeros((1, 4)), np.array([[1.0], [2.0]])):
        plane = principal_plane(vectors)
        assert plane.points.shape == (len(vectors), 2)
        assert np.isfinite(plane.points).all()
        assert np.isfinite(plane.shares).all()
    assert principal_plane(np.array([[1.0], [2.0]])).shares.tolist() == pytest.approx([1, 0])


def test_t_sne_keeps_neighbours_together_and_is_the_same_each_time():
    """Three directions, far apart by the cosine; the lengths of the vectors, which differ, are of the other measure."""
    groups = np.repeat(np.eye(3), 8, axis=0) + RANDOM.normal(scale=0.05, size=(24, 3))
    vectors = groups * RANDOM.uniform(0.1, 10, size=(24, 1))
    points = neighbour_plane(vectors, cosine=True)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.diag([np.inf] * 24)
    assert (distances.argmin(axis=1) // 8 == np.arange(24) // 8).all()
    np.testing.assert_array_equal(neighbour_plane(vectors, cosine=True), points)
    assert not np.allclose(neighbour_plane(vectors, cosine=False), points)


@pytest.mark.parametrize("vectors", [np.ones((5, 4)), np.zeros((4, 3)), np.ones((1, 2)), np.arange(6.0)[:, None]])
@pytest.mark.parametrize("cosine", [True, False])
def test_t_sne_of_little(vectors, cosine):
    points = neighbour_plane(vectors, cosine=cosine)
    assert points.shape == (len(vectors), 2)
    assert np.isfinite(points).all()


def test_labels_keep_away_from_each_other():
    points = np.array([[0.0, 0.0], [0.01, 0.0], [0.02, 0.01], [0.5, 0.5]])
    places = points[:3] * figures._POINTS_PER_UNIT + np.array(figures._offsets(points, ["1", "2", "3", ""])[:3])
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(3, 1)]
    assert distances.min() > 7


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [_LIGHT, _DARK], ids=["light", "dark"])
def test_texts_and_lines_stand_out_and_grades_differ_in_lightness(colours):
    def contrast(a, b):
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    assert contrast("ink", "paper") > 7
    assert all(contrast(text, "paper") >= 4.5 for text in ("soft", "link"))
    assert all(contrast(line, "paper") >= 2.7 for line in ("gain", "loss", "query", *(f"s{i}" for i in range(8))))
    assert all(contrast(f"g{i}", f"g{i + 1}") > 1.4 for i in range(4))
    assert contrast("g4", "paper") == max(contrast(f"g{i}", "paper") for i in range(5))


def test_without_matplotlib_nothing_can_be_drawn(monkeypatch):
    assert can_draw()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not can_draw()
