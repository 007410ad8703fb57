"""What the graded loss is worth: retrieval models that differ in it alone, at equal data and steps, over several seeds.

python tests/benchmarks/objectives.py CONFIG WORKDIR [--seeds 0 1 2] [--rows MGCC MLE ...] [--section.field VALUE]

Runs the config once per seed with the rows below on its first docid scheme, on that seed's split (or all folds).
Prints the measures per seed, then per row the mean and standard deviation over seeds, and the difference from MGCC in
nDCG@20 with its 95% confidence interval and Holm-corrected p (paired t-test over all queries tested, where a query's
score is its mean over the seeds that tested it). Settings change the config as usual, such as
`--rows.self-negatives.self_negatives.steps 100`.
"""

import argparse
import dataclasses
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from scipy.stats import ttest_rel

from gr2_jax.evaluation.metrics import GRADED_MEASURES
from gr2_jax.evaluation.significance import holm, paired_t_test
from gr2_jax.evaluation.table import format_table
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.files import read_json
from gr2_jax.memory import keep_freed_memory
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

MEASURE, REFERENCE = "nDCG@20", "MGCC"
OBJECTIVES: dict[str, dict[str, Any]] = {  # row -> what it changes of the config's objective
    REFERENCE: {"penalty": "rank", "constraint": "running_max"},  # the paper's, whatever the config has
    "MLE": {"gamma": 0.0},
    "SupCon": {"graded": "contrastive"},
    "no-penalty": {"penalty": "equal"},
    "no-constraint": {"constraint": "off"},
    "CE": {"graded": "cross_entropy"},
    "CE-likelihood": {"graded": "likelihood"},
    "LR": {"graded": "lambdarank"},
    "learnt-penalty": {"penalty": "learnable"},
    "tau-.05": {"temperature": 0.05},
    "tau-.1": {"temperature": 0.1},
}
LISTS = {"listwise": {"graded": "listwise"}, "margin": {"graded": "margin"}}  # row -> the same, fine-tuned from MLE
OTHERS: dict[str, dict[str, Any]] = {  # row -> fields of `System`
    "self-negatives": {"self_negatives": SelfNegatives(REFERENCE)},
    "more-steps": {"steps_factor": 1.25},  # as many as self-negatives have, if they take a quarter of the steps
}
ROWS = [*OBJECTIVES, *LISTS, *OTHERS]


def with_rows(experiment: Experiment, names: list[str]) -> Experiment:
    """The experiment with these rows and the baselines, on its first docid scheme."""
    scheme = experiment.docids.schemes[0]
    objective = dataclasses.replace(experiment.retrieval.objective, **OBJECTIVES[REFERENCE])
    fields = {n: {"objective": dataclasses.replace(objective, **c)} for n, c in (OBJECTIVES | LISTS).items()}
    fields |= OTHERS
    for name in LISTS:
        fields[name]["self_negatives"] = SelfNegatives("MLE", weight=0.0)
    rows = (System(name, scheme.name, **fields.get(name, {})) for name in names)
    docids = dataclasses.replace(experiment.docids, schemes=(scheme,))
    return dataclasses.replace(experiment, docids=docids, rows=(*rows, *BASELINES))


def summarise(per_seed: dict[str, list[dict]], per_query: dict[str, dict[str, float]], measures) -> dict[str, dict]:
    """Means over seeds, the standard deviation of nDCG@20, and its difference from the reference."""
    reference = per_query[REFERENCE]
    p_values = holm({n: paired_t_test(s, reference) for n, s in per_query.items() if n != REFERENCE})
    rows = {}
    for name, figures in per_seed.items():
        row = {m: statistics.mean(f[m] for f in figures) for m in (*measures, "train s")}
        row["sd"] = statistics.stdev(f[MEASURE] for f in figures) if len(figures) > 1 else None
        if name != REFERENCE:
            ours, theirs = zip(*((s, reference[q]) for q, s in per_query[name].items()), strict=True)
            low, high = ttest_rel(ours, theirs).confidence_interval(0.95)
            row |= {"difference": statistics.mean(ours) - statistics.mean(theirs), "from": low, "to": high}
            row["p"] = p_values[name]
        rows[name] = row
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    options, settings = parser.parse_known_args()
    names = [REFERENCE, *(name for name in options.rows if name != REFERENCE)]
    keep_freed_memory()
    base = override(with_rows(load_experiment(options.config), names), settings)
    per_seed, per_query = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for seed in options.seeds:
        workdir = Workdir(options.workdir / f"seed{seed}")
        run_experiment(dataclasses.replace(base, seed=seed), workdir.root)
        summary = read_json(workdir.metrics / "summary.json")
        for name in names:
            per_seed[name].append(summary[name])
            print(f"seed {seed} {name}: {json.dumps(summary[name])}", flush=True)
            for query, score in read_json(workdir.metrics / "test" / f"{name}.json")[MEASURE].items():
                per_query[name][query].append(score)
        print(f"seed {seed} BM25: {json.dumps(summary['BM25'])}", flush=True)
    means = {n: {q: statistics.mean(scores) for q, scores in queries.items()} for n, queries in per_query.items()}
    rows = summarise(per_seed, means, GRADED_MEASURES)
    print(format_table(rows, [*GRADED_MEASURES, "sd", "difference", "from", "to", "p", "train s"]))
    print(f"{len(means[REFERENCE])} queries, {len(options.seeds)} seeds")


if __name__ == "__main__":
    main()
