"""How good the docids of each scheme are, and some of them."""

from collections.abc import Mapping
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.evaluation.report_page.figures import docid_panels
from gr2_jax.evaluation.report_page.markup import Html, figure, figures, foreign, note, table, tag, together
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.evaluation.table import format_cell
from gr2_jax.files import read_json, reading
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.stage import reading_stage

KEY, TITLE = "docids", "Docids"
_COLUMNS = {
    "documents": ("assignment", "documents"),
    "unique before assignment": ("assignment", "unique_share_before"),
    "needed a suffix": ("assignment", "needed_suffix"),
    "mean length": ("assignment", "length_mean"),
    "own rank 1": ("own_rank", "rank_1_share"),
    "own MRR": ("own_rank", "mrr"),
    "nearest": ("neighbour_similarity", "mean"),
    "alike": ("vector_similarity", "mean"),
}
"""Heading -> where quality.json has the value."""
_MEANINGS = (
    "Lengths are in tokens. Own rank 1 and own MRR: where BM25 ranks a document when its docid is the query. Nearest: "
    "the cosine of a docid with the most similar other one, by their tokens; alike: the same by their meaning. High "
    "values of these two say that docids are hard to tell apart."
)


def body(found: Findings) -> Html:
    qualities = _qualities(found)
    if not qualities:
        raise UserError("the quality of the docids was not measured yet")
    whose = note(f"Docids{found.whose}.") if found.whose else None
    examples = (_examples(name, quality) for name, quality in qualities.items())
    return together(whose, compared(qualities), *examples)


def compared(qualities: Mapping[str, Mapping[str, Any]]) -> Html:
    """Schemes side by side, by what quality.json says of each."""
    rows = [[name, *(_cell(quality, place) for place in _COLUMNS.values())] for name, quality in qualities.items()]
    shown = figures(figure(svg, caption) for svg, caption in docid_panels(qualities)) if can_draw() else None
    return together(table(["scheme", *_COLUMNS], rows), note(_MEANINGS), shown)


def _qualities(found: Findings) -> dict[str, Mapping[str, Any]]:
    """Scheme -> quality.json, of the schemes that have one."""
    qualities, paths = {}, found.detail.paths
    for scheme in found.detail.experiment.docids.schemes:
        if (paths.quality(scheme.name) / "quality.json").is_file():
            with reading_stage(paths.quality(scheme.name), "quality.json") as path:
                qualities[scheme.name] = read_json(path)
                _ = [_cell(qualities[scheme.name], place) for place in _COLUMNS.values()]  # what has none is damaged
    return qualities


def _cell(quality: Mapping[str, Any], place: tuple[str, str]) -> str | None:
    part, key = place
    value = (quality.get(part) or {}).get(key)
    return None if value is None else format_cell(value, False)


def _examples(name: str, quality: Mapping[str, Any]) -> Html | None:
    with reading(f"the quality of {name}"):
        rows = [[foreign(one["document"], 100), foreign(one["docid"])] for one in quality.get("examples") or ()]
    heading = tag("h3", "Examples of ", name)
    return together(heading, table(["document", "docid"], rows, words=(0, 1))) if rows else None
