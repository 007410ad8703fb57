"""The docid trie at scale: time and memory of its build and of its file, against a plain CSR and nested dicts.

python tests/benchmarks/trie_scale.py [--docids 1000000 10000000] [--seed 0] [--folder DIR]

The docids look like short texts about a corpus: a first-order Markov chain over the words of numpy's documentation
(the built-in collection), each word hashed into a vocabulary of 16,384. A docid starts with a word drawn as often as it
occurs; each further word is one that follows the last in the text, as often as it does. 5 + binomial(9, 4/9) tokens:
5 to 14, 9 in the mean; of equal docids one is kept, and more are drawn until there are enough. All from the seed.

Each step has a process of its own, held to one core (its affinity). Peak: the process's largest resident set, which
includes the docids, [N, 14] in uint16, and about 0.2 GB of Python and JAX. The first build also pays for memory that
the process touches first. Cold: after the kernel was asked to drop the files' pages (posix_fadvise); the machine below
may still hold them. The dict trie (nested dictionaries, one for each inner node) is measured up to 1M docids.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LONGEST, SHORTEST, SHARE = 14, 5, 4 / 9
VOCABULARY = 1 << 14
FIRST_WORD = 3  # token ids below are padding, end, unknown
DICT_LIMIT = 1_000_000


def read_tokens() -> np.ndarray:
    """Returns the text of numpy's documentation as one row of tokens."""
    from gr2_jax.corpus import read_apidocs

    documents = read_apidocs(("numpy",)).documents
    words = re.findall(r"\w+", " ".join(f"{one.title} {one.text}" for one in documents).lower())
    return np.array([FIRST_WORD + zlib.crc32(word.encode()) % (VOCABULARY - FIRST_WORD) for word in words])


def draw_docids(text: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns `count` docids [count, LONGEST], uint16, padded with 0, from the Markov chain; some may be the same."""
    successors = text[1:][np.argsort(text[:-1], kind="stable")].astype(np.uint16)
    occurrences = np.bincount(text[:-1], minlength=VOCABULARY)
    starts = np.cumsum(occurrences) - occurrences
    lengths = SHORTEST + rng.binomial(LONGEST - SHORTEST, SHARE, count)
    docids = np.zeros((count, LONGEST), np.uint16)
    token = text[rng.integers(0, len(text) - 1, count)]
    for position in range(LONGEST):
        docids[:, position] = np.where(position < lengths, token, 0)
        token = successors[starts[token] + (rng.random(count, np.float32) * occurrences[token]).astype(np.int64)]
    return docids


def distinct_docids(count: int, seed: int, chunk: int = 1 << 20) -> np.ndarray:
    """Returns `count` distinct docids in the order drawn; two with the same 64-bit hash count as the same."""
    text, rng = read_tokens(), np.random.default_rng(seed)
    weights = rng.integers(0, 2**63, LONGEST, dtype=np.uint64) * 2 + 1
    docids, hashes = np.empty((0, LONGEST), np.uint16), np.empty(0, np.uint64)
    while len(docids) < count:
        missing = count - len(docids)
        drawn = [draw_docids(text, min(chunk, missing - at), rng) for at in range(0, missing, chunk)]
        docids = np.concatenate([docids, *drawn])
        hashes = np.concatenate([hashes, *(hash_rows(part, weights) for part in drawn)])
        _, first = np.unique(hashes, return_index=True)
        first.sort()
        docids, hashes = docids[first], hashes[first]
    return docids


def hash_rows(docids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mixed = np.zeros(len(docids), np.uint64)
    for column, weight in zip(docids.T, weights, strict=True):
        mixed = (mixed ^ column) * weight
        mixed ^= mixed >> np.uint64(29)
    return mixed


def dict_trie(docids: list[list[int]]) -> dict:
    root: dict = {}
    for row, docid in enumerate(docids):
        node = root
        for token in docid:
            if not token:
                break
            node = node.setdefault(token, {})
        node[1] = row
    return root


class Meter:
    """Wall and processor seconds and the growth of the peak of what it runs, printed."""

    def __init__(self, count: int):
        self.count = count

    def __call__(self, what: str, work: Callable[[], Any]) -> Any:
        before, peak = os.times(), peak_bytes()
        started = time.perf_counter()
        result = work()
        wall, after = time.perf_counter() - started, os.times()
        user, system = after.user - before.user, after.system - before.system
        speed = f"{self.count / wall / 1e6:.2f}M docids/s"
        print(f"  {what}: {wall:.2f} s (user {user:.2f}, system {system:.2f}), {speed}", end="")
        print(f", peak {peak_bytes() / 1e9:.2f} GB, of which added {(peak_bytes() - peak) / 1e9:.2f}", flush=True)
        return result


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def drop_pages(folder: Path) -> None:
    """Asks the kernel to forget what it holds of the files."""
    os.sync()
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(docids_file: Path, folder: Path) -> None:
    from gr2_jax.docids import DocidTrie

    docids = np.load(docids_file)
    count = len(docids)
    meter = Meter(count)
    print(f"{count:,} docids, {np.count_nonzero(docids) / count:.2f} tokens in the mean", flush=True)
    for turn in ("build", "build again"):
        trie = meter(turn, lambda: DocidTrie.from_sequences(docids, vocabulary="benchmark"))
    nodes = len(trie.arrays.token)
    print(f"  {nodes / count:.2f} nodes a docid, {trie.nbytes / count:.1f} bytes a docid", end="")
    print(f" (plain CSR, int32 first child, token, row: {(12 * nodes + 4) / count:.1f})")
    print(f"  {len(trie.arrays.wide):,} of {len(trie.arrays.base):,} blocks are wide; widths {trie.widths(20)}")
    meter("save", lambda: trie.save(folder / "trie"))
    drop_pages(folder / "trie")
    for warmth in ("cold", "warm"):
        trie = meter(f"load, {warmth}", lambda: DocidTrie.load(folder / "trie", vocabulary="benchmark"))
    meter("widths and tokens", lambda: (trie.widths(20), trie.tokens))
    back = meter("docids()", trie.docids)
    if not np.array_equal(back, docids[:, : back.shape[1]]):
        raise SystemExit("the docids read back are not those that went in")


def measure_dict(docids_file: Path) -> None:
    docids = np.load(docids_file).tolist()
    before = peak_bytes()
    root = Meter(len(docids))("dict trie", lambda: dict_trie(docids))
    print(f"  dict trie: {(peak_bytes() - before) / len(docids):.0f} bytes a docid, root of {len(root):,}")


def in_own_process(*arguments: str) -> None:
    """Runs this file on one core: NumPy's sorts and gathers are of one thread; the BLAS is told so."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *arguments]
    subprocess.run(command, check=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, {FIRST_CORE}))


FIRST_CORE = min(os.sched_getaffinity(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docids", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to put docids and tries while it runs (default: the system's)")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, file = options.step[0], Path(options.step[1])
        if step == "draw":
            np.save(file, distinct_docids(options.docids[0], options.seed))
        elif step == "dict":
            measure_dict(file)
        else:
            measure(file, file.parent)
        return
    for count in options.docids:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            file = str(Path(folder) / "docids.npy")
            for step in ("draw", "trie", *(["dict"] if count <= DICT_LIMIT else [])):
                in_own_process("--docids", str(count), "--seed", str(options.seed), "--step", step, file)


if __name__ == "__main__":
    main()
