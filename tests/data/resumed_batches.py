"""`python resumed_batches.py DIRECTORY FIRST_STEP HOST HOSTS`: a line per step with a digest of its batch, forever."""

import hashlib
import itertools
import sys
from pathlib import Path

from gr2_jax.data.batches import BatchConfig, GradedBatches
from gr2_jax.data.example_files import ExampleFiles
from gr2_jax.data.order import Mixture

SHAPE = BatchConfig(queries=8, docids=2, indexing_texts=12, pseudo_share=0.5, shortest_span=2, longest_span=6, length=8)


def open_batches(directory: Path) -> GradedBatches:
    """Two collections at rates of 3 to 1, from files."""
    sources = [ExampleFiles.open(directory / name, length=12, judged=3) for name in ("one", "two")]
    queries = Mixture(sources, (3, 1), first_rows=(0, 1000))
    return GradedBatches(queries, sources[1], sources[0], SHAPE, seed=11, eos=1)


def digest(batch: dict) -> str:
    return hashlib.sha256(b"".join(name.encode() + batch[name].tobytes() for name in sorted(batch))).hexdigest()


if __name__ == "__main__":
    batches = open_batches(Path(sys.argv[1]))
    first, host, hosts = map(int, sys.argv[2:])
    for step in itertools.count(first):
        print(step, digest(batches(step, host=host, hosts=hosts)), flush=True)
