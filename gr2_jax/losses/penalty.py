"""The grade penalty λ of Eq. 9: fixed by rank or by grade, given, learnt, or by the gains of a query's own grades."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gr2_jax.errors import UserError
from gr2_jax.losses.checks import check_array, check_choice, check_num_grades, check_shape, known_value

Penalty = Literal["rank", "grade", "equal", "gain"] | Float[Array, "L"]
_OF_ALL_QUERIES = ("rank", "grade", "equal")


def penalties_of(penalty: Penalty, counts: Int[Array, "B L"]) -> Float[Array, "L"] | Float[Array, "B L"]:
    """The penalties of queries that have `counts` docids of each grade: the same for all or, for "gain", each query's
    own. Raises UserError as `grade_penalties` does."""
    if isinstance(penalty, str):
        check_choice("penalty", penalty, (*_OF_ALL_QUERIES, "gain"))
        if penalty == "gain":
            return _gain_penalties(counts)
    return grade_penalties(penalty, counts.shape[-1])


def _gain_penalties(counts: Int[Array, "B L"]) -> Float[Array, "B L"]:
    """nDCG's gains 2^l - 1, scaled so that those of a query's grades are 1 on average; 0 for grades that it lacks."""
    grade, present = jnp.arange(1, counts.shape[-1] + 1), counts > 0
    best = jnp.max(jnp.where(present, grade, 0), axis=-1, keepdims=True)
    gains = jnp.where(present, jnp.exp2(grade - best) - jnp.exp2(-best), 0.0)  # over 2^best, which may be too large
    total = jnp.sum(gains, axis=-1, keepdims=True)
    return gains * jnp.sum(present, axis=-1, keepdims=True) / jnp.where(total > 0, total, 1.0)


def grade_penalties(penalty: Penalty, num_grades: int) -> Float[Array, "L"]:
    """λ_l at index l - 1: "rank" 1/(L - l + 1)², "grade" 1/l², "equal" 1, or the given vector. In a run l is the number
    of a grade among the different ones judged.

    Raises UserError for an unknown name, a vector that is not [num_grades], or num_grades below 1.
    """
    check_num_grades(num_grades)
    if not isinstance(penalty, str):
        vector = jnp.asarray(penalty, dtype=jnp.float32)
        check_shape("penalty", vector, (num_grades,))
        return vector
    check_choice("penalty", penalty, _OF_ALL_QUERIES)
    grade = jnp.arange(1, num_grades + 1, dtype=jnp.float32)
    return {"rank": 1 / (num_grades - grade + 1) ** 2, "grade": 1 / grade**2, "equal": jnp.ones(num_grades)}[penalty]


def learnable_penalty(parameters: Float[Array, "L"]) -> Float[Array, "L"]:
    """λ from free parameters θ, for `penalty=` of `mgcc_loss`: positive, larger for higher grades, 1 for the best.

        λ_l = Σ_{m<=l} softplus(θ_m) / Σ_{m<=L} softplus(θ_m)

    The paper leaves a learnable penalty open; this form is ours. Minimising the loss alone would drive the lower
    grades' weights to 0: add `penalty_prior` of the result.
    """
    check_array("parameters", parameters)
    weights = jnp.cumsum(jax.nn.softplus(parameters.astype(jnp.float32)))
    return weights / weights[-1]


def penalty_parameters(penalty: Penalty, num_grades: int) -> Float[Array, "L"]:
    """The θ from which `learnable_penalty` starts at this penalty ("rank", or an increasing vector), scaled to λ_L = 1.

    Raises UserError as `grade_penalties` does, and for a penalty that does not increase with the grade; under `jit`
    that gives NaN.
    """
    weights = grade_penalties(penalty, num_grades)
    steps = jnp.diff(weights / weights[-1], prepend=0.0)
    known = known_value(steps)
    if known is not None and not np.all(known > 0):
        raise UserError(f"the penalty {penalty!r} does not increase with the grade, as a learnt one does: use 'rank'")
    return jnp.log(jnp.expm1(jnp.where(steps > 0, steps, jnp.nan)))


def penalty_prior(penalties: Float[Array, "L"]) -> Float[Array, ""]:
    """-mean of log λ_l: at least 0, and 0 where every grade weighs 1.

    With it, the λ_l that minimises λ_l · loss_l - log λ_l is 1/loss_l, as in weighting tasks by their uncertainty
    (Kendall et al., CVPR 2018).
    """
    return -jnp.mean(jnp.log(penalties))
