"""Ranking measures under their ir_measures names, with fixed conventions where the field leaves them open.

Order: as in trec_eval, by score in single precision, equal scores by document id, the larger id first. Scores that are
too large for single precision, above 3.4e38, are equal. Every measure sees this one order, so a number here is the
number that trec_eval prints for the written run.

Queries: all that have a relevant judgement (grade >= 1); one without results counts as 0. A query without any relevant
judgement is left out, as in gdeval. `topics="judged"` counts it as 0, like `trec_eval -c`; "answered" counts only
judged queries for which the run has results, like `trec_eval`.

Measures: nDCG has linear gain, the grade itself, and discount 1 / log2(rank + 1), normalised by the ideal order of all
judgements, as in trec_eval; for gain 2^grade - 1 write `nDCG(gains={1:1,2:3,3:7})@20`. P and every other binary measure
count grade >= 1 as relevant unless `rel` says otherwise, `P(rel=2)@20`. ERR has exponential gain on the scale of the
qrels, see `expected_reciprocal_rank`; gdeval's is `ERR(max_rel=4)@20`. All read the grades as they were judged, also
where training numbers them without gaps. `MRR@20` and `Hits@10` are other names of
ir_measures' `RR@20` and `Success@10`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gr2_jax import files
from gr2_jax.corpus import Qrels, Run, check_grades
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation import high_grades
from gr2_jax.evaluation.measure_names import parse

if TYPE_CHECKING:
    from ir_measures import Measure

Topics = Literal["relevant", "judged", "answered"]
GRADED_MEASURES = ("nDCG@5", "nDCG@20", "P@20", "ERR@20")
BINARY_MEASURES = ("MRR@3", "MRR@20", "Hits@1", "Hits@10")


def evaluate_run(run: Run, qrels: Qrels, measures: Sequence[str] = GRADED_MEASURES) -> dict[str, float]:
    """Returns each measure's value over the queries, for most measures the mean. The module states the conventions.

    Raises:
        UserError: As `per_query`.
    """
    values = per_query(run, qrels, measures)
    return {name: mean(name, by_query) for name, by_query in values.items()}


def mean(measure: str, values: dict[str, float]) -> float:
    """One number for the values of all queries: for most measures the mean."""
    return _aggregate(parse(measure), values.values())


def default_measures(qrels: Qrels) -> tuple[str, ...]:
    """The paper's measures: those for graded judgements if any grade is above 1 or queries have more than two relevant
    documents on average; else those for binary ones, which look at the first relevant document alone."""
    relevant = [[grade for grade in grades.values() if grade > 0] for grades in qrels.values()]
    relevant = [grades for grades in relevant if grades]
    graded = any(grade > 1 for grades in relevant for grade in grades)
    return GRADED_MEASURES if graded or sum(map(len, relevant)) > 2 * len(relevant) else BINARY_MEASURES


def check_measures(measures: Sequence[str]) -> None:
    """Raises UserError for names that `per_query` would refuse, and for an empty list."""
    if not measures:
        raise UserError("no measure is named: ask for at least one, such as nDCG@20")
    for name in measures:
        parse(name)


def per_query(
    run: Run, qrels: Qrels, measures: Sequence[str] = GRADED_MEASURES, *, topics: Topics = "relevant"
) -> dict[str, dict[str, float]]:
    """Returns measure -> query id -> value, measures as named by the caller, queries in the order of the qrels.

    Args:
        run: Ranked lists; queries without judgements are ignored.
        qrels: Graded judgements.
        measures: Names such as `nDCG@20`, `P(rel=2)@5`, `AP`.
        topics: Which queries count, see the module.

    Raises:
        UserError: A measure or `topics` is unknown, no judgement is relevant, no query of the run is judged, a list
            holds a document twice, a grade is above an ERR's `max_rel`, or one is outside the bound of
            `gr2_jax.corpus.qrels`.
    """
    parsed = {name: parse(name) for name in measures}
    check_grades(qrels, "the judgements (qrels)")
    counted = _counted(run, qrels, topics)
    ranked = {query_id: _trec_order(query_id, run[query_id]) for query_id in counted if run.get(query_id)}
    highest = max(max(grades.values(), default=0) for grades in qrels.values())
    own, library = {}, set()
    for measure in parsed.values():
        if measure.NAME == "ERR":
            own[measure] = _err_values(ranked, counted, measure, highest)
        elif highest > high_grades.MOST and high_grades.is_ndcg(measure):
            own[measure] = high_grades.ndcg(ranked, counted, measure.params.get("cutoff"))
        else:
            library.add(measure)
    if library and highest > high_grades.MOST:
        counted = high_grades.binary_grades(counted, library)
    values = own | (_library_values(ranked, counted, library) if library else {})
    return {name: {query_id: values[measure][query_id] for query_id in counted} for name, measure in parsed.items()}


def write_per_query(path: str | os.PathLike, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Writes `measure<TAB>query<TAB>value` lines, as `trec_eval -q` does, from measure -> query -> value."""
    files.write_text(
        Path(path), (f"{name}\t{query}\t{value!r}\n" for name, own in scores.items() for query, value in own.items())
    )


def recall_by_grade(run: Run, qrels: Qrels, cutoff: int = 20) -> dict[int, dict[str, float]]:
    """Returns grade -> query id -> the share of the query's documents of exactly this grade that are among the first
    `cutoff` of its list, the highest grade first, of queries that have such documents; grades below 1 are left out.

    Raises:
        UserError: As `per_query`.
    """
    name = f"R@{cutoff}"
    grades = sorted({grade for own in qrels.values() for grade in own.values() if grade > 0}, reverse=True)
    found = {}
    for grade in grades:
        of_grade = {query: {doc: 1 for doc, own in judged.items() if own == grade} for query, judged in qrels.items()}
        of_grade = {query: own for query, own in of_grade.items() if own}
        answered = any(run.get(query) for query in of_grade)
        found[grade] = per_query(run, of_grade, [name])[name] if answered else dict.fromkeys(of_grade, 0.0)
    return found


def _counted(run: Run, qrels: Qrels, topics: Topics) -> Qrels:
    if topics not in get_args(Topics):
        raise UserError(f"topics is '{topics}': {nearest(topics, get_args(Topics))}")
    relevant = {query_id: grades for query_id, grades in qrels.items() if max(grades.values(), default=0) > 0}
    if not relevant:
        raise UserError("the judgements (qrels) hold no relevant document: no grade is 1 or more")
    if not run.keys() & relevant.keys():
        raise UserError(
            f"none of the run's {len(run)} queries is among the {len(relevant)} with relevant judgements"
            f" (run: {_some(run)}; judgements: {_some(relevant)})"
        )
    if topics == "answered":
        return {query_id: grades for query_id, grades in qrels.items() if run.get(query_id)}
    return relevant if topics == "relevant" else qrels


def expected_reciprocal_rank(grades: Sequence[int], highest: int, cutoff: int | None = None) -> float:
    """Returns ERR (Chapelle et al. 2009) of one ranked list.

    ERR = sum_r (1/r) R_r prod_{i<r} (1 - R_i) with R_r = (2^g_r - 1) / 2^highest.

    gdeval, TREC's script, fixes `highest` at 4 for every collection, which makes numbers on a scale of 0-2 about four
    times smaller; here `highest` is the highest grade in the judgements.

    Args:
        grades: Grades in ranked order; unjudged documents and grades below 0 count as 0.
        highest: The top of the scale, at least 1.
        cutoff: Reads only this many ranks.
    """
    value, reached = 0.0, 1.0
    for rank, grade in enumerate(grades[:cutoff], start=1):
        stop = 2.0 ** (max(grade, 0) - highest) - 2.0**-highest  # no power is above 1, whatever the scale
        value += reached * stop / rank
        reached *= 1.0 - stop
    return value


def _trec_order(query_id: str, hits: Sequence[tuple[str, float]]) -> list[str]:
    if len({doc_id for doc_id, _ in hits}) != len(hits):
        raise UserError(f"the run lists a document twice for query {query_id!r}")
    with np.errstate(over="ignore"):  # a score beyond single precision: infinite, and `read_run` has said so
        return [doc_id for doc_id, _ in sorted(hits, key=lambda hit: (np.float32(hit[1]), hit[0]), reverse=True)]


def _library_values(
    ranked: dict[str, list[str]], judged: Qrels, measures: "set[Measure]"
) -> "dict[Measure, dict[str, float]]":
    """Computes with ir_measures, with -rank as score so that every provider sees the same order."""
    import ir_measures

    # gdeval, a Perl script, fails on grades above 4 and rewrites query ids that hold a hyphen.
    providers = [provider for provider in ir_measures.DefaultPipeline.providers if provider.NAME != "gdeval"]
    pipeline = ir_measures.providers.FallbackProvider(providers)
    # all grades below 0 count alike, and pytrec_eval crashes on a query with only such grades if one is below -1
    judged = {query_id: {doc_id: max(grade, -1) for doc_id, grade in own.items()} for query_id, own in judged.items()}
    run = {query_id: {doc_id: -float(i) for i, doc_id in enumerate(docs)} for query_id, docs in ranked.items()}
    values = {measure: {} for measure in measures}
    try:
        for metric in pipeline.iter_calc(sorted(measures, key=str), judged, run):
            values[metric.measure][metric.query_id] = float(metric.value)
    except (ValueError, TypeError, ArithmeticError, SystemError) as error:  # a measure with odd parameters
        raise UserError(f"ir_measures cannot compute this here: {' '.join(str(error).split())}") from error
    return values


def _err_values(ranked: dict[str, list[str]], judged: Qrels, measure: "Measure", highest: int) -> dict[str, float]:
    scale, cutoff = measure.params.get("max_rel", highest), measure.params.get("cutoff")
    if scale < highest:
        raise UserError(f"{measure} cannot hold grades up to {highest}: max_rel must be at least the highest grade")
    return {
        query_id: expected_reciprocal_rank([grades.get(doc, 0) for doc in ranked.get(query_id, ())], scale, cutoff)
        for query_id, grades in judged.items()
    }


def _aggregate(measure: "Measure", values: Iterable[float]) -> float:
    total = measure.aggregator()
    for value in values:
        total.add(value)
    return float(total.result())


def _some(ids: Iterable[str]) -> str:
    return ", ".join(list(ids)[:3]) or "empty"
