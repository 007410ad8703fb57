"""The table: measures, significance against BM25 and cost of every row, with their provenance.

No row is a condition of the others: one that was left out is a line of dashes, one that found nothing a line of zeros,
and a note below the table says why.
"""

import dataclasses
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

from gr2_jax.corpus import read_run
from gr2_jax.errors import UserError
from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.evaluation.metrics import default_measures, mean, per_query
from gr2_jax.evaluation.provenance import CONVENTIONS, TOPICS, package_versions
from gr2_jax.evaluation.significance import TESTS, holm
from gr2_jax.evaluation.table import Cell, format_table
from gr2_jax.files import read_json, write_json, write_text
from gr2_jax.pipeline.docids import describe
from gr2_jax.pipeline.evaluate import found_nothing, why_left_out
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import reading_stage

REFERENCE = "BM25"
_COSTS = {"index MB": "index_mb", "model MB": "model_mb", "train s": "train_seconds"}  # column -> key of cost.json


class Scored(NamedTuple):
    """The rows of a run on a part of its queries.

    scores    row -> measure -> query -> value, of the rows that were searched
    costs     row -> column of the table -> value
    notes     row -> why it was left out, or what its zeros mean
    """

    scores: dict[str, dict[str, dict[str, float]]]
    costs: dict[str, dict[str, float | None]]
    notes: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Results:
    """What a table says.

    scores        row -> measure -> query -> value: what the tests compare
    values        row -> key -> value: the means and the costs, as in the summary
    notes         row -> a line below the table
    provenance    of all
    shown         row -> column -> cell, where the table shows more than the summary's value
    about         lines below the table that are about all rows
    """

    scores: dict[str, dict[str, dict[str, float]]]
    values: dict[str, dict[str, Any]]
    notes: dict[str, str]
    provenance: dict[str, Any]
    shown: dict[str, dict[str, Cell]] = dataclasses.field(default_factory=dict)
    about: tuple[str, ...] = ()


def report(run: Run, *, part: str = "test") -> str:
    """Scores the rows' lists on a part of the queries; writes metrics/ and report/, returns the table and its notes.

    Raises `UserError` where every row was left out."""
    scored = score_rows(run, part)
    values = {name: means(scores) | scored.costs[name] for name, scores in scored.scores.items()}
    return publish(run, part, Results(scored.scores, values, scored.notes, provenance(run, len(run.qrels(part)))))


def score_rows(run: Run, part: str) -> Scored:
    """The measures of every row that has lists, for each query, and what the row costs."""
    judged, directory = run.qrels(part), run.paths.runs
    measures = run.experiment.evaluation.measures or default_measures(judged)
    notes = {row.name: why for row in run.rows if (why := why_left_out(directory / row.name)) is not None}
    scores, costs = {}, {}
    for row in run.rows:
        if row.name in notes:
            continue
        with reading_stage(directory / row.name, f"{part}.trec") as path:
            lists = {query: [] for query in judged} | read_run(path)
            scores[row.name] = per_query(lists, judged, measures)
        costs[row.name] = _cost(run, row.name, part)
        if (note := found_nothing(row, lists)) is not None:
            notes[row.name] = note
    return Scored(scores, costs, notes)


def means(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Measure -> its value over the queries."""
    return {measure: mean(measure, by_query) for measure, by_query in scores.items()}


def publish(run: Run, part: str, results: Results) -> str:
    """Writes metrics/ and report/; returns the table and the lines below it. `UserError` where no row has scores."""
    paths, scores = run.paths, results.scores
    if not scores:
        raise UserError("no row of the table can be searched with: " + "; ".join(_lines(results.notes)))
    measures = tuple(next(iter(scores.values())))
    p_values, p_randomisation = (significance(scores, measures, test) for test in TESTS.values())
    rows = {row.name: {} for row in run.rows}
    for name in rows:
        if name not in scores:
            (paths.metrics / part / f"{name}.json").unlink(missing_ok=True)  # of a run in which it could be searched
            continue
        p = {f"p {key_measure(measures)}": p_values.get(name), "p randomisation": p_randomisation.get(name)}
        rows[name] = results.values[name] | p
        write_json(paths.metrics / part / f"{name}.json", scores[name])
    summary = {name: {k: v for k, v in row.items() if v is not None} for name, row in rows.items()}
    for name, note in results.notes.items():
        summary[name]["note"] = note
    summary["provenance"] = results.provenance
    write_json(paths.metrics / f"{part}.json", summary)
    if part == "test":
        write_json(paths.metrics / "summary.json", summary)
    columns = [*measures, f"p {key_measure(measures)}", *_COSTS, "ms/query"]
    cells = {name: row | results.shown.get(name, {}) for name, row in rows.items()}
    rough = rough_means(len(scores[next(iter(scores))][measures[0]]))
    below = [*results.about, *([] if rough is None else [rough]), *_lines(results.notes)]
    table = "\n".join([format_table(cells, columns), *([""] if below else []), *below])
    write_text(paths.report / f"{part}.md", [table, "\n"])
    return table


def _lines(notes: dict[str, str]) -> list[str]:
    return [f"{name}: {note}" for name, note in notes.items()]


def key_measure(measures: tuple[str, ...]) -> str:
    """The measure that the tests compare."""
    return "nDCG@20" if "nDCG@20" in measures else measures[0]


def significance(scores: dict, measures: tuple[str, ...], test: Callable[..., float]) -> dict[str, float]:
    """Holm-corrected p of a test against BM25 in nDCG@20, for every other row."""
    key = key_measure(measures)
    if REFERENCE not in scores or len(scores[REFERENCE][key]) < 2:
        return {}
    raw = {n: test(scores[n][key], scores[REFERENCE][key]) for n in scores if n != REFERENCE}
    return holm(raw)


def _cost(run: Run, name: str, part: str) -> dict[str, float | None]:
    with reading_stage(run.paths.runs / name, "cost.json") as path:
        cost = {key: float(value) for key, value in read_json(path).items()}
        named = {column: cost.get(key) for column, key in _COSTS.items()}
        return named | {"ms/query": cost[f"{part}_ms_per_query"], "proven": cost.get("proven_share")}


def provenance(run: Run, queries: int) -> dict:
    with reading_stage(run.paths.corpus, "provenance.json") as path:
        corpus = read_json(path)["provenance"]
    return {
        "queries": queries,
        "seed": run.experiment.seed,
        "split_seed": run.experiment.corpus.split_seed,
        "corpus": corpus,
        "python": platform.python_version(),
        "versions": package_versions(),
        "topics": TOPICS["relevant"],
        "conventions": f"{CONVENTIONS}; p: paired t-test against {REFERENCE}, p randomisation: paired randomisation "
        "test; both Holm-corrected over the table's rows",
    }


def docid_lines(run: Run) -> list[str]:
    """One line per docid scheme, from its figures.json."""
    lines = []
    for name in (scheme.name for scheme in run.experiment.docids.schemes):
        with reading_stage(run.paths.docids(name), "figures.json") as path:
            lines.append(f"docids {name}: {describe(read_json(path))}")
    return lines
