"""The children of all live beams in one list, at a cost that follows their number.

Most nodes of a trie have one child, a few have thousands, and how many a step meets is known only at run time. A step
is therefore compiled for a few list lengths, up to the most that any step can meet, and runs with the shortest length
that holds its children.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gr2_jax.decoding.beams import keep_best
from gr2_jax.decoding.together import most_of_all
from gr2_jax.decoding.trie_arrays import TrieArrays, first_child, is_allowed, row_of

_FEWEST, _TIMES = 8, 8  # children per beam in the shortest list; each longer list is this many times longer


class Edges(NamedTuple):
    """The children of each of m beams, `first` .. `first + count - 1`, and the inputs of their scores."""

    first: Int[Array, "B m"]
    count: Int[Array, "B m"]
    scores: Float[Array, "B m"]
    """The beams' scores."""
    logits: Float[Array, "B m C"]
    log_sums: Float[Array, "B m"]
    """logsumexp of the logits, in float32: at least the largest logit, so no edge raises a score."""


class Grown(NamedTuple):
    """The best children over all beams, best first; ties go by the beam's rank, then by token, an end first."""

    scores: Float[Array, "B k"]
    """-inf where there are fewer children."""
    parents: Int[Array, "B k"]
    nodes: Int[Array, "B k"]
    best_left_out: Float[Array, "B"]
    """The best score not kept, -inf if all are."""


def edges_of(
    trie: TrieArrays, nodes: Int[Array, "B m"], scores: Float[Array, "B m"], logits: Float[Array, "B m C"]
) -> Edges:
    """The edges that leave the beams' nodes; none where a beam is dead (a score of -inf)."""
    logits = logits.astype(jnp.float32)
    first = first_child(trie, nodes)
    count = jnp.where(scores > -jnp.inf, first_child(trie, nodes + 1) - first, 0)
    return Edges(first, count, scores, logits, jax.nn.logsumexp(logits, axis=-1))


def take_ends(
    trie: TrieArrays, edges: Edges, columns: Int[Array, "V"] | None
) -> tuple[Int[Array, "B m"], Float[Array, "B m"], Edges]:
    """The row of the docid that ends at each beam's node, -1 if none does, its score, and the other edges."""
    leaf = jnp.where(edges.count > 0, edges.first, 0)
    row = row_of(trie, leaf)  # only a first child can be an end
    chosen = jnp.take_along_axis(edges.logits, _columns(trie, leaf, columns)[..., None], axis=-1)[..., 0]
    found = (row >= 0) & is_allowed(trie, leaf)
    score = jnp.where(found, edges.scores + (chosen - edges.log_sums), -jnp.inf)
    ends = (row >= 0).astype(jnp.int32)
    return row, score, edges._replace(first=edges.first + ends, count=edges.count - ends)


def grow(
    trie: TrieArrays, edges: Edges, columns: Int[Array, "V"] | None, keep: int, most: int, axis: str | None = None
) -> Grown:
    """The `keep` best children of all beams. A query's beams have at most `most` children; any more are lost. With an
    axis, all its devices take the same list length."""
    beams = edges.count.shape[1]
    rooms = sorted({min(most, _FEWEST * beams * _TIMES**i) for i in range(12)})
    at = [partial(_grow, trie=trie, columns=columns, keep=keep, room=room) for room in rooms]
    needed = most_of_all(edges.count.sum(axis=1).max(), axis)
    return lax.switch(jnp.sum(needed > jnp.array(rooms[:-1], jnp.int32)), at, edges)


def _grow(edges: Edges, *, trie: TrieArrays, columns: Int[Array, "V"] | None, keep: int, room: int) -> Grown:
    stops = jnp.cumsum(edges.count, axis=1)
    place = jnp.arange(room, dtype=jnp.int32)
    parents = jax.vmap(partial(_parents, place=place))(stops)

    def of_parent(values: Array) -> Array:
        return jnp.take_along_axis(values, parents, axis=1)

    exists = place < stops[:, -1:]
    nodes = jnp.where(exists, of_parent(edges.first - stops + edges.count) + place, 0)
    every, width = edges.logits.reshape(len(nodes), -1), edges.logits.shape[-1]
    chosen = jnp.take_along_axis(every, parents * width + _columns(trie, nodes, columns), axis=1)
    scores = of_parent(edges.scores) + (chosen - of_parent(edges.log_sums))
    best, index, left_out = keep_best(jnp.where(exists & is_allowed(trie, nodes), scores, -jnp.inf), keep)
    return Grown(best, *(jnp.take_along_axis(x, index, axis=1) for x in (parents, nodes)), left_out)


def _parents(stops: Int[Array, "m"], place: Int[Array, "n"]) -> Int[Array, "n"]:
    """Which beam each place of the list belongs to: the number of beams whose children all come before it."""
    method = "compare_all" if len(stops) <= 64 else "scan_unrolled"
    beam = jnp.searchsorted(stops, place, side="right", method=method)
    return jnp.minimum(beam, len(stops) - 1).astype(jnp.int32)


def _columns(trie: TrieArrays, nodes: Int[Array, "*shape"], columns: Int[Array, "V"] | None) -> Int[Array, "*shape"]:
    """The model's output column for the token on the edge into each node."""
    tokens = trie.token[nodes].astype(jnp.int32)
    return tokens if columns is None else columns[tokens]
