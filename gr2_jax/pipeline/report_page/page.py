"""report/index.html: one run on one page, a single file that needs no network and no scripts."""

from collections.abc import Callable
from pathlib import Path

from gr2_jax.buckets import push
from gr2_jax.errors import UserError, install
from gr2_jax.evaluation.report_page.markup import Html, foreign, note, page, section, sentence
from gr2_jax.evaluation.report_page.svg import can_draw
from gr2_jax.files import write_text
from gr2_jax.pipeline.report_page import about, curves, docid_part, measures, queries, space
from gr2_jax.pipeline.report_page.findings import Findings
from gr2_jax.pipeline.workdir import Workdir

_PARTS: tuple[tuple[str, str, Callable[[Findings], Html]], ...] = (
    *((part.KEY, part.TITLE, part.body) for part in (measures, curves, docid_part, queries, space)),
    (*about.COSTS, about.costs),
    (*about.SETTINGS, about.settings),
)


def page_path(paths: Workdir, part: str = "test") -> Path:
    return paths.report / ("index.html" if part == "test" else f"{part}.html")


def write_page(found: Findings) -> Path:
    """Writes the page about a run; returns its path. A part that the run has nothing for is one sentence. The same run
    gives the same bytes."""
    sections = [(key, title, section(key, title, _body(body, found))) for key, title, body in _PARTS]
    path = page_path(found.run.paths, found.part)
    write_text(path, [page(found.run.experiment.name, _introduction(found), sections)])
    push(found.run.paths.report)
    return path


def without_figures() -> Html | None:
    """What the page says where nothing can be drawn."""
    if can_draw():
        return None
    return note(f"The figures are left out: matplotlib is not installed ({install('evaluation')}).")


def _body(body: Callable[[Findings], Html], found: Findings) -> Html:
    try:
        return body(found)
    except UserError as error:
        told = str(error)
        return sentence(f"{told[:1].upper()}{told[1:]}.")


def _introduction(found: Findings) -> list[Html]:
    try:
        documents = f" over {len(found.detail.doc_ids):,} documents"
    except UserError:  # a run of which nothing is prepared yet
        documents = ""
    source = found.run.experiment.corpus.described
    rows = ", ".join(row.name for row in found.run.rows) or "none"
    introduction = sentence(f"A run{documents} of ", foreign(source), f". Its rows: {rows}.")
    return [introduction, *([] if (missing := without_figures()) is None else [missing])]
