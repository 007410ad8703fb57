"""The figures of a study: a measure along numbers, of named things, and over pairs of settings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gr2_jax.evaluation.report_page.figures import DASHES, MARKERS
from gr2_jax.evaluation.report_page.markup import Html
from gr2_jax.evaluation.report_page.style import SERIES
from gr2_jax.evaluation.report_page.svg import COLOUR, draw
from gr2_jax.evaluation.table import format_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE_RANGE = 10  # the largest of the numbers by the smallest, from which their axis is logarithmic
_DIGIT, _GAP = 0.0166, 0.006  # of the axis's width: a digit of a number below it, and between two numbers
_FAINTEST, _STRONGEST = 0.06, 0.62  # of a cell's colour, over which a number can still be read


class Dot(NamedTuple):
    """A value at a number of the axis; `sd` None: of one seed."""

    number: float
    value: float
    sd: float | None


def along(name: str, axis: str, measure: str, rows: Mapping[str, Sequence[Dot]]) -> Html:
    """A line for each row, with bars of one standard deviation up and down. A row that is the same everywhere is a line
    without points."""
    numbers = sorted({dot.number for dots in rows.values() for dot in dots})

    def paint(axes: "Axes") -> None:
        _scale(axes, numbers)
        for i, (row, dots) in enumerate(rows.items()):
            style = {"color": COLOUR[f"s{i % SERIES}"], "linestyle": DASHES[i % len(DASHES)], "label": row}
            if len(dots) > 1 and len({dot.value for dot in dots}) == 1:
                axes.axhline(dots[0].value, **style)
                continue
            style |= {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "elinewidth": 0.9, "capsize": 2.5}
            sd = [dot.sd or 0.0 for dot in dots] if any(dot.sd is not None for dot in dots) else None
            axes.errorbar([dot.number for dot in dots], [dot.value for dot in dots], yerr=sd, **style)
        axes.set(xlabel=axis, ylabel=measure)
        axes.figure.legend(loc="outside upper left", ncols=3, handlelength=2.6, columnspacing=1.4)

    return draw(name, f"{measure} along {axis}: {', '.join(rows)}", paint)


def heat_map(name: str, axes_of: tuple[str, str], measure: str, cells: Mapping[tuple[str, str], float]) -> Html:
    """A cell for each pair of values, the number written in it; the colour is stronger, the higher the measure."""
    across, up = (list(dict.fromkeys(pair[place] for pair in cells)) for place in (0, 1))
    low, high = min(cells.values()), max(cells.values())

    def paint(axes: "Axes") -> None:
        from matplotlib.patches import Rectangle

        best = format_cell(high, True)
        for (first, second), value in cells.items():
            x, y = across.index(first), up.index(second)
            share = (value - low) / (high - low) if high > low else 0.0
            alpha = round(_FAINTEST + share * (_STRONGEST - _FAINTEST), 4)
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=COLOUR["s0"], alpha=alpha, linewidth=0))
            written = format_cell(value, True)
            weight = "bold" if written == best else "normal"
            axes.text(x, y, written, ha="center", va="center", color=COLOUR["ink"], fontweight=weight)
        axes.set_xticks(range(len(across)), across)
        axes.set_yticks(range(len(up)), up)
        axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(-0.5, len(up) - 0.5), xlabel=axes_of[0], ylabel=axes_of[1])
        axes.grid(visible=False)
        axes.tick_params(length=0)

    label = (
        f"{measure} for each {axes_of[0]} and {axes_of[1]}, from {format_cell(low, True)} to {format_cell(high, True)}"
    )
    return draw(name, label, paint, height=0.7 + 0.36 * len(up))


def _scale(axes: "Axes", numbers: Sequence[float]) -> None:
    """The numbers themselves as ticks, those of them written that have room; far apart on a logarithmic axis, which
    begins straight where there is a zero."""
    above = [number for number in numbers if number > 0]
    if above and numbers[0] >= 0 and above[-1] >= _WIDE_RANGE * above[0]:
        if above == list(numbers):
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=above[0], linscale=0.6)
    if len(numbers) > 1:
        axes.set_xlim(*_with_room(axes, numbers))
    places = _on_axis(axes, numbers)
    width, written, end = places[-1] - places[0], [], float("-inf")
    for number, place in zip(numbers, places, strict=True):
        half = _DIGIT * len(f"{number:g}") / 2 * width
        fits = place - half >= end
        written.append(f"{number:g}" if fits else "")
        end = place + half + _GAP * width if fits else end
    axes.set_xticks(numbers, written)
    axes.set_xticks([], minor=True)


def _with_room(axes: "Axes", numbers: Sequence[float]) -> tuple[float, float]:
    """The axis's ends: the numbers', with 4% more on either side."""
    places = _on_axis(axes, numbers)
    room = 0.04 * (places[-1] - places[0])
    inverse = axes.xaxis.get_transform().inverted()
    low, high = inverse.transform([places[0] - room, places[-1] + room])
    return float(low), float(high)


def _on_axis(axes: "Axes", numbers: Sequence[float]) -> list[float]:
    """Where the numbers lie on the axis, in its own scale."""
    return [float(place) for place in axes.xaxis.get_transform().transform(list(numbers))]
