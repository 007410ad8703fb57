"""The paper's objectives as pure functions on arrays: import them alone, into any JAX code.

Every function computes in float32 whatever the dtype of its inputs, works under `jit`, `grad` and `vmap` (reverse mode:
no `jvp` or `hessian` of embeddings), on one device or a mesh. Option strings, `num_grades` and the presence of optional
arrays are static under `jit`. Outside of `jit` values that would make a loss NaN raise `UserError`; no function reads
traced ones.

Grades are integers: 0 = not relevant or padding, `num_grades` = the most relevant.
"""

from gr2_jax.losses.chunked import chunked_mgcc_loss
from gr2_jax.losses.contrastive import supervised_contrastive_loss
from gr2_jax.losses.cross_entropy import graded_cross_entropy_loss
from gr2_jax.losses.fusion import distinctness_loss, relevance_loss
from gr2_jax.losses.grades import exponential_gains, grade_matrix, judged_columns, own_occurrences
from gr2_jax.losses.lambdarank import lambdarank_loss
from gr2_jax.losses.likelihood import (
    graded_likelihood_loss,
    indexing_loss,
    label_smoothed_nll,
    nll_of_statistics,
    query_likelihood_loss,
)
from gr2_jax.losses.margin import margin_loss
from gr2_jax.losses.mgcc import mgcc_from_scores, mgcc_loss
from gr2_jax.losses.mgcc_parts import MgccParts, mgcc_parts
from gr2_jax.losses.microbatches import in_microbatches
from gr2_jax.losses.penalty import learnable_penalty, penalty_parameters, penalty_prior
from gr2_jax.losses.self_negatives import self_negative_loss
from gr2_jax.losses.similarity import scaled_similarities

__all__ = [
    "mgcc_loss",
    "mgcc_parts",
    "MgccParts",
    "mgcc_from_scores",
    "chunked_mgcc_loss",
    "supervised_contrastive_loss",
    "graded_cross_entropy_loss",
    "lambdarank_loss",
    "margin_loss",
    "scaled_similarities",
    "grade_matrix",
    "judged_columns",
    "own_occurrences",
    "exponential_gains",
    "in_microbatches",
    "learnable_penalty",
    "penalty_parameters",
    "penalty_prior",
    "relevance_loss",
    "distinctness_loss",
    "label_smoothed_nll",
    "nll_of_statistics",
    "query_likelihood_loss",
    "graded_likelihood_loss",
    "indexing_loss",
    "self_negative_loss",
]
