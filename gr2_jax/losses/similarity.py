"""Similarity of every row of one array with every row of another, and the log-softmax over it."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gr2_jax.losses.any_mesh import on_any_mesh
from gr2_jax.losses.checks import check_choice, check_embeddings, check_temperature

Similarity = Literal["cosine", "dot"]

_SMALLEST_SQUARED_NORM = 1e-24


def similarity_matrix(
    left: Float[Array, "A D"], right: Float[Array, "C D"], similarity: Similarity
) -> Float[Array, "A C"]:
    """Dot product or cosine of each row of `left` with each row of `right`, in float32.

    The cosine with a vector of length 1e-12 or less is 0, and so is its gradient. Raises UserError for an unknown
    similarity.
    """
    check_choice("similarity", similarity, ("cosine", "dot"))
    left, right = left.astype(jnp.float32), right.astype(jnp.float32)
    return _cosines(left, right) if similarity == "cosine" else _product("ad,cd->ac", left, right)


@on_any_mesh(rows=0)
def scaled_similarities(
    query_embeddings: Float[Array, "B D"],
    docid_embeddings: Float[Array, "N D"],
    *,
    temperature: float | Float[Array, ""] = 0.1,
    similarity: Similarity = "cosine",
) -> Float[Array, "B N"]:
    """sim(f_q, f_id) / τ of Eq. 4, in float32.

    Raises UserError for an unknown similarity, embeddings of different widths, or a temperature that is known and not
    above 0.
    """
    check_embeddings(query_embeddings, docid_embeddings)
    check_temperature(temperature)
    return similarity_matrix(query_embeddings, docid_embeddings, similarity) / jnp.asarray(temperature, jnp.float32)


def masked_log_softmax(logits: Float[Array, "*A C"], mask: Bool[Array, "*#A C"] | None) -> Float[Array, "*A C"]:
    """Log-softmax over the last axis without the entries where `mask` is False (their own result is undefined).

    A finite fill, not -inf, keeps a row without any entry, and its gradient, finite.
    """
    if mask is not None:
        logits = jnp.where(mask, logits, jnp.finfo(logits.dtype).min)
    return jax.nn.log_softmax(logits, axis=-1)


def _product(axes: str, a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    # By default accelerators round the factors; a small temperature would multiply that error.
    return jnp.einsum(axes, a, b, precision=jax.lax.Precision.HIGHEST)


@jax.custom_vjp
def _cosines(left: Float[Array, "A D"], right: Float[Array, "C D"]) -> Float[Array, "A C"]:
    return _product("ad,cd->ac", left, right) * _inverse_length(left) * _inverse_length(right)[:, 0]


def _cosines_forward(left, right):
    return _cosines(left, right), (left, right)


def _cosines_backward(factors, slopes):
    """A dot product's gradients, with the lengths applied to the [A,C] slopes: no unit-length copies are made."""
    left, right = factors
    slopes = slopes * _inverse_length(left) * _inverse_length(right)[:, 0]
    return (
        _across(left, _product("ac,cd->ad", slopes, right)),
        _across(right, _product("ac,ad->cd", slopes, left)),
    )


_cosines.defvjp(_cosines_forward, _cosines_backward)


def _across(vectors: Float[Array, "A D"], slopes: Float[Array, "A D"]) -> Float[Array, "A D"]:
    """The slopes without their part along the vectors: a cosine does not change with a vector's length."""
    along = jnp.sum(vectors * slopes, axis=-1, keepdims=True) * jnp.square(_inverse_length(vectors))
    return slopes - vectors * along


def _inverse_length(vectors: Float[Array, "A D"]) -> Float[Array, "A 1"]:
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    usable = squared > _SMALLEST_SQUARED_NORM
    return jnp.where(usable, jax.lax.rsqrt(jnp.where(usable, squared, 1.0)), 0.0)
