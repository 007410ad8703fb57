"""MGCC for batches whose [B,N] similarities do not fit in memory: all queries against a chunk of docids at a time."""

from functools import partial
from typing import Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.errors import UserError
from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import (
    check_array,
    check_choice,
    check_embeddings,
    check_scale,
    check_shape,
    check_temperature,
)
from gr2_jax.losses.grades import judged_columns
from gr2_jax.losses.mgcc import MgccOptions, mgcc_terms
from gr2_jax.losses.pairs import NOTHING, Positives, put, split
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import Similarity, scaled_similarities

_TILE = 2**22  # similarities at a time: 16 MiB of float32


@on_any_mesh()
def chunked_mgcc_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    docid_rows: Int[Array, "N"],
    judged_rows: Int[Array, "B J"],
    judged_grades: Int[Array, "B J"],
    *,
    num_grades: int,
    chunk_size: int | None = None,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    reduction: Reduction = "mean",
    **options: Unpack[MgccOptions],
) -> Float[Array, ""]:
    """`mgcc_loss` on the grades and mask of `grade_matrix` for the same rows, `chunk_size` docids at a time.

    Value and gradients equal those of `mgcc_loss`, but no array of similarities or grades is larger than
    [B, chunk_size]. Beside the embeddings and their gradients, memory holds a few such arrays: by default 16 MiB each
    or, from 32,768 queries on, 128 docids wide. With several chunks the backward pass computes the similarities again,
    a fourth product. The other options are those of `mgcc_loss`, except `docid_mask` and `max_positives`, which follow
    from the rows.

    Args:
      docid_rows: document row of each docid of the batch, -1 = padding. A document counts once.
      judged_rows: rows of the documents judged for each query, -1 = padding; they need not be in the batch.
      judged_grades: their grades, as for `grade_matrix`.

    Raises:
      UserError: an unknown option value, a chunk size below 1, arrays whose shapes do not fit together or, outside of
        `jit`, a value that would make the loss NaN.
    """
    if chunk_size is not None and chunk_size < 1:
        raise UserError(f"chunk_size={chunk_size} must be at least 1")
    check_embeddings(query_embeddings, docid_embeddings)
    check_temperature(temperature)
    check_shape("docid_rows", docid_rows, docid_embeddings.shape[:1])
    check_array("judged_rows", judged_rows)
    check_shape("judged_rows", judged_rows, (len(query_embeddings), *judged_rows.shape[1:]))
    check_choice("similarity", similarity, ("cosine", "dot"))
    columns, grades, docid_mask = judged_columns(docid_rows, judged_rows, judged_grades)
    check_scale(grades, num_grades)
    size = min(chunk_size or max(128, _TILE // max(len(query_embeddings), 1)), len(docid_rows))
    missing = -len(docid_rows) % size
    scores, rest = _split_in_chunks(
        (similarity, size),
        query_embeddings,
        jnp.pad(docid_embeddings, [(0, missing), (0, 0)]),
        jnp.asarray(temperature, jnp.float32),
        jnp.pad(docid_mask, (0, missing)),
        jnp.where(grades > 0, columns, len(docid_rows) + missing),
    )
    positives = Positives(scores, grades, rest, jnp.max(grades, axis=-1, initial=0) <= num_grades)
    terms = mgcc_terms(positives, num_grades=num_grades, **options)
    return reduce_masked(terms.per_query, jnp.any(grades > 0, axis=-1), reduction)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _split_in_chunks(
    how: tuple[Similarity, int],
    queries: Float[Array, "B D"],
    docids: Float[Array, "N D"],
    temperature: Float[Array, ""],
    docid_mask: Bool[Array, "N"],
    columns: Int[Array, "B P"],
) -> tuple[Float[Array, "B P"], Float[Array, "B"]]:
    """sim / τ at the columns (column N: none), and the log-sum-exp over the other docids under the mask."""
    similarity, size = how

    def add_chunk(found, number):
        chosen, rest = found
        chunk, mask, places = _chunk(number, size, docids, docid_mask, columns)
        scores = scaled_similarities(queries, chunk, temperature=temperature, similarity=similarity)
        here, others = split(jnp.where(mask, scores, NOTHING), places)
        return (jnp.where(places < size, here, chosen), jnp.logaddexp(rest, others)), None

    start = jnp.zeros(columns.shape, jnp.float32), jnp.full(len(queries), NOTHING)
    return jax.lax.scan(add_chunk, start, jnp.arange(len(docids) // size))[0]


def _split_in_chunks_forward(how, *arguments):
    chosen, rest = _split_in_chunks(how, *arguments)
    return (chosen, rest), (arguments, rest)


def _split_in_chunks_backward(how, kept, slopes):
    """Computes each chunk's similarities again; their softmax is the gradient of the log-sum-exp."""
    similarity, size = how
    (queries, docids, temperature, docid_mask, columns), rest = kept
    of_chosen, of_rest = slopes

    def add_chunk(total, number):
        chunk, mask, places = _chunk(number, size, docids, docid_mask, columns)
        scores, pull = jax.vjp(
            lambda q, d, t: scaled_similarities(q, d, temperature=t, similarity=similarity), queries, chunk, temperature
        )
        of_scores = jnp.where(mask, jnp.exp(scores - rest[:, None]) * of_rest[:, None], 0.0)
        of_queries, of_docids, of_temperature = pull(put(of_scores, places, of_chosen))
        return (total[0] + of_queries.astype(jnp.float32), total[1] + of_temperature), of_docids

    start = jnp.zeros(queries.shape, jnp.float32), jnp.zeros_like(temperature)
    (of_queries, of_temperature), of_docids = jax.lax.scan(add_chunk, start, jnp.arange(len(docids) // size))
    return of_queries.astype(queries.dtype), of_docids.reshape(docids.shape), of_temperature, None, None


_split_in_chunks.defvjp(_split_in_chunks_forward, _split_in_chunks_backward)


def _chunk(number, size: int, docids, docid_mask, columns):
    """A chunk's docids, their mask, and the columns' places within the chunk (`size`: in another chunk)."""
    start = number * size
    docids, docid_mask = (jax.lax.dynamic_slice_in_dim(x, start, size) for x in (docids, docid_mask))
    places = columns - start
    return docids, docid_mask, jnp.where((places >= 0) & (places < size), places, size)
