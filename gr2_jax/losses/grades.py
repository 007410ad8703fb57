"""The [B,N] grade matrix of a batch, made on the device from rows and judgements."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gr2_jax.losses.checks import check_shape


def grade_matrix(
    docid_rows: Int[Array, "N"], judged_rows: Int[Array, "B J"], judged_grades: Int[Array, "B J"]
) -> tuple[Int[Array, "B N"], Bool[Array, "N"]]:
    """Grade of every docid of the batch for every query of the batch, and which docids count.

    A docid that came into the batch with one query but is judged for another takes its grade there too: it is not a
    false negative. The mask is False for padding and for every occurrence of a document but its first, so that it
    counts once in the denominator. Each occurrence was decoded against its own query: a query that brought a later
    occurrence is compared with the first one, decoded against another query. `grades` keeps the grade at every
    occurrence; use it together with the mask.

    Args:
      docid_rows: row of the document of each docid of the batch, -1 = padding.
      judged_rows: rows of the documents judged for each query, -1 = padding; they need not be in the batch.
      judged_grades: their grades. 0 and below are not relevant; of a document judged twice, the largest counts.

    Returns:
      (grades int32 [B,N], 0 where not relevant, not judged or padding; docid_mask bool [N]), for `mgcc_loss`.

    Raises:
      UserError: judged_grades is not shaped like judged_rows.
    """
    check_shape("judged_grades", judged_grades, judged_rows.shape)
    # Under jit the [B,N,J] comparison is fused into its reduction.
    judged = (judged_rows[:, None, :] == docid_rows[:, None]) & (docid_rows[:, None] >= 0)
    grades = jnp.max(jnp.where(judged, judged_grades[:, None, :], 0), axis=-1, initial=0)
    first = jnp.argmax(docid_rows[:, None] == docid_rows, axis=-1) == jnp.arange(docid_rows.shape[0])
    return grades.astype(jnp.int32), first & (docid_rows >= 0)
