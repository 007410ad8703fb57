"""MGCC, the multi-graded constrained contrastive loss (Eq. 4-9)."""

from typing import Literal, NamedTuple, TypedDict, Unpack

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_choice, check_judgements
from gr2_jax.losses.constraint import Constraint, constrain_means, constrain_pairs
from gr2_jax.losses.pairs import Denominator, Positives, pair_losses, tell_apart
from gr2_jax.losses.penalty import Penalty, penalties_of
from gr2_jax.losses.per_grade import means_and_counts, over_grades
from gr2_jax.losses.reduction import Reduction, reduce_masked
from gr2_jax.losses.similarity import Similarity, scaled_similarities

Bound = Literal["pair", "grade"]


@on_any_mesh()
def mgcc_loss(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    temperature: float | Float[Array, ""] = 0.1,
    penalty: Penalty = "rank",
    constraint: Constraint = "running_max",
    bound: Bound = "pair",
    bound_gradient: bool = True,
    denominator: Denominator = "batch",
    similarity: Similarity = "cosine",
    docid_mask: Bool[Array, "N"] | None = None,
    max_positives: int | None = None,
    reduction: Reduction = "mean",
) -> Float[Array, ""]:
    """The multi-graded constrained contrastive loss, Eq. 9.

    For query q and each docid of the batch with grade l > 0, the pair loss is -l_pair >= 0 (Eq. 4):

        l_pair(q,id) = log [ exp(sim(f_q,f_id)/τ) / Σ_a exp(sim(f_q,f_a)/τ) ],  a over all docids of the batch.

    The constraint turns them into final pair losses, which are averaged within each grade, weighted by the penalty λ_l,
    summed over the grades and divided by the number of grades that q has. The loss is the mean over queries that have a
    positive; a batch without positives gives 0 with zero gradients. With num_grades=1 it equals
    `supervised_contrastive_loss` exactly (denominator "batch", any named penalty).

    Args:
      query_embeddings: f_q, one row per query of the batch (Eq. 5, 7).
      docid_embeddings: f_id, one row per docid of the batch (Eq. 6, 7). It must not have read a query: states of a
        decoder that attends to the query which brought the docid tell a query its own docids without the docid, and
        the loss is then solved without reading any.
      grades: 0 = not relevant to this query (a negative), 1..num_grades = relevant, highest = most relevant. A docid
        that is judged for several queries has its grade in each of their rows; `grade_matrix` makes this matrix. A
        query with a grade above num_grades makes the loss NaN.
      num_grades: L, the best grade of the data set's scale, whether or not it occurs in the batch. Time grows with it:
        number the different grades 1 to L. The penalty, and "grade l + 1" below, mean these numbers.
      temperature: τ.
      penalty: "rank": λ_l = 1/r², r = L - l + 1, so that the best grade has the largest weight (the paper's intent).
        "grade": λ_l = 1/l², as the paper writes it. "equal": 1, the paper's variant -λ. "gain": nDCG's gain 2^l - 1,
        divided by the mean gain of the grades that the query has, so that queries weigh alike. Or a vector with λ_l at
        index l - 1, for example from `learnable_penalty`.
      constraint: "running_max": a loss becomes the larger of itself and the largest loss of ALL higher grades of its
        query, so no higher grade has a larger loss than a lower one (the paper's intent). Where this binds, the
        gradient goes to the higher grade's pair. "literal": as the paper writes it, -max(l_pair, largest l_pair of
        grade l + 1), which lowers losses; an empty grade l + 1 sets no bound. "off": losses unchanged, the paper's
        variant -Max.
      bound: what the constraint compares. "pair": single pair losses, as Eq. 9. "grade": each grade's mean pair loss;
        the published code of HiMulConE also compares whole levels.
      bound_gradient: False stops gradients at the bound: a pair whose loss the bound replaces has no gradient.
      denominator: what Σ_a runs over. "batch": all docids of the batch, as Eq. 4. "negatives": the pair's own docid and
        those not relevant to q, so that no relevant docid repels another. "lower": its own and those of lower grades,
        0 included, so that no docid repels a better one.
      similarity: "cosine", or "dot" as the paper writes.
      docid_mask: False excludes a docid (padding, a duplicate) as a positive and from the denominator; None includes
        all. The embedding of an excluded docid is ignored, but it must be finite.
      max_positives: an upper bound on the relevant docids that a query of this batch has: its own K and those that
        other queries brought; J, the judged documents of a query, is always enough. It changes only the cost: the terms
        above are computed for this many docids instead of all N, which on CPU takes a tenth of the memory and three
        quarters of the time. A query with more makes the loss NaN.
      reduction: "mean", or "sum" over queries (the paper's form).

    Raises:
      UserError: an unknown option, lists in place of arrays, or shapes that do not fit together. Outside of `jit`,
        where values can be read: a temperature that is not above 0, a grade above num_grades, or a query with more
        than max_positives relevant docids. Under `jit` the last two make the loss NaN.
    """
    return mgcc_from_scores(
        scaled_similarities(query_embeddings, docid_embeddings, temperature=temperature, similarity=similarity),
        grades,
        num_grades=num_grades,
        penalty=penalty,
        constraint=constraint,
        bound=bound,
        bound_gradient=bound_gradient,
        denominator=denominator,
        docid_mask=docid_mask,
        max_positives=max_positives,
        reduction=reduction,
    )


class MgccOptions(TypedDict, total=False):
    """The options of `mgcc_loss` that do not concern the scores."""

    penalty: Penalty
    constraint: Constraint
    bound: Bound
    bound_gradient: bool
    denominator: Denominator


@on_any_mesh()
def mgcc_from_scores(
    scores: Float[Array, "B N"],
    grades: Int[Array, "B N"],
    *,
    num_grades: int,
    docid_mask: Bool[Array, "N"] | None = None,
    max_positives: int | None = None,
    reduction: Reduction = "mean",
    **options: Unpack[MgccOptions],
) -> Float[Array, ""]:
    """`mgcc_loss` on given scores sim/τ; the other options are those of `mgcc_loss`."""
    check_judgements(scores, grades, docid_mask)
    positives = tell_apart(scores, grades, num_grades=num_grades, docid_mask=docid_mask, max_positives=max_positives)
    terms = mgcc_terms(positives, num_grades=num_grades, **options)
    return reduce_masked(terms.per_query, jnp.any(positives.grades > 0, axis=-1), reduction)


class MgccTerms(NamedTuple):
    """Eq. 9 before the mean over queries."""

    per_query: Float[Array, "B"]
    means: Float[Array, "B L"]
    """The final mean of each grade, 0 where the query has none of it."""
    counts: Int[Array, "B L"]
    """How many docids of each grade the query has."""
    bound_pairs: Int[Array, "B"]
    """How many of those docids' losses the constraint changes (bound="grade": all of a grade whose mean it changes)."""


def mgcc_terms(
    positives: Positives,
    *,
    num_grades: int,
    penalty: Penalty = "rank",
    constraint: Constraint = "running_max",
    bound: Bound = "pair",
    bound_gradient: bool = True,
    denominator: Denominator = "batch",
) -> MgccTerms:
    """Raises UserError for an unknown option."""
    check_choice("bound", bound, ("pair", "grade"))
    how = {"constraint": constraint, "gradient": bound_gradient}
    pairs = pair_losses(positives, num_grades=num_grades, denominator=denominator)
    if bound == "pair":
        final = constrain_pairs(pairs, positives.grades, num_grades=num_grades, **how)
        means, counts = means_and_counts(final, positives.grades, num_grades)
        bound_pairs = jnp.sum(final != pairs, axis=-1)
    else:
        free, counts = means_and_counts(pairs, positives.grades, num_grades)
        means = constrain_means(free, counts, **how)
        bound_pairs = jnp.sum(jnp.where(means != free, counts, 0), axis=-1)
    weighted = over_grades(means, counts, penalties_of(penalty, counts))
    per_query = jnp.where(positives.valid, weighted, jnp.nan)
    return MgccTerms(per_query, means, counts, bound_pairs)
