"""Assignment of unique docids at scale: documents per second and peak memory, beside a plain Python dictionary.

python tests/benchmarks/assignment_scale.py                      # 1M documents, each kind and the dictionary
python tests/benchmarks/assignment_scale.py --documents 10000000 # 10M; --kind half_identical, chain for the others

Candidates are 4 docids of 7 to 11 tokens, made shard by shard as they are asked for. The seconds leave out what making
them takes; the peak is that of the process less what it held before it began, so some 100 MB of it are the making's.

- collisions: a quarter of the documents have a first candidate that others have as well.
- half_identical: every other document has the same list, the rest as above.
- chain: every document pushes the next one out of its first candidate, the worst case for the rounds.
- dictionary: the kind "collisions" with token tuples in a dictionary, one document after the other.

Each kind is measured in a process of its own. The lines to compare are of one run on one machine.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from gr2_jax.docids.assignment import assign_unique

SHARD, CANDIDATES, LONGEST, VOCABULARY = 1 << 16, 4, 11, 32_000
SUFFIX_TOKENS = range(VOCABULARY, VOCABULARY + 10)
KINDS = ("collisions", "half_identical", "chain", "dictionary")


def spelled(numbers: np.ndarray) -> np.ndarray:
    """Docids [..., LONGEST], one for each number: random-looking tokens, 7 to 11 of them."""
    state = numbers.astype(np.uint64)[..., None] + np.arange(LONGEST, dtype=np.uint64) * np.uint64(1 << 40)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    length = 7 + (state[..., :1] >> np.uint64(40)) % np.uint64(5)
    return np.where(np.arange(LONGEST) < length, 1 + (state >> np.uint64(33)) % np.uint64(VOCABULARY - 1), 0).astype(
        np.uint16
    )


def shard_of(kind: str, start: int, stop: int, documents: int) -> np.ndarray:
    rows = np.arange(start, stop)
    places = np.arange(CANDIDATES)
    if kind == "chain":
        return spelled(np.maximum(rows - 1, 0)[:, None] + np.minimum(places, 1) * (rows > 0)[:, None])
    wanted = rows[:, None] * CANDIDATES + places + documents
    shared = np.random.default_rng(start).random(stop - start) < 0.25
    # the groups share their first two candidates, so that some of the documents go on to the third
    group = np.random.default_rng(start + 1).integers(0, documents // 10, stop - start)
    wanted[shared, :2] = group[shared, None] * 2 + places[:2]
    if kind == "half_identical":
        wanted[1::2] = places
    return spelled(wanted)


class Shards:
    """Makes the shards, and counts the seconds that takes."""

    def __init__(self, kind: str, documents: int):
        self.kind, self.documents, self.seconds = kind, documents, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, self.documents, SHARD):
            begun = time.perf_counter()
            shard = shard_of(self.kind, start, min(start + SHARD, self.documents), self.documents)
            self.seconds += time.perf_counter() - begun
            yield shard


def plainly(shards: Shards) -> dict[tuple[int, ...], int]:
    """The documents' rows by docid, one document after the other; suffixes of one token are enough here."""
    taken: dict[tuple[int, ...], int] = {}
    row = 0
    for shard in shards:
        for listed in shard.tolist():
            docids = (tuple(token for token in padded if token) for padded in listed)
            docid = next((docid for docid in docids if docid not in taken), None)
            if docid is None:
                base = tuple(token for token in listed[0] if token)
                docid = next((*base, token) for token in SUFFIX_TOKENS if (*base, token) not in taken)
            taken[docid] = row
            row += 1
    return taken


def held() -> int:
    """Bytes the process has in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def measure(kind: str, documents: int) -> None:
    shards, before, begun = (
        Shards("collisions" if kind == "dictionary" else kind, documents),
        held(),
        time.perf_counter(),
    )
    if kind == "dictionary":
        result = plainly(shards)
    else:
        result = assign_unique(shards, suffix_tokens=SUFFIX_TOKENS, max_length=LONGEST)
    seconds = time.perf_counter() - begun - shards.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(
        f"{kind:14} {documents:>11,} documents {seconds:7.1f} s {documents / seconds:>9,.0f}/s"
        f" peak {peak / 2**20:6.0f} MiB, {peak / documents:4.0f} bytes per document",
        flush=True,
    )
    if kind != "dictionary":
        figures = result.figures()
        print({name: round(value, 3) for name, value in figures.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=KINDS, help="one kind, in this process")
    arguments = parser.parse_args()
    if arguments.kind:
        measure(arguments.kind, arguments.documents)
        return
    for kind in KINDS:
        if kind != "dictionary" or arguments.documents <= 1_000_000:
            subprocess.run(
                [sys.executable, __file__, f"--documents={arguments.documents}", f"--kind={kind}"], check=True
            )


if __name__ == "__main__":
    main()
