"""The grades of a batch, computed on the device from rows and judgements: as a [B,N] matrix, or as columns."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_array, check_shape


@on_any_mesh(rows=(1, 0))
def grade_matrix(
    docid_rows: Int[Array, "N"], judged_rows: Int[Array, "B J"], judged_grades: Int[Array, "B J"]
) -> tuple[Int[Array, "B N"], Bool[Array, "N"]]:
    """Grade of every docid of the batch for every query of the batch, and a mask of the docids that count.

    A docid that entered the batch with one query but is judged for another query has its grade there too, so it is no
    false negative. The mask is False for padding and for every occurrence of a document after the first, so that a
    document counts once in the denominator. Where an occurrence's vector depends on the query that it came with,
    `own_occurrences` compares each query with its own. `grades` keeps the grade at every occurrence; use it together
    with the mask.

    Args:
      docid_rows: document row of each docid of the batch, -1 = padding.
      judged_rows: rows of the documents judged for each query, -1 = padding; they need not be in the batch.
      judged_grades: their grades. 0 and below are not relevant; if a document is judged twice, the larger grade counts.

    Returns:
      (grades int32 [B,N], 0 where not relevant, not judged or padding; docid_mask bool [N]), for `mgcc_loss`.

    Raises:
      UserError: judged_grades is not shaped like judged_rows.
    """
    check_array("docid_rows", docid_rows)
    check_array("judged_rows", judged_rows)
    check_shape("judged_grades", judged_grades, judged_rows.shape)
    # Under jit the [B,N,J] comparison is fused into its reduction.
    judged = (judged_rows[:, None, :] == docid_rows[:, None]) & (docid_rows[:, None] >= 0)
    grades = jnp.max(jnp.where(judged, judged_grades[:, None, :], 0), axis=-1, initial=0)
    return grades.astype(jnp.int32), _first_column(docid_rows, docid_rows) == jnp.arange(len(docid_rows))


@on_any_mesh(rows=0)
def own_occurrences(
    scores: Float[Array, "B N"], docid_rows: Int[Array, "N"], queries: Int[Array, "N"]
) -> Float[Array, "B N"]:
    """The scores with each query's own occurrence of a document in the place of the first one, which may have come with
    another query: for docids whose vectors have read their query.

    Args:
      scores: of each docid of the batch, for every query.
      docid_rows: document row of each docid, -1 = padding.
      queries: the query that each docid came with.
    """
    scores, first = jnp.asarray(scores), _first_column(docid_rows, docid_rows)
    return scores.at[queries, first].set(scores[queries, jnp.arange(len(docid_rows))], mode="drop")


@on_any_mesh(rows=(1, 1, 0))
def judged_columns(
    docid_rows: Int[Array, "N"], judged_rows: Int[Array, "B J"], judged_grades: Int[Array, "B J"]
) -> tuple[Int[Array, "B J"], Int[Array, "B J"], Bool[Array, "N"]]:
    """`grade_matrix` without a [B,N] array: the batch columns of each query's relevant docids, and their grades.

    Returns:
      (columns int32 [B,J], grades int32 [B,J], docid_mask bool [N]): docid columns[b,j] of the batch, the first
      occurrence of its document, has grade grades[b,j] for query b. Where the grade is 0 (not relevant, not in the
      batch, padding, a repeated judgement) the column is undefined. Every other docid has grade 0.

    Raises:
      UserError: judged_grades is not shaped like judged_rows.
    """
    check_array("docid_rows", docid_rows)
    check_array("judged_rows", judged_rows)
    check_shape("judged_grades", judged_grades, judged_rows.shape)
    # rows ascending, a row's best grade first: an entry that repeats the row before it is a repeated judgement
    judged_rows, worst_first = jax.lax.sort((judged_rows, -judged_grades), dimension=-1, num_keys=2)
    again = jnp.pad(judged_rows[:, 1:] == judged_rows[:, :-1], [(0, 0), (1, 0)])
    columns = _first_column(docid_rows, judged_rows)
    grades = jnp.where((columns < len(docid_rows)) & ~again, jnp.maximum(-worst_first, 0), 0)
    return (
        columns.astype(jnp.int32),
        grades.astype(jnp.int32),
        _first_column(docid_rows, docid_rows) == jnp.arange(len(docid_rows)),
    )


def exponential_gains(grades: Int[Array, "B N"]) -> Float[Array, "B N"]:
    """2^grade - 1 for grades of at least 0; in a row whose best grade is above 24, divided by 2^(best - 24).

    The shares of a row's gains, which is what losses read, are the same, and no grade is too high for float32.
    """
    above = jnp.maximum(jnp.max(grades, axis=-1, keepdims=True, initial=0) - 24, 0)
    return (jnp.exp2(grades - above) - jnp.exp2(-above)).astype(jnp.float32)


def _first_column(docid_rows: Int[Array, "N"], rows: Int[Array, "*S"]) -> Int[Array, "*S"]:
    """The column where each row first occurs in the batch; N where it does not occur, and for padding."""
    docid_rows, size = jnp.asarray(docid_rows), len(docid_rows)
    order = jnp.argsort(docid_rows, stable=True)
    in_order = docid_rows[order]
    place = jnp.minimum(jnp.searchsorted(in_order, rows), size - 1)
    return jnp.where((in_order[place] == rows) & (rows >= 0), order[place], size)
