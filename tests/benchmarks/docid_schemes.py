"""Docid schemes side by side at equal budgets: how unique and telling docids are, how well a model retrieves by them.

python tests/benchmarks/docid_schemes.py CONFIG WORKDIR [--schemes fusion qg] [--seeds 0 1 2] [--section.field VALUE]

Runs the config once per seed with these schemes and one GR2S for each, on that seed's split (or all folds). A scheme
has the config's settings, else its defaults; `qg`, where the config does not have it, has those of the config's query
generator or fusion scheme. Prints, per scheme and seed, the quality of the docids (of the first fold) and the measures
on the test queries; then means over seeds and the standard deviation of nDCG@20; and for each pair of schemes the
paired t-test of nDCG@20 over all queries tested, where a query's score is its mean over the seeds that tested it.
Settings change the config as usual, such as `--docids.schemes.fusion.optimiser.steps 600`.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.errors import nearest
from gr2_jax.evaluation.metrics import GRADED_MEASURES
from gr2_jax.evaluation.significance import paired_t_test
from gr2_jax.evaluation.table import format_table
from gr2_jax.experiment import Experiment
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.files import read_json
from gr2_jax.memory import keep_freed_memory
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.schemes import SCHEMES, PlainQueries
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.recipes.overlays import query_generator

MEASURE = "nDCG@20"
QG = PlainQueries().name
Scores = dict[str, float]


def with_schemes(experiment: Experiment, names: Sequence[str], settings: Sequence[str]) -> Experiment:
    """The experiment with these schemes, a GR2S for each under the scheme's name, and the settings."""
    given = {scheme.name: scheme for scheme in experiment.docids.schemes}
    known = {scheme.name: scheme for scheme in (kind() for kind in SCHEMES)} | given
    if unknown := next((name for name in names if name not in known), None):
        raise SystemExit(f"there is no scheme '{unknown}': {nearest(unknown, known)}")
    made = [known[name] for name in known if name in given or (name in names and name != QG)]
    docids = dataclasses.replace(experiment.docids, schemes=tuple(made))
    rows = tuple(System(name, docids=name) for name in names)
    experiment = override(dataclasses.replace(experiment, docids=docids, rows=rows), settings)
    schemes = {scheme.name: scheme for scheme in experiment.docids.schemes}
    if QG in names and QG not in given:
        schemes[QG] = dataclasses.replace(query_generator(experiment), name=QG)
    docids = dataclasses.replace(experiment.docids, schemes=tuple(schemes[name] for name in names))
    return dataclasses.replace(experiment, docids=docids)


def measure(experiment: Experiment, directory: Path) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Scheme -> figures, and scheme -> query -> nDCG@20."""
    run_experiment(experiment, directory)
    workdir = Workdir(directory)
    summary = read_json(workdir.metrics / "summary.json")
    first = workdir.fold(0) if experiment.corpus.folds else workdir
    figures, queries = {}, {}
    for scheme in (made.name for made in experiment.docids.schemes):
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


def of_seed(experiment: Experiment, seed: int) -> Experiment:
    """Trained with another seed, on another split."""
    corpus = dataclasses.replace(experiment.corpus, split_seed=seed)
    return dataclasses.replace(experiment, seed=seed, corpus=corpus)


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
    base = with_schemes(load_experiment(options.config), options.schemes, settings)
    collected, per_query = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for seed in options.seeds:
        found, queries = measure(of_seed(base, seed), options.workdir / f"seed{seed}")
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
