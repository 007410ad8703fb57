"""What rows do with grades, from their runs: the order of grades, exponential gains, and the best grade's rank.

python tests/benchmarks/grade_order.py WORKDIR [WORKDIR ...] [--reference MGCC]

Each WORKDIR is one seed's run, of one split or of folds. Per row, the mean over the seeds with its standard deviation:
nDCG@20; "order", of all pairs of relevant documents of different grades in a list of 20 the share in the right order;
"exp", nDCG@20 with gains 2^grade - 1; "RR best", the reciprocal rank, within 20, of the first document of the
collection's highest grade, over the queries that have one. Then the difference of each row from the reference, with
its 95% interval and Holm-corrected p, by paired t-tests over the queries' means of the seeds.
"""

import argparse
import itertools
import math
import statistics
from collections import defaultdict
from pathlib import Path

from scipy.stats import ttest_rel

from gr2_jax.corpus import read_qrels, read_run
from gr2_jax.evaluation.significance import holm

DEPTH = 20
MEASURES = ("nDCG@20", "order", "exp", "RR best")


def discounted(gains: list[float]) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains[:DEPTH]))


def of_query(ranked: list[str], judged: dict[str, int], highest: int) -> dict[str, float]:
    """The measures that the query has."""
    grades = [max(judged.get(doc, 0), 0) for doc in ranked[:DEPTH]]
    ideal = sorted((max(grade, 0) for grade in judged.values()), reverse=True)
    found = {
        "nDCG@20": discounted(grades) / discounted(ideal),
        "exp": discounted([2**g - 1 for g in grades]) / discounted([2**g - 1 for g in ideal]),
    }
    pairs = [(a, b) for a, b in itertools.combinations([grade for grade in grades if grade], 2) if a != b]
    if pairs:
        found["order"] = sum(a > b for a, b in pairs) / len(pairs)
    if highest in ideal:
        found["RR best"] = next((1 / (rank + 1) for rank, grade in enumerate(grades) if grade == highest), 0.0)
    return found


def measured(workdir: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Row -> query -> measure -> value."""
    folds = sorted(workdir.glob("fold-*")) or [workdir]
    qrels = {query: grades for fold in folds for query, grades in read_qrels(fold / "corpus/test.qrels").items()}
    qrels = {query: grades for query, grades in qrels.items() if max(grades.values(), default=0) > 0}
    highest = max(grade for grades in qrels.values() for grade in grades.values())
    rows = defaultdict(dict)
    for fold in folds:
        for path in fold.glob("runs/*/test.trec"):
            run = read_run(path)
            for query in read_qrels(fold / "corpus/test.qrels").keys() & qrels.keys():
                ranked = [doc for doc, _ in run.get(query, [])]
                rows[path.parent.name][query] = of_query(ranked, qrels[query], highest)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdirs", type=Path, nargs="+")
    parser.add_argument("--reference", default="MGCC")
    options = parser.parse_args()
    seeds = [measured(workdir) for workdir in options.workdirs]
    means: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))  # row, measure, query
    print("row               " + "".join(f"{measure:>18}" for measure in MEASURES))
    for row in seeds[0]:
        line = f"{row:18}"
        for measure in MEASURES:
            values = [statistics.mean(own[measure] for own in seed[row].values() if measure in own) for seed in seeds]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            line += f"   {statistics.mean(values):.4f} ({spread:.4f})"
            for query in seeds[0][row]:
                own = [seed[row][query][measure] for seed in seeds if measure in seed[row].get(query, {})]
                if own:
                    means[row][measure][query] = statistics.mean(own)
        print(line)
    for measure in MEASURES:
        differences, p = {}, {}
        for row in means.keys() - {options.reference}:
            theirs, ours = means[row][measure], means[options.reference][measure]
            pairs = [(ours[query], theirs[query]) for query in ours if query in theirs]
            test = ttest_rel(*zip(*pairs, strict=True))
            low, high = test.confidence_interval(0.95)
            differences[row] = statistics.mean(a - b for a, b in pairs), low, high, len(pairs)
            p[row] = float(test.pvalue)
        print(f"\n{measure}: {options.reference} less")
        corrected = holm(p)
        for row, (mean, low, high, queries) in sorted(differences.items()):
            print(f"  {row:18} {mean:+.4f} ({low:+.4f} to {high:+.4f})  p {corrected[row]:.2g}  {queries} queries")


if __name__ == "__main__":
    main()
