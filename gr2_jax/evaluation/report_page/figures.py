"""The report's figures, each a function from numbers to an SVG. Series differ in dashes or markers, too."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.evaluation.docid_plot import draw_lengths, draw_own_rank, draw_unique, styles
from gr2_jax.evaluation.report_page.markup import Html
from gr2_jax.evaluation.report_page.projection import Plane
from gr2_jax.evaluation.report_page.style import GRADES, SERIES
from gr2_jax.evaluation.report_page.svg import COLOUR, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vPX*"
DASHES = ("-", "--", "-.", ":")
_GRADE_MARKERS, _GRADE_SIZES = "v^sDo", (4.5, 5.0, 5.5, 6.0, 7.0)
_MOST_POINTS = 300  # of a curve
_MOST_BARS = 400
_POINTS_PER_UNIT = 110  # about, in a map of points from -1 to 1

Interval = tuple[float, float]
Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values."""


def intervals(
    name: str, measure: str, values: Mapping[str, tuple[float, Interval | None]], limits: Interval | None = None
) -> Html:
    """A dot and a bar for each row: its value and the interval, the first on top; `limits` are those of the axis."""

    def paint(axes: "Axes") -> None:
        for place, (value, interval) in enumerate(values.values()):
            if interval is not None:
                axes.plot(interval, [place, place], color=COLOUR["s0"], linewidth=2, solid_capstyle="butt", alpha=0.55)
            axes.plot([value], [place], "o", color=COLOUR["s0"], markersize=5)
        axes.set_yticks(range(len(values)), list(values), color=COLOUR["ink"])
        axes.set(ylim=(len(values) - 0.5, -0.5), xlim=limits, xlabel=measure)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    best = max(values, key=lambda row: values[row][0])
    return draw(name, f"{measure} of each row; {best} is best", paint, height=0.65 + 0.22 * len(values))


def curves(name: str, ylabel: str, lines: Mapping[str, Curve], *, points: bool = False) -> Html:
    """Values over steps, one line for each name; `points` marks each, where they are few."""

    def paint(axes: "Axes") -> None:
        for i, (label, (steps, values)) in enumerate(lines.items()):
            shown = _thinned(len(steps))
            style = {"color": COLOUR[f"s{i % SERIES}"], "linestyle": DASHES[i % len(DASHES)]}
            marks = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4} if points or len(steps) == 1 else {}
            axes.plot(np.asarray(steps)[shown], np.asarray(values)[shown], label=label, **style, **marks)
        axes.set(xlabel="step", ylabel=ylabel)
        axes.xaxis.set_major_locator(_whole_numbers())
        axes.figure.legend(loc="outside upper left", ncols=3, handlelength=2.6, columnspacing=1.4)

    return draw(name, f"{ylabel} over training steps: {', '.join(lines)}", paint)


def docid_panels(schemes: Mapping[str, Mapping[str, Any]]) -> list[tuple[Html, str]]:
    """How soon documents are told apart and, where docids have words, their own rank; else their lengths. Each with a
    caption; `schemes` as `gr2_jax.evaluation.docid_plot.Schemes`."""
    panels = {"unique": (draw_unique, "How soon a document is told apart from all others, token by token.")}
    if any(quality.get("own_rank") for quality in schemes.values()):
        panels["own-rank"] = draw_own_rank, "Where BM25 ranks a document when its docid is the query."
    else:
        panels["lengths"] = draw_lengths, "Lengths of the docids."
    looks = styles(schemes, [COLOUR[f"s{i}"] for i in range(SERIES)])

    def paint(panel: Callable, axes: "Axes") -> None:
        panel(axes, schemes, looks)
        for name, style in looks.items():
            axes.plot([], [], label=name, **style)
        axes.set_title("")  # the caption says it
        axes.figure.legend(loc="outside upper left", ncols=4)

    return [
        (draw(f"docids-{key}", caption, partial(paint, panel)), caption) for key, (panel, caption) in panels.items()
    ]


def differences(name: str, ylabel: str, values: Float[np.ndarray, " Q"]) -> Html:
    """A bar for each query, the largest gain first. Of more queries than can be seen, evenly chosen ones."""
    ordered = np.sort(values)[::-1]
    shown = ordered[_thinned(len(ordered), _MOST_BARS)]
    edges = np.linspace(0, len(ordered), len(shown) + 1)

    def paint(axes: "Axes") -> None:
        for kind, part in (("gain", shown.clip(min=0)), ("loss", shown.clip(max=0))):
            axes.stairs(part, edges, fill=True, color=COLOUR[kind])
        axes.axhline(0, color=COLOUR["soft"], linewidth=0.7)
        axes.set(xlabel="test queries, by difference", ylabel=ylabel, xlim=(0, len(ordered)))
        axes.xaxis.set_major_locator(_whole_numbers())
        axes.grid(visible=False, axis="x")

    won, lost = int(np.sum(values > 0)), int(np.sum(values < 0))
    return draw(name, f"{ylabel}, per query: {won} above zero, {lost} below", paint)


def listed(
    name: str,
    points: Float[np.ndarray, "m 2"],
    *,
    levels: Int[np.ndarray, " n"],
    labels: Sequence[str],
    names: Sequence[str],
) -> Html:
    """A query, the first point, and the documents of a list.

    levels    of each document: its place among the grades `names`, -1 for one that is not judged
    labels    of each document; what stands beside its point, "" for nothing
    """
    points = _scaled(points)
    documents = points[1:]

    def paint(axes: "Axes") -> None:
        other = documents[levels < 0]
        if len(other):
            axes.plot(*other.T, ".", color=COLOUR["soft"], markersize=4, label="not judged")
        for level in range(len(names)):
            if len(own := documents[levels == level]):
                axes.plot(*own.T, linestyle="none", **_grade_style(level, len(names)), label=names[level])
        style = {"marker": "*", "markersize": 13, "linestyle": "none"}
        axes.plot(*points[:1].T, color=COLOUR["query"], label="query", markeredgecolor=COLOUR["ink"], **style)
        for text, point, offset in zip(labels, documents, _offsets(documents, labels), strict=True):
            place = {"xytext": offset, "textcoords": "offset points", "ha": "center", "va": "center"}
            if text:
                axes.annotate(text, point, fontsize=7.5, **place)
        _as_map(axes)
        axes.figure.legend(loc="outside upper left", ncols=4, handletextpad=0.3, columnspacing=1.2)

    return draw(name, "a query and the documents of a list, by grade, in two dimensions", paint, height=3.9)


def first_tokens(name: str, plane: Plane, groups: Int[np.ndarray, " n"]) -> Html:
    """Documents by the first token of their docid: `groups` are from 0 to 7 for the most frequent ones, -1 for all
    others."""
    points = _scaled(plane.points)

    def paint(axes: "Axes") -> None:
        axes.plot(*points[groups < 0].T, ".", color=COLOUR["line"], markersize=3)
        for group in range(SERIES):
            own = points[groups == group]
            axes.plot(*own.T, linestyle="none", marker=MARKERS[group], color=COLOUR[f"s{group}"], markersize=3.5)
        _as_map(axes)
        first, second = (f"{share:.0%} of the variance" for share in plane.shares)
        axes.set(xlabel=first, ylabel=second)

    return draw(name, "documents in two dimensions, by the first token of their docids", paint, height=3.9)


def _offsets(points: Float[np.ndarray, "n 2"], labels: Sequence[str]) -> list[tuple[float, float]]:
    """Where each label stands beside its point, in points of the figure: of eight places that which is farthest from
    all points and from the labels before."""
    around = np.linspace(0, 2 * np.pi, 8, endpoint=False) + np.pi / 4
    places = 9 * np.stack([np.cos(around), np.sin(around)], axis=1)
    taken, chosen = points * _POINTS_PER_UNIT, []
    for label, point in zip(labels, points * _POINTS_PER_UNIT, strict=True):
        if not label:
            chosen.append((0.0, 0.0))
            continue
        own = point + places
        nearest = np.linalg.norm(own[:, None] - taken[None], axis=-1).min(axis=1).round(6)
        best = int(np.argmax(nearest))
        taken = np.concatenate([taken, own[best : best + 1]])
        chosen.append(tuple(places[best].tolist()))
    return chosen


def _grade_style(level: int, levels: int) -> dict:
    """Higher grades are darker on a light page and lighter on a dark one, and larger; shapes differ, too."""
    place = GRADES - 1 if levels == 1 else round(level * (GRADES - 1) / (levels - 1))
    style = {"marker": _GRADE_MARKERS[level % len(_GRADE_MARKERS)], "markersize": _GRADE_SIZES[place]}
    return style | {"color": COLOUR[f"g{place}"], "markeredgecolor": COLOUR["ink"], "markeredgewidth": 0.6}


def _scaled(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """From -1 to 1."""
    return np.round(points / max(float(np.abs(points).max()), 1e-9), 4)


def _as_map(axes: "Axes") -> None:
    """Without numbers, which mean nothing by themselves, and with the same scale in both directions."""
    axes.set(xticks=[], yticks=[])
    axes.margins(0.08)
    axes.set_aspect("equal", adjustable="datalim")


def _thinned(count: int, most: int = _MOST_POINTS) -> Int[np.ndarray, " n"]:
    """Places of at most `most` of so many values, the first and the last among them."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(int)


def _whole_numbers():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6, integer=True, steps=(1, 2, 5, 10))
