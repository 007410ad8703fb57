"""The table: measures, significance against BM25 and cost of every run, with where they come from."""

import platform
from collections.abc import Callable

from gr2_jax.config import Experiment
from gr2_jax.evaluation.metrics import default_measures, mean, per_query
from gr2_jax.evaluation.provenance import CONVENTIONS, TOPICS, package_versions
from gr2_jax.evaluation.significance import TESTS, holm
from gr2_jax.evaluation.table import format_table
from gr2_jax.evaluation.trec import read_qrels, read_run
from gr2_jax.pipeline.docids import describe
from gr2_jax.workdir import Workdir, read_json, write_json

REFERENCE = "BM25"
_COSTS = {"index MB": "index_mb", "model MB": "model_mb", "train s": "train_seconds"}  # column -> key of cost.json


def report(experiment: Experiment, workdir: Workdir, names: list[str], *, part: str = "test") -> str:
    """Scores the runs `names` on a part of the queries; writes metrics/ and report/, returns the table."""
    judged = read_qrels(workdir.corpus / f"{part}.qrels")
    measures = experiment.evaluation.measures or default_measures(judged)
    runs = {name: read_run(workdir.runs / name / f"{part}.trec") for name in names}
    scores = {name: per_query(run, judged, measures) for name, run in runs.items()}
    p_values, p_randomisation = (significance(scores, measures, test) for test in TESTS.values())
    rows = {}
    for name in names:
        means = {m: mean(m, values) for m, values in scores[name].items()}
        p = {f"p {_key(measures)}": p_values.get(name), "p randomisation": p_randomisation.get(name)}
        rows[name] = means | p | _cost(workdir, name, part)
        write_json(workdir.metrics / part / f"{name}.json", scores[name])
    columns = [*measures, f"p {_key(measures)}", *_COSTS, "ms/query"]
    summary = {name: {k: v for k, v in row.items() if v is not None} for name, row in rows.items()}
    summary["provenance"] = provenance(experiment, workdir, len(judged))
    write_json(workdir.metrics / f"{part}.json", summary)
    if part == "test":
        write_json(workdir.metrics / "summary.json", summary)
    table = format_table(rows, columns)
    workdir.report.mkdir(exist_ok=True)
    (workdir.report / f"{part}.md").write_text(table + "\n", encoding="utf-8")
    return table


def _key(measures: tuple[str, ...]) -> str:
    return "nDCG@20" if "nDCG@20" in measures else measures[0]


def significance(scores: dict, measures: tuple[str, ...], test: Callable[..., float]) -> dict[str, float]:
    """Holm-corrected p of a test against BM25 in nDCG@20, for every other run."""
    key = _key(measures)
    if REFERENCE not in scores or len(scores[REFERENCE][key]) < 2:
        return {}
    raw = {n: test(scores[n][key], scores[REFERENCE][key]) for n in scores if n != REFERENCE}
    return holm(raw)


def _cost(workdir: Workdir, name: str, part: str) -> dict[str, float | None]:
    cost = read_json(workdir.runs / name / "cost.json")
    named = {column: cost.get(key) for column, key in _COSTS.items()}
    return named | {"ms/query": cost[f"{part}_ms_per_query"], "proven": cost.get("exact_share")}


def provenance(experiment: Experiment, workdir: Workdir, queries: int) -> dict:
    corpus = read_json(workdir.corpus / "provenance.json")
    return {
        "queries": queries,
        "seed": experiment.seed,
        "corpus": corpus["provenance"],
        "python": platform.python_version(),
        "versions": package_versions(),
        "topics": TOPICS["relevant"],
        "conventions": f"{CONVENTIONS}; p: paired t-test against {REFERENCE}, p randomisation: paired randomisation "
        "test; both Holm-corrected over the table's runs",
    }


def docid_lines(workdir: Workdir, schemes: tuple[str, ...]) -> list[str]:
    """One line per docid scheme, from its figures.json."""
    return [f"docids {s}: {describe(read_json(workdir.docids(s) / 'figures.json'))}" for s in schemes]
