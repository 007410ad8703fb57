"""Figures as SVG inside the page: in its colours and its font, without metadata, the same bytes for the same data."""

import importlib.util
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from gr2_jax.evaluation.report_page.markup import Html, tag
from gr2_jax.evaluation.report_page.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib wants numbers for colours: each variable has one that nothing else has, and which is put back in the SVG.
COLOUR = {name: f"#0a{i:02x}c7" for i, name in enumerate(COLOURS)}
_VARIABLE = {number: f"var(--{name})" for name, number in COLOUR.items()}

WIDTH, HEIGHT = 4.7, 2.9  # inches of 72 points, of which a page shows one in 1.3 pixels


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(name: str, label: str, paint: Callable[["Axes"], None], *, height: float = HEIGHT) -> Html:
    """The SVG that `paint` makes of empty axes. `name` tells the figures of a page apart; `label` says what is seen to
    whoever does not see it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own matplotlibrc does not change the picture
        matplotlib.rcParams.update(_settings(name))
        drawn = Figure((WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
        axes = drawn.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        paint(axes)
        file = io.StringIO()
        drawn.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return tag("div", _inline(file.getvalue(), name), role="img", aria_label=label)


def _settings(name: str) -> dict:
    ink, soft, line = COLOUR["ink"], COLOUR["soft"], COLOUR["line"]
    colours = {"text.color": ink, "axes.labelcolor": soft, "axes.edgecolor": soft, "xtick.color": soft}
    colours |= {"ytick.color": soft, "grid.color": line, "legend.labelcolor": ink}
    shapes = {"font.size": 8, "axes.linewidth": 0.7, "grid.linewidth": 0.6, "lines.linewidth": 1.4, "axes.grid": True}
    shapes |= {"legend.frameon": False, "legend.fontsize": 8, "axes.titlesize": 9, "text.parse_math": False}
    # text as text: smaller, searchable, and in the page's font
    return colours | shapes | {"svg.fonttype": "none", "svg.hashsalt": name}


def _inline(svg: str, name: str) -> Html:
    """The svg element alone, with the page's colours; ids that nothing refers to are left out, the others are those of
    this figure."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<(metadata|!--).*?(</metadata>|-->)\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg, count=1)
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub("#0a[0-9a-f]{2}c7", lambda found: _VARIABLE[found[0]], svg)
    svg = re.sub(r"'?DejaVu Sans'?(, [^;\"]*)?", "sans-serif", svg)
    return Html(re.sub(r">\s+<", "><", svg))
