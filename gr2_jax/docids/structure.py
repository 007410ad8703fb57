"""The shape of a set of docids: their lengths, how their trie branches, how soon they identify the documents."""

from typing import Any

import numpy as np
from jaxtyping import Int

from gr2_jax.errors import UserError


def structure(docids: Int[np.ndarray, "N T"]) -> dict[str, Any]:
    """Describes N different docids, given without EOS and padded with 0, in any order.

    Returns a dictionary that JSON can hold. Depths count tokens from the root, which is depth 0:
      documents            N
      length_histogram     how many docids have 1, 2, ... tokens
      length_mean, length_p50, length_p95, length_max    in tokens
      nodes_by_depth       how many different prefixes of t tokens there are, t = 0, 1, ... length_max
      branching_by_depth   {"mean", "max"}: the children of the nodes at each depth; the end of a docid is a child
      unique_by_depth      the share of documents identified by t tokens: no other document has the same first t; a
                           docid shorter than t counts with its end
      tokens_used          how many different tokens there are

    Sorts the rows once, then makes one pass over them per depth. Beside `docids` it needs about 80 bytes per document
    of 16 tokens (measured: 10 million in 9 seconds).

    Raises:
      UserError: no docids, an empty one, a negative token, a 0 before a docid's end, or two that are the same.
    """
    _check(docids)
    rows = _sorted(docids)
    lengths = np.count_nonzero(rows, axis=1)
    shared = _shared_with_previous(rows)
    longest = int(lengths.max())
    levels = [_level(shared, lengths, depth) for depth in range(longest + 1)]
    # The docids nearest in sorted order share the most tokens.
    closest = np.maximum(shared, np.append(shared[1:], -1))
    p50, p95 = np.percentile(lengths, [50, 95])
    return {
        "documents": len(rows),
        "length_histogram": np.bincount(lengths)[1:].tolist(),
        "length_mean": float(lengths.mean()),
        "length_p50": float(p50),
        "length_p95": float(p95),
        "length_max": longest,
        "nodes_by_depth": [nodes for nodes, _, _ in levels],
        "branching_by_depth": {"mean": [mean for _, mean, _ in levels], "max": [most for _, _, most in levels]},
        "unique_by_depth": (np.bincount(closest + 1, minlength=longest + 1).cumsum() / len(rows)).tolist(),
        "tokens_used": _tokens_used(rows),
    }


def _check(docids: np.ndarray) -> None:
    if docids.ndim != 2 or not np.issubdtype(docids.dtype, np.integer) or docids.size == 0:
        raise UserError(f"docids must be a non-empty integer array [N, T], not {docids.dtype} {list(docids.shape)}")
    if docids.min() < 0:
        raise UserError("docids hold a negative token")
    used = docids != 0
    if not used[:, 0].all() or (used[:, 1:] > used[:, :-1]).any():
        raise UserError("a docid is empty or has a 0 before its end")


def _sorted(docids: np.ndarray) -> np.ndarray:
    """The rows as uint16 or uint32, in an order that keeps equal prefixes together and puts a prefix itself first."""
    size = 2 if docids.max() <= np.iinfo(np.uint16).max else 4
    rows = np.array(docids, f"u{size}", order="C")
    # The order of their bytes does both, whatever the machine's byte order, and is many times faster than np.lexsort.
    rows.view(f"S{size * rows.shape[1]}").ravel().sort()
    return rows


def _shared_with_previous(rows: np.ndarray) -> np.ndarray:
    """How many leading tokens each row shares with the row before it; -1 for the first."""
    differs = rows[1:] != rows[:-1]
    shared = differs.argmax(axis=1)
    if not np.take_along_axis(differs, shared[:, None], axis=1).all():
        raise UserError("two docids are the same")
    return np.concatenate([[-1], shared])


def _level(shared: np.ndarray, lengths: np.ndarray, depth: int) -> tuple[int, float, int]:
    """The number of nodes at this depth, and the mean and largest number of their children.

    A node is counted at its first row, whose first `depth` tokens differ from those of the row before.
    """
    long_enough = lengths >= depth
    nodes = np.flatnonzero(long_enough & (shared < depth))
    children = np.flatnonzero(long_enough & (shared <= depth))
    counts = np.diff(np.append(np.searchsorted(children, nodes), len(children)))
    return len(nodes), float(counts.mean()), int(counts.max())


def _tokens_used(rows: np.ndarray) -> int:
    seen = np.zeros(int(rows.max()) + 1, bool)
    for column in rows.T:  # a column at a time: NumPy converts an index array to 64 bits
        seen[column] = True
    return int(np.count_nonzero(seen[1:]))
