"""One picture that compares the docid schemes of a run."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gr2_jax.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Schemes = Mapping[str, Mapping[str, Any]]
"""Scheme name -> what `docid_quality` returns."""

_SIZE, _DPI = (11, 8), 150  # inches, pixels per inch
_RANKS = (1, 2, 5, 10, 20, 50, 100)
# Shapes as well as colours, for colour-blind readers and black-and-white prints.
_MARKERS, _DASHES = "osD^vPX*<>", ("-", "--", "-.")


def plot_docids(schemes: Schemes, path: str | os.PathLike) -> None:
    """Draws a PNG of 1650 x 1200 pixels: uniqueness by depth, lengths, branching, own BM25 rank, one line per scheme.

    The same input gives the same bytes under the same version of matplotlib. A scheme that lacks a
    measurement has no line in its panel. The file appears whole or not at all.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc does not change the picture
        figure = Figure(_SIZE, _DPI, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
        FigureCanvasAgg(figure)
        looks = styles(schemes, matplotlib.color_sequences["petroff10"])
        panels = figure.subplots(2, 2).flat
        for axes, draw in zip(panels, (draw_unique, draw_lengths, _branching, draw_own_rank), strict=True):
            draw(axes, schemes, looks)
            _finish(axes)
        keys = [Line2D([], [], label=name, **style) for name, style in looks.items()]
        figure.legend(handles=keys, loc="outside lower center", ncols=6, frameon=False)
        with replacing(Path(path)) as partial:
            figure.savefig(partial, format="png", metadata={"Software": None})


def styles(names: Iterable[str], colours: Sequence) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each scheme, with other dashes once the markers are used up."""
    return {
        name: {
            "color": colours[i % len(colours)],
            "marker": _MARKERS[i % len(_MARKERS)],
            "linestyle": _DASHES[i // len(_MARKERS) % len(_DASHES)],
            "markersize": 5,
            "linewidth": 1.6,
        }
        for i, name in enumerate(names)
    }


def draw_unique(axes: "Axes", schemes: Schemes, styles: Mapping) -> None:
    axes.set(
        title="How soon a document is told apart", xlabel="tokens read of the docid", ylabel="documents told apart"
    )
    for name, shape in _parts(schemes, "structure"):
        axes.plot(shape["unique_by_depth"], **styles[name])
    _share(axes)


def draw_lengths(axes: "Axes", schemes: Schemes, styles: Mapping) -> None:
    axes.set(title="Length", xlabel="tokens of the docid, without its end", ylabel="documents this long or shorter")
    for name, shape in _parts(schemes, "structure"):
        counts = np.cumsum([0, *shape["length_histogram"]])
        axes.plot(counts / counts[-1], **styles[name])
    _share(axes)


def _branching(axes: "Axes", schemes: Schemes, styles: Mapping) -> None:
    from matplotlib.ticker import StrMethodFormatter

    axes.set(title="Branching of the trie", xlabel="depth (tokens)", ylabel="children of a node, mean", yscale="log")
    for name, shape in _parts(schemes, "structure"):
        axes.plot(shape["branching_by_depth"]["mean"], **styles[name])
    axes.set_ylim(bottom=0.8)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def draw_own_rank(axes: "Axes", schemes: Schemes, styles: Mapping) -> None:
    axes.set(title="BM25 rank of a document for its own docid", xlabel="rank r", ylabel="documents within rank r")
    measured = _parts(schemes, "own_rank")
    for name, own in measured:
        ranks = np.arange(1, own["depth"] + 1)
        axes.plot(ranks, np.cumsum(own["histogram"]) / own["sample"], markevery=0.1, **styles[name])
    if not measured:
        axes.text(0.5, 0.5, "no docids made of words", transform=axes.transAxes, ha="center")
    axes.set(xscale="log", xlim=(0.93, 108))
    axes.set_xticks(_RANKS, map(str, _RANKS))
    axes.minorticks_off()
    _share(axes)


def _parts(schemes: Schemes, part: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, quality[part]) for name, quality in schemes.items() if quality.get(part) is not None]


def _share(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def _finish(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
