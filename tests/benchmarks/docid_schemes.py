"""Docid schemes side by side at equal budgets: how unique and telling docids are, how well a model retrieves by them.

python tests/benchmarks/docid_schemes.py CONFIG WORKDIR [--schemes fusion qg] [--seeds 0 1 2] [--section.field VALUE]

Per seed one run of the config with these schemes and one GR2S for each, on that seed's split (or all folds). Prints,
per scheme and seed, the quality of the docids (of the first fold) and the measures on the test queries; then means over
seeds and the standard deviation of nDCG@20; and for each pair of schemes the paired t-test of nDCG@20 over all queries
that were tested, a query's score being its mean over the seeds that tested it. Settings go to the config as usual.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
from collections import defaultdict
from pathlib import Path

from gr2_jax.evaluation.metrics import GRADED_MEASURES
from gr2_jax.evaluation.significance import paired_t_test
from gr2_jax.evaluation.table import format_table
from gr2_jax.experiment.config import Experiment, System
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.memory import keep_freed_memory
from gr2_jax.pipeline.run import run
from gr2_jax.pipeline.stage import Workdir, read_json

MEASURE = "nDCG@20"
Scores = dict[str, float]


def measure(experiment: Experiment, workdir: Workdir) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Scheme -> figures, and scheme -> query -> nDCG@20."""
    run(experiment, workdir)
    summary = read_json(workdir.metrics / "summary.json")
    first = Workdir(workdir.root / "fold-0") if experiment.corpus.folds else workdir
    figures, queries = {}, {}
    for scheme in experiment.docids.schemes:
        quality = read_json(first.quality(scheme) / "quality.json")
        assignment, own, held_out = (quality[part] or {} for part in ("assignment", "own_rank", "held_out"))
        figures[scheme] = {
            "unique": assignment["unique_share_before"],
            "later": float(assignment["needed_later_candidate"]),
            "sample": float(assignment["needed_another_sample"]),
            "suffix": float(assignment["needed_suffix"]),
            "deepest": float(assignment["deepest_choice"]),
            "length": assignment["length_mean"],
            "own MRR": own.get("mrr"),
            "nearest": quality["neighbour_similarity"]["mean"],
            "alike": (quality["vector_similarity"] or {}).get("mean"),
            "nll": held_out.get("nll_per_token"),
        } | {name: summary[scheme][name] for name in GRADED_MEASURES}
        queries[scheme] = read_json(workdir.metrics / "test" / f"{scheme}.json")[MEASURE]
    return figures, queries


def summarise(figures: dict[str, list[Scores]]) -> dict[str, Scores]:
    """Means over seeds, and the standard deviation of nDCG@20."""
    rows = {}
    for scheme, per_seed in figures.items():
        columns = {name: [f[name] for f in per_seed] for name in per_seed[0]}
        rows[scheme] = {n: None if None in values else statistics.mean(values) for n, values in columns.items()}
        rows[scheme]["sd"] = statistics.stdev(columns[MEASURE]) if len(per_seed) > 1 else None
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--schemes", nargs="+", default=["fusion", "qg"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, settings = parser.parse_known_args()
    keep_freed_memory()
    base = override(load_experiment(options.config), settings)
    systems = tuple(System(scheme, scheme) for scheme in options.schemes)
    base = dataclasses.replace(
        base,
        docids=dataclasses.replace(base.docids, schemes=tuple(options.schemes)),
        retrieval=dataclasses.replace(base.retrieval, systems=systems, views=()),
    )
    collected, per_query = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for seed in options.seeds:
        found, queries = measure(dataclasses.replace(base, seed=seed), Workdir(options.workdir / f"seed{seed}"))
        for scheme, figures in found.items():
            collected[scheme].append(figures)
            print(f"seed {seed} {scheme}: {json.dumps(figures)}", flush=True)
            for query, score in queries[scheme].items():
                per_query[scheme][query].append(score)
    rows = summarise(collected)
    print(format_table(rows, list(next(iter(rows.values()))), heading="scheme"))
    means = {s: {q: statistics.mean(scores) for q, scores in queries.items()} for s, queries in per_query.items()}
    for a, b in itertools.combinations(options.schemes, 2):
        print(f"{a} against {b}: p {paired_t_test(means[a], means[b]):.3g} over {len(means[a])} queries")


if __name__ == "__main__":
    main()
