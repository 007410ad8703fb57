"""Docid quality for each way in which the latent enters the fusion model's decoder, on the built-in collection.

python tests/benchmarks/fusion_latents.py WORKDIR [--steps 200] [--seeds 0] [--latents memory start inputs]

Per latent and seed: the share of documents whose best pseudo-query no other document has; how many took a later
candidate, another sample or a suffix; the mean reciprocal rank of the document when its docid is the query of BM25; and
nDCG@20 on the validation queries of a model trained on these docids. About four minutes each on two cores.
"""

import argparse
import dataclasses
from pathlib import Path

from gr2_jax.files import read_json
from gr2_jax.memory import keep_freed_memory
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.search.bm25 import BM25


def own_rank(workdir: Workdir) -> float:
    """The mean reciprocal rank of each document for its docid as a query, to depth 100."""
    documents = open_run(workdir.root).corpus.documents
    table = (line.rstrip("\n").split("\t") for line in (workdir.docids("fusion") / "docids.tsv").open())
    queries = {doc_id: docid.split("<")[0] for doc_id, docid in table}  # without the suffix's sentinels
    index = BM25([d.doc_id for d in documents], [d.contents for d in documents])
    places = ([hit.doc_id for hit in hits] for hits in index.search(list(queries.values()), k=100))
    return sum(
        1 / (place.index(doc_id) + 1) for doc_id, place in zip(queries, places, strict=True) if doc_id in place
    ) / len(queries)


def measure(root: Path, latent: str, steps: int, seed: int) -> dict[str, float]:
    fusion = next(scheme for scheme in DEFAULT.docids.schemes if scheme.name == "fusion")
    fusion = dataclasses.replace(fusion, latent=latent, optimiser=dataclasses.replace(fusion.optimiser, steps=steps))
    experiment = dataclasses.replace(
        DEFAULT,
        seed=seed,
        docids=dataclasses.replace(DEFAULT.docids, schemes=(fusion,)),
        rows=(System("GR2S-fusion", "fusion"), *BASELINES),
    )
    workdir = Workdir(root / f"seed{seed}")  # one corpus, vocabulary and examples for all latents
    run_experiment(experiment, workdir.root, part="validation")
    figures = read_json(workdir.docids("fusion") / "figures.json")
    scores = read_json(workdir.metrics / "validation.json")
    kept = {
        name: figures[name]
        for name in ("unique_share_before", "needed_later_candidate", "needed_another_sample", "needed_suffix")
    }
    return kept | {"length_mean": figures["length_mean"], "MRR": own_rank(workdir)} | scores["GR2S-fusion"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--latents", nargs="+", default=["memory", "start", "inputs"])
    options = parser.parse_args()
    keep_freed_memory()
    for seed in options.seeds:
        for latent in options.latents:
            figures = measure(options.workdir, latent, options.steps, seed)
            print(seed, latent, " ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    main()
