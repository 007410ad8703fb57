"""Docids from hierarchical k-means: the way down a tree of clusters, then a number within the last."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.docids.clusters import UnitRows, k_means
from gr2_jax.docids.numbers import digits, digits_needed
from gr2_jax.errors import UserError

Path = tuple[int, ...]
Rows = Int[np.ndarray, " M"]


def hierarchical_codes(
    vectors: Float[np.ndarray, "N F"], *, branches: int, leaf: int, seed: int
) -> Int[np.ndarray, "N L"]:
    """Codes in 0 .. branches-1 (int32), padded with -1 after the last; all rows differ and none begins another.

    The semantically structured identifiers of DSI (Tay et al. 2022), which NCI (Wang et al. 2022) uses as well:
    k-means of the unit vectors with `branches` clusters, and again within each cluster of more than `leaf` documents.
    The members of the others get the numbers 0, 1, ... in the order of their rows, written in base `branches` with as
    many digits as that cluster needs. A cluster that has no more documents than there are branches, that k-means
    cannot split (the vectors are the same), or that lies 2 ceil(log N / log branches) levels deep, is numbered too,
    so that no code is longer than 3 ceil(log N / log branches).

    The vectors may be memory-mapped. Raises UserError for fewer than 2 branches or an empty leaf.
    """
    if branches < 2 or leaf < 1:
        raise UserError(f"a tree needs 2 branches and leaves of 1 document or more, not {branches} and {leaf}")
    numbered = list(_numbered_clusters(vectors, branches, leaf, seed))
    widths = [digits_needed(len(rows), base=branches) for _, rows in numbered]
    length = max((len(path) + width for (path, _), width in zip(numbered, widths, strict=True)), default=1)
    codes = np.full((len(vectors), length), -1, np.int32)
    for (path, rows), width in zip(numbered, widths, strict=True):
        codes[rows, : len(path)] = path
        codes[rows, len(path) : len(path) + width] = digits(np.arange(len(rows)), base=branches, width=width)
    return codes


def _numbered_clusters(vectors: np.ndarray, branches: int, leaf: int, seed: int) -> Iterator[tuple[Path, Rows]]:
    """The clusters that are not split further, each with the way to it."""
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
    """The rows of each cluster that has any, in ascending order."""
    labels = k_means(documents, branches, seed=seed).labels
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=branches))[:-1])
    return {code: documents.rows[found] for code, found in enumerate(members) if len(found)}
