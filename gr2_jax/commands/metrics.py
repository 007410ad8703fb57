"""`gr2 metrics RUN [RUN ...] QRELS`: any TREC runs scored, and compared with the first."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.errors import UserError, nearest
from gr2_jax.terminal import show, show_json, warn

HELP = "scores any TREC run files, and compares them"

_Scores = dict[str, dict[str, float]]
"""Measure -> query -> value."""

_TEST_NAMES = {"t": "paired t-test", "randomisation": "paired randomisation test"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a TREC run file")
    parser.add_argument("more", nargs="*", help="further runs, to compare with the first", metavar="run")
    parser.add_argument("qrels", help="TREC judgements")
    parser.add_argument("--measures", nargs="+", help="ir_measures' names (default: the paper's)")
    parser.add_argument(
        "--topics",
        default="relevant",
        help="that count: those with a relevant judgement (the default), all judged (as in trec_eval -c), or the "
        "judged ones that a run has answered (as in trec_eval)",
    )
    parser.add_argument("--reference", help="the run to compare with, a file or its name (default: the first)")
    parser.add_argument("--test", default="t", help="of significance: t (paired) or randomisation")
    parser.add_argument("--output", type=Path, help="a folder for summary.json, and <run>.tsv with a line per query")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    from gr2_jax.corpus import read_qrels
    from gr2_jax.evaluation.few_queries import rough_means
    from gr2_jax.evaluation.metrics import default_measures, mean
    from gr2_jax.evaluation.significance import TESTS

    if options.test not in TESTS:
        raise UserError(f"--test is '{options.test}': {nearest(options.test, TESTS)}")
    files = _named([options.run, *options.more])
    reference = _reference(options.reference, files)
    qrels = read_qrels(options.qrels)
    measures = options.measures or default_measures(qrels)
    scores = {name: _score(path, qrels, measures, options.topics) for name, path in files.items()}
    means = {name: {m: mean(m, by_query) for m, by_query in values.items()} for name, values in scores.items()}
    p_values = _p_values(scores, reference, TESTS[options.test])
    if options.output is not None:
        _write(options, files, scores, {"measures": means, "significance": _tested(reference, options.test, p_values)})
    if options.json:
        show_json({"measures": means, "p": p_values} if len(files) > 1 else means[reference])
    else:
        _print(means, p_values, reference, _TEST_NAMES[options.test])
        fewest = min(len(_first(values)) for values in scores.values())
        if (rough := rough_means(fewest)) is not None:
            show(f"\n{rough}")
    return 0


def _named(paths: Sequence[str]) -> dict[str, str]:
    """Short names of the files: as many of the last parts of their paths, without suffix, as tell them apart."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    if twice := next((path for path, full in zip(paths, absolute, strict=True) if absolute.count(full) > 1), None):
        raise UserError(f"{twice} is given twice")
    short = [(*path.parent.parts[1:], path.stem) for path in absolute]
    long = [path.parts[1:] for path in absolute]
    for last in range(1, max(map(len, long)) + 1):
        for parts in (short, long):
            names = ["/".join(each[-last:]) for each in parts]
            if len(set(names)) == len(names):
                return dict(zip(names, paths, strict=True))
    raise AssertionError("different paths differ in some part")


def _reference(asked: str | None, files: Mapping[str, str]) -> str:
    if asked is None:
        return next(iter(files))
    for name, path in files.items():
        if asked in (name, path):
            return name
    raise UserError(f"--reference is '{asked}': {nearest(asked, files)}")


def _score(path: str, qrels: Mapping[str, Any], measures: Sequence[str], topics: str) -> _Scores:
    from gr2_jax.corpus import read_run
    from gr2_jax.evaluation.metrics import per_query

    found = read_run(path)
    if not found:
        raise UserError(f"{path} holds no results: it is empty")
    judged = {query for query, grades in qrels.items() if max(grades.values(), default=0) > 0}
    if judged and judged.isdisjoint(found):
        raise UserError(
            f"{path} answers none of the {len(judged)} queries with relevant judgements"
            f" (run: {_some(found)}; judgements: {_some(judged)})"
        )
    scores = per_query(found, qrels, measures, topics=topics)
    if missing := judged - found.keys():
        fate = "they are left out" if topics == "answered" else "they count as 0"
        warn(f"{path} has nothing for {len(missing)} of {len(judged)} judged queries ({_some(missing)}): {fate}")
    if strange := found.keys() - qrels.keys():
        warn(f"{path} answers {len(strange)} queries without judgements ({_some(strange)}): they are left out")
    return scores


def _p_values(scores: Mapping[str, _Scores], reference: str, test: Callable) -> dict[str, dict[str, float]]:
    """Run -> measure -> p against the reference, corrected over the runs."""
    from gr2_jax.evaluation.significance import holm

    others = [name for name in scores if name != reference]
    shared = min(len(_first(scores[name]).keys() & _first(scores[reference]).keys()) for name in scores)
    if others and shared < 2:
        warn("no test of significance: it needs two queries that the runs share")
        return {}
    corrected = {
        measure: holm({name: test(scores[name][measure], values) for name in others})
        for measure, values in scores[reference].items()
    }
    return {name: {measure: p[name] for measure, p in corrected.items()} for name in others}


def _tested(reference: str, test: str, p_values: dict) -> dict[str, Any]:
    return {
        "reference": reference,
        "test": f"{_TEST_NAMES[test]}, two-sided",
        "correction": "Holm, over the runs compared with the reference, for each measure by itself",
        "p": p_values,
    }


def _write(options: argparse.Namespace, files: dict[str, str], scores: Mapping[str, _Scores], results: dict) -> None:
    from gr2_jax.evaluation.metrics import write_per_query
    from gr2_jax.evaluation.provenance import CONVENTIONS, TOPICS, package_versions, sha256
    from gr2_jax.files import write_json

    for name, values in scores.items():
        write_per_query(options.output / f"{name}.tsv", values)
    provenance = {
        "runs": {name: {"file": path, "sha256": sha256(path)} for name, path in files.items()},
        "qrels": {"file": options.qrels, "sha256": sha256(options.qrels)},
        "queries": {name: len(_first(values)) for name, values in scores.items()},
        "topics": TOPICS[options.topics],
        "conventions": CONVENTIONS,
        "versions": package_versions(),
    }
    write_json(options.output / "summary.json", results | {"provenance": provenance})


def _print(means: dict, p_values: dict, reference: str, test: str) -> None:
    from gr2_jax.evaluation.table import format_table

    measures = list(means[reference])
    show(format_table(means, measures))
    if p_values:
        rows = {name: {f"p {measure}": p for measure, p in values.items()} for name, values in p_values.items()}
        show(f"\n{format_table(rows, [f'p {measure}' for measure in measures], heading=f'against {reference}')}")
        show(f"({test}, two-sided, Holm-corrected over the runs for each measure)")


def _first(scores: _Scores) -> dict[str, float]:
    return next(iter(scores.values()))


def _some(ids: Any) -> str:
    return ", ".join(sorted(ids)[:3])
