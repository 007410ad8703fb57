"""The table of runs that differ in their seed alone: of each measure the mean and the standard deviation over them."""

import statistics
from collections.abc import Sequence

from gr2_jax.evaluation.table import Spread
from gr2_jax.pipeline.report import Results, Scored, means, provenance, publish, score_rows
from gr2_jax.pipeline.run import Run

_TESTS = "the tests pair queries, for each the mean over the seeds of both rows"
_CONVENTIONS = f"of several seeds: means over them, and standard deviations with n - 1; {_TESTS}"


def report_seeds(run: Run, seeds: dict[int, Run], *, part: str = "test") -> str:
    """Scores the runs, by their seeds, on a part of the queries, which are the same in all; writes metrics/ and report/
    of `run`, returns the table and its notes.

    A row of the summary holds the means over the seeds, "sd", the standard deviations with n - 1 where there are two
    seeds or more, and "seeds", each seed's values. A row that a seed leaves out is left out. `UserError` where all are.
    """
    scored = {seed: score_rows(one, part) for seed, one in seeds.items()}
    rows = [row.name for row in run.rows if all(row.name in one.scores for one in scored.values())]
    scores = {name: _mean_scores([one.scores[name] for one in scored.values()]) for name in rows}
    values, shown = {}, {}
    for name in rows:
        each = {str(seed): means(one.scores[name]) for seed, one in scored.items()}
        values[name] = _mean_values(list(each.values())) | {"seeds": each}
        values[name] |= _mean_values([one.costs[name] for one in scored.values()])
        if len(seeds) > 1:
            sd = {measure: statistics.stdev(own[measure] for own in each.values()) for measure in scores[name]}
            values[name]["sd"] = sd
            shown[name] = {measure: Spread(values[name][measure], sd[measure]) for measure in sd}
    first = next(iter(seeds.values()))
    about = provenance(first, len(first.qrels(part)))
    del about["seed"]
    about |= {"seeds": list(seeds), "conventions": f"{about['conventions']}; {_CONVENTIONS}"}
    return publish(run, part, Results(scores, values, _notes(run, scored), about, shown, (_about(list(seeds)),)))


def _about(seeds: Sequence[int]) -> str:
    """The line below the table."""
    if len(seeds) == 1:
        return f"measures are of the seed {seeds[0]} alone: a standard deviation needs two"
    return f"measures are mean ± standard deviation over the seeds {', '.join(map(str, seeds))}; {_TESTS}"


def _mean_scores(scores: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Measure -> query -> the mean over the seeds."""
    return {measure: _mean_values([own[measure] for own in scores]) for measure in scores[0]}


def _mean_values(values: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Key -> the mean over the seeds, of equal values that value; None where a seed has none."""
    together = {key: [own.get(key) for own in values] for key in values[0]}
    return {key: None if None in found else statistics.mean(found) for key, found in together.items()}


def _notes(run: Run, scored: dict[int, Scored]) -> dict[str, str]:
    """Row -> its note, with the seed that it is about, where it is not about all."""
    notes = {}
    for row in run.rows:
        own = {seed: one.notes[row.name] for seed, one in scored.items() if row.name in one.notes}
        if own:
            seed, note = next(iter(own.items()))
            alike = len(own) == len(scored) and len(set(own.values())) == 1
            notes[row.name] = note if alike else f"{note} (seed {seed})"
    return notes
