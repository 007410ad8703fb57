"""MGCC, the multi-graded constrained contrastive loss (Eq. 4-9)."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.checks import check_choice, check_judgements, check_shape
from gr2_jax.losses.per_grade import graded_loss
from gr2_jax.losses.reduction import Reduction
from gr2_jax.losses.similarity import Similarity, masked_log_softmax, scaled_similarities

Penalty = Literal["rank", "grade"] | Float[Array, "L"]
Constraint = Literal["running_max", "literal", "off"]


def mgcc_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    temperature: float | Float[Array, ""] = 0.1,
    penalty: Penalty = "rank",
    constraint: Constraint = "running_max",
    similarity: Similarity = "cosine",
    docid_mask: Bool[Array, "N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """The multi-graded constrained contrastive loss, Eq. 9.

    For query q and each docid of the batch with grade l > 0, the pair loss is -l_pair >= 0 (Eq. 4):

        l_pair(q,id) = log [ exp(sim(f_q,f_id)/τ) / Σ_a exp(sim(f_q,f_a)/τ) ],  a over all docids of the batch.

    The constraint gives the final pair losses; they are averaged within each grade, weighted by the penalty λ_l, summed
    over the grades and divided by the number of grades that q has; then the mean over queries that have a positive. A
    batch without positives gives 0 with zero gradients. With num_grades=1 this is `supervised_contrastive_loss` exactly
    (penalty "rank" or "grade").

    Args:
      query_embeddings: f_q, one row per query of the batch (Eq. 5, 7).
      docid_embeddings: f_id, one row per docid of the batch (Eq. 6, 7). Decoder states depend on the query they were
        decoded against: each docid's row comes from its own query, also where it serves another query as a negative.
      grades: 0 = not relevant to this query (a negative), 1..num_grades = relevant, highest = most relevant. A docid
        that is judged for several queries has its grade in each of their rows; `grade_matrix` makes this matrix. A
        query with a grade above num_grades makes the loss NaN.
      num_grades: L, the best grade of the data set's scale, whether or not the batch has it.
      temperature: τ.
      penalty: "rank": λ_l = 1/r², r = L - l + 1, so that the best grade has the largest weight (the paper's intent).
        "grade": λ_l = 1/l², the paper's letter. Or λ itself, λ_l at index l - 1.
      constraint: "running_max": a pair loss becomes the larger of itself and the largest pair loss of ALL higher grades
        of its query, so no higher grade has a larger loss than a lower one (the paper's intent). Where this binds, the
        gradient goes to the higher grade's pair. "literal": the paper's letter, -max(l_pair, largest l_pair of grade
        l + 1), which lowers losses; an empty grade l + 1 binds nothing. "off": the pair losses as they are.
      similarity: "cosine", or "dot" as the paper writes.
      docid_mask: False excludes a docid (padding, a duplicate) as a positive and from the denominator. All docids
        without it.
      reduction: "mean", or "sum" over queries (the paper's form).

    Raises:
      UserError: an unknown option, or arrays whose shapes do not fit together.
    """
    weights = grade_penalties(penalty, num_grades)
    logits = scaled_similarities(query_embeddings, docid_embeddings, temperature=temperature, similarity=similarity)
    check_judgements(logits, grades, docid_mask)
    grades = mask_grades(grades, docid_mask)
    losses = constrain(-masked_log_softmax(logits, docid_mask), grades, num_grades, constraint)
    return graded_loss(losses, grades, num_grades=num_grades, grade_weights=weights, reduction=reduction)


def mask_grades(grades: Int[Array, "B N"], docid_mask: Bool[Array, "N"] | None) -> Int[Array, "B N"]:
    """The grades, with 0 for every excluded docid."""
    return grades if docid_mask is None else jnp.where(docid_mask, grades, 0)


def grade_penalties(penalty: Penalty, num_grades: int) -> Float[Array, "L"]:
    """λ_l at index l - 1. Raises UserError for an unknown name or a vector that is not [num_grades]."""
    grade = jnp.arange(1, num_grades + 1, dtype=jnp.float32)
    if isinstance(penalty, str):
        check_choice("penalty", penalty, ("rank", "grade", "equal"))
        if penalty == "equal":
            return jnp.ones(num_grades)
        return 1.0 / jnp.square(num_grades - grade + 1 if penalty == "rank" else grade)
    vector = jnp.asarray(penalty, dtype=jnp.float32)
    check_shape("penalty", vector, (num_grades,))
    return vector


def constrain(
    pair_losses: Float[Array, "B N"], grades: Int[Array, "B N"], num_grades: int, constraint: Constraint
) -> Float[Array, "B N"]:
    """The pair losses after the grade constraint of Eq. 9; entries of grade 0 pass as they are.

    Raises UserError for an unknown constraint.
    """
    check_choice("constraint", constraint, ("running_max", "literal", "off"))
    if constraint == "off":
        return pair_losses
    final = pair_losses
    higher = jnp.full_like(pair_losses[..., :1], -jnp.inf if constraint == "running_max" else jnp.inf)
    for l in range(num_grades, 0, -1):
        of_grade = grades == l
        if constraint == "running_max":
            final = jnp.where(of_grade, jnp.maximum(pair_losses, higher), final)
            largest = jnp.max(jnp.where(of_grade, pair_losses, -jnp.inf), axis=-1, keepdims=True)
            higher = jnp.maximum(higher, largest)
        else:  # -max(l_pair, max l_pair) = min(loss, min loss)
            final = jnp.where(of_grade, jnp.minimum(pair_losses, higher), final)
            higher = jnp.min(jnp.where(of_grade, pair_losses, jnp.inf), axis=-1, keepdims=True)
    return final
