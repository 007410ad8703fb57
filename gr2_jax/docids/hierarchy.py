"""Numeric docids: random numbers, or paths down a tree of clusters."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.clusters import UnitRows, k_means
from gr2_jax.errors import UserError


def random_numbers(count: int, *, seed: int, base: int = 10) -> Int[np.ndarray, "N W"]:
    """The digits (int32, most significant first, one width for all) of 0 .. count-1 in an order drawn by the seed.

    These are the naively structured string identifiers of DSI (Tay et al. 2022). Raises UserError for a base below 2.
    """
    numbers = np.arange(count, dtype=np.int32)
    np.random.default_rng(seed).shuffle(numbers)
    return digits(numbers, base=base, width=digits_needed(count, base=base))


def digits_needed(count: int, *, base: int) -> int:
    """The width in which all of 0 .. count-1 can be written, at least 1."""
    if base < 2:
        raise UserError(f"numbers are written in a base of 2 or more, not {base}")
    width = 1
    while base**width < count:
        width += 1
    return width


def digits(numbers: Int[np.ndarray, " N"], *, base: int, width: int) -> Int[np.ndarray, "N W"]:
    """The lowest `width` digits of each number, most significant first, as int32."""
    spelled = np.empty((len(numbers), width), np.int32)
    for place in reversed(range(width)):
        numbers, spelled[:, place] = np.divmod(numbers, base)
    return spelled


Path = tuple[int, ...]
Rows = Int[np.ndarray, " M"]


def hierarchical_codes(
    vectors: Float[np.ndarray, "N F"], *, branches: int, leaf: int, seed: int
) -> Int[np.ndarray, "N L"]:
    """Codes in 0 .. branches-1 (int32), padded with -1 after the last; all rows differ and none is a prefix of another.

    The semantically structured identifiers of DSI (Tay et al. 2022), which NCI (Wang et al. 2022) uses as well:
    k-means of the unit vectors with `branches` clusters, and again within each cluster of more than `leaf` documents.
    The members of any other cluster are numbered 0, 1, ... in the order of their rows, in base `branches`, with as many
    digits as the cluster needs. So are the members of a cluster of at most `branches` documents, of one that k-means
    cannot split (equal vectors), and of one that is 2 ceil(log N / log branches) levels deep: no code is longer than
    3 ceil(log N / log branches).

    The vectors may be memory-mapped. Raises UserError for fewer than 2 branches or an empty leaf.
    """
    if branches < 2 or leaf < 1:
        raise UserError(f"a tree needs at least 2 branches and 1 document per leaf, not {branches} and {leaf}")
    numbered = list(_numbered_clusters(vectors, branches, leaf, seed))
    widths = [digits_needed(len(rows), base=branches) for _, rows in numbered]
    length = max((len(path) + width for (path, _), width in zip(numbered, widths, strict=True)), default=1)
    codes = np.full((len(vectors), length), -1, np.int32)
    for (path, rows), width in zip(numbered, widths, strict=True):
        codes[rows, : len(path)] = path
        codes[rows, len(path) : len(path) + width] = digits(np.arange(len(rows)), base=branches, width=width)
    return codes


def _numbered_clusters(vectors: np.ndarray, branches: int, leaf: int, seed: int) -> Iterator[tuple[Path, Rows]]:
    """The clusters that are not split further, each with its path."""
    deepest = 2 * digits_needed(len(vectors), base=branches)
    waiting: list[tuple[Path, Rows]] = [((), np.arange(len(vectors), dtype=np.int32))]
    while waiting:
        path, rows = waiting.pop()
        splits = len(rows) > max(leaf, branches) and len(path) < deepest
        parts = _split(UnitRows(vectors, rows), branches, seed) if splits else {}
        if len(parts) > 1:
            waiting += [((*path, code), members) for code, members in parts.items()]
        else:
            yield path, rows


def _split(documents: UnitRows, branches: int, seed: int) -> dict[int, Rows]:
    """The rows of each non-empty cluster, in ascending order."""
    labels = k_means(documents, branches, seed=seed).labels
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=branches))[:-1])
    return {code: documents.rows[found] for code, found in enumerate(members) if len(found)}
