"""MGCC and its diagnostics, for the training log."""

from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_judgements
from gr2_jax.losses.mgcc import MgccOptions, mgcc_terms
from gr2_jax.losses.pairs import tell_apart
from gr2_jax.losses.per_grade import scan_grades
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import Similarity, scaled_similarities


class MgccParts(NamedTuple):
    """MGCC and its diagnostics. A share or mean over nothing is 0; the count beside it is its weight across batches."""

    loss: Float[Array, ""]
    """What `mgcc_loss` returns; the only part with a gradient."""
    grade_loss: Float[Array, "L"]
    """Mean final pair loss of grade l at index l - 1, without the penalty: per query, then over queries that have l."""
    grade_queries: Int[Array, "L"]
    """How many queries have grade l."""
    bound_share: Float[Array, ""]
    """Share of the positive pairs whose loss the constraint changes."""
    positive_pairs: Int[Array, ""]
    """How many (query, docid) pairs have a grade above 0."""
    order_accuracy: Float[Array, ""]
    """Among pairs of a query's relevant docids with different grades, the share whose higher grade is more similar."""
    ordered_pairs: Float[Array, ""]
    """How many such pairs there are, over all queries."""


@on_any_mesh()
def mgcc_parts(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    docid_mask: Bool[Array, "N"] | None = None,
    max_positives: int | None = None,
    reduction: Reduction = "mean",
    **options: Unpack[MgccOptions],
) -> MgccParts:
    """`mgcc_loss` and its diagnostics, from the same arguments. The diagnostics are valid only if
    no query's loss is NaN.

    `jax.value_and_grad(lambda ...: ((parts := mgcc_parts(...)).loss, parts), has_aux=True)` gives both in one pass.
    """
    scores = scaled_similarities(query_embeddings, docid_embeddings, temperature=temperature, similarity=similarity)
    check_judgements(scores, grades, docid_mask)
    positives = tell_apart(scores, grades, num_grades=num_grades, docid_mask=docid_mask, max_positives=max_positives)
    terms = mgcc_terms(positives, num_grades=num_grades, **options)
    present = positives.grades > 0
    loss = reduce_masked(terms.per_query, jnp.any(present, axis=-1), reduction)

    grade_queries = jnp.sum(terms.counts > 0, axis=0)
    right, ordered = _count_ordered(positives.scores, positives.grades, num_grades)
    parts = MgccParts(
        loss=loss,
        grade_loss=jnp.sum(terms.means, axis=0) / jnp.maximum(grade_queries, 1),
        grade_queries=grade_queries,
        bound_share=jnp.sum(terms.bound_pairs) / jnp.maximum(jnp.sum(present), 1),
        positive_pairs=jnp.sum(present),
        order_accuracy=right / jnp.maximum(ordered, 1),
        ordered_pairs=ordered,
    )
    return jax.lax.stop_gradient(parts)._replace(loss=loss)


def _count_ordered(
    similarities: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Number of (higher, lower) pairs in the right order, and of all of them; by one sort, without a [B,N,N] array."""
    # Least similar first; at equal similarity the higher grade first, so that a tie is not counted as right.
    keys = (jax.lax.stop_gradient(similarities), -grades)
    in_order = -jax.lax.sort(keys, dimension=-1, num_keys=2)[1]

    def add_pairs_of(counted, grade):
        (l,) = grade
        higher = in_order == l
        lower = ((in_order > 0) & (in_order < l)).astype(jnp.float32)
        right = jnp.sum(jnp.where(higher, jnp.cumsum(lower, axis=-1), 0.0))
        ordered = jnp.sum(jnp.sum(higher, axis=-1) * jnp.sum(lower, axis=-1))
        return (counted[0] + right, counted[1] + ordered), None

    nothing = jnp.float32(0)
    return scan_grades(add_pairs_of, (nothing, nothing), num_grades=num_grades)[0]
