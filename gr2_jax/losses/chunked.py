"""MGCC for batches whose [B,N] similarities do not fit: some queries at a time."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.errors import UserError
from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.grades import judged_columns
from gr2_jax.losses.mgcc import mgcc_terms
from gr2_jax.losses.microbatches import in_microbatches
from gr2_jax.losses.pairs import at_columns
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import Similarity, scaled_similarities


@on_any_mesh()
def chunked_mgcc_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    docid_rows: Int[Array, "N"],
    judged_rows: Int[Array, "B J"],
    judged_grades: Int[Array, "B J"],
    *,
    num_grades: int,
    chunk_size: int = 256,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
    reduction: Reduction = "mean",
    **options,
) -> Float[Array, ""]:
    """`mgcc_loss` of the grades that `grade_matrix` makes of the same rows, `chunk_size` queries at a time.

    Value and gradients are those of `mgcc_loss`; neither the similarities nor the grades are ever a [B,N] array, and
    the backward pass computes each chunk's similarities again. Of memory it takes some three [chunk_size,N] arrays
    beside the gradients. The other options as in `mgcc_loss`.

    Args:
      docid_rows: row of the document of each docid of the batch, -1 = padding. A document counts once.
      judged_rows: rows of the documents judged for each query, -1 = padding; they need not be in the batch.
      judged_grades: their grades, as for `grade_matrix`.

    Raises:
      UserError: an unknown option, a chunk size below 1, or arrays whose shapes do not fit together.
    """
    if chunk_size < 1:
        raise UserError(f"chunk_size={chunk_size}: a chunk has at least one query")
    columns, grades, docid_mask = judged_columns(docid_rows, judged_rows, judged_grades)

    def terms(part):
        queries, columns, grades = part
        scores = scaled_similarities(queries, docid_embeddings, temperature=temperature, similarity=similarity)
        scores = jnp.where(docid_mask, scores, jnp.finfo(jnp.float32).min)
        positives = at_columns(scores, columns, grades, num_grades=num_grades)
        return mgcc_terms(positives, num_grades=num_grades, **options).per_query

    chunks = -(-len(grades) // chunk_size)
    missing = -len(grades) % chunks  # queries without a relevant docid fill the last chunk: they count for nothing
    batch = [jnp.pad(x, [(0, missing), (0, 0)]) for x in (query_embeddings, columns, grades)]
    per_query = in_microbatches(terms, batch, count=chunks)
    return reduce_masked(per_query, jnp.any(batch[2] > 0, axis=-1), reduction)
