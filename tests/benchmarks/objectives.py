"""What the graded loss is worth: retrieval models that differ in it alone, at equal data and steps, over several seeds.

python tests/benchmarks/objectives.py CONFIG WORKDIR [--seeds 0 1 2] [--rows MGCC MLE ...] [--section.field VALUE]

Per seed one run of the config with the rows below on its first docid scheme, on that seed's split (or all folds).
Prints the measures per seed, then per row the mean and standard deviation over seeds, and the difference from MGCC in
nDCG@20 with its 95% confidence interval and Holm-corrected p (paired t-test over all queries tested, a query's score
being its mean over the seeds that tested it). Settings go to the config as usual.
"""

import argparse
import dataclasses
import json
import statistics
from collections import defaultdict
from pathlib import Path

from scipy.stats import ttest_rel

from gr2_jax.evaluation.metrics import GRADED_MEASURES
from gr2_jax.evaluation.significance import holm, paired_t_test
from gr2_jax.evaluation.table import format_table
from gr2_jax.experiment.config import System
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.memory import keep_freed_memory
from gr2_jax.pipeline.run import run
from gr2_jax.pipeline.stage import Workdir, read_json

MEASURE, REFERENCE = "nDCG@20", "MGCC"
ROWS = {  # fields of `System`
    REFERENCE: {},
    "MLE": {"objective": {"gamma": 0.0}},
    "SupCon": {"objective": {"graded": "contrastive"}},
    "no-penalty": {"objective": {"penalty": "equal"}},
    "no-constraint": {"objective": {"constraint": "off"}},
    "CE": {"objective": {"graded": "cross_entropy"}},
    "CE-likelihood": {"objective": {"graded": "likelihood"}},
    "LR": {"objective": {"graded": "lambdarank"}},
    "learnt-penalty": {"objective": {"penalty": "learnable"}},
    "self-negatives": {"self_negatives_of": REFERENCE},
    "more-steps": {"steps": 1.25},  # what self-negatives have at a quarter of the steps
}


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
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    options, settings = parser.parse_known_args()
    names = [REFERENCE, *(name for name in options.rows if name != REFERENCE)]
    keep_freed_memory()
    base = override(load_experiment(options.config), settings)
    scheme = base.docids.schemes[0]
    systems = tuple(System(name, scheme, **ROWS[name]) for name in names)
    base = dataclasses.replace(
        base,
        docids=dataclasses.replace(base.docids, schemes=(scheme,)),
        retrieval=dataclasses.replace(base.retrieval, systems=systems, views=()),
    )
    per_seed, per_query = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for seed in options.seeds:
        workdir = Workdir(options.workdir / f"seed{seed}")
        run(dataclasses.replace(base, seed=seed), workdir)
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
