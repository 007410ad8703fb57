"""Relevance and distinctness, the regularisers of the docid models (Eq. 1-2).

Row i of both arrays is the i-th (document, query) pair of the batch; sim is the dot product. Without ids, different
rows are different documents and different queries. `query_ids` and `document_ids` identify the query and the document
of each row, for batches that may repeat one.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_array, check_shape, check_temperature
from gr2_jax.losses.similarity import masked_log_softmax, similarity_matrix


@on_any_mesh()
def relevance_loss(
    document_reps: Float[Array, "P D"],
    query_reps: Float[Array, "P D"],
    *,
    query_ids: Int[Array, "P"] | None = None,
    document_ids: Int[Array, "P"] | None = None,
    temperature: float = 1.0,
) -> Float[Array, ""]:
    """L_Rel, Eq. 1: -mean over pairs of exp(sim(e_d,e_q)) / (exp(sim(e_d,e_q)) + ζ), between -1 and 0.

    The ratio has no logarithm. ζ sums exp(sim(e_d,e_q')) over the rows of the batch's other queries q'. With ids, ζ
    leaves out the rows of the same query and of every query that the batch pairs with the same document; any other
    query counts once per row.

    sim is divided by `temperature`; the paper has none. Between unit vectors a ratio without logarithm has a gradient
    only for temperatures of about .05 to .2: at 1 all ratios are alike, far below one is all.

    Raises UserError where the arrays' shapes do not fit together or, outside of `jit`, the temperature is not above 0.
    """
    check_temperature(temperature)
    same_query, same_document = _sameness(document_reps, query_reps, query_ids, document_ids)
    # [i, j]: some row pairs document i with query j.
    paired = jnp.matmul(same_document.astype(jnp.float32), same_query.astype(jnp.float32)) > 0
    in_ratio = ~paired | jnp.eye(paired.shape[0], dtype=bool)
    dots = similarity_matrix(document_reps, query_reps, "dot") / temperature
    return -jnp.mean(jnp.exp(jnp.diagonal(masked_log_softmax(dots, in_ratio))))


@on_any_mesh()
def distinctness_loss(
    document_reps: Float[Array, "P D"],
    query_reps: Float[Array, "P D"],
    *,
    query_ids: Int[Array, "P"] | None = None,
    document_ids: Int[Array, "P"] | None = None,
    margin: float | None = None,
) -> Float[Array, ""]:
    """L_Div, Eq. 2: mean of sim(e_d,e_d') over d != d' + mean of sim(e_q,e_q') over q != q' - mean of sim(e_d,e_q).

    "Mean over d != d'" is the mean over ordered pairs of rows i != j, each unordered pair twice, the divisor P(P-1).
    With ids, rows of the same document (or query) form no pair, and the divisor is the number of pairs left. A mean
    over no pairs, as in a batch of one, is 0. The value has no lower bound: sim(e_d,e_q) may grow without limit.

    With a `margin` two documents, or two queries, are pushed apart only until their similarity is that: each pair
    counts as max(0, sim - margin). SpaceFusion (Gao et al., 2019), from which the regulariser comes, caps it likewise.

    Raises UserError where the arrays' shapes do not fit together.
    """
    same_query, same_document = _sameness(document_reps, query_reps, query_ids, document_ids)
    documents = _mean_where(_beyond(similarity_matrix(document_reps, document_reps, "dot"), margin), ~same_document)
    queries = _mean_where(_beyond(similarity_matrix(query_reps, query_reps, "dot"), margin), ~same_query)
    matched = jnp.sum(document_reps.astype(jnp.float32) * query_reps.astype(jnp.float32), axis=-1)
    return documents + queries - jnp.mean(matched)


def _beyond(similarities: Float[Array, "P P"], margin: float | None) -> Float[Array, "P P"]:
    return similarities if margin is None else jnp.maximum(similarities - margin, 0.0)


def _sameness(
    document_reps: Float[Array, "P D"],
    query_reps: Float[Array, "P D"],
    query_ids: Int[Array, "P"] | None,
    document_ids: Int[Array, "P"] | None,
) -> tuple[Bool[Array, "P P"], Bool[Array, "P P"]]:
    """Whether two rows hold the same query, and whether they hold the same document."""
    check_array("document_reps", document_reps)
    check_shape("query_reps", query_reps, document_reps.shape)
    rows = jnp.arange(document_reps.shape[0])
    query_ids = rows if query_ids is None else query_ids
    document_ids = rows if document_ids is None else document_ids
    check_shape("query_ids", query_ids, rows.shape)
    check_shape("document_ids", document_ids, rows.shape)
    return query_ids[:, None] == query_ids, document_ids[:, None] == document_ids


def _mean_where(values: Float[Array, "P P"], mask: Bool[Array, "P P"]) -> Float[Array, ""]:
    return jnp.sum(jnp.where(mask, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1)
