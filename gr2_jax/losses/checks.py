"""Checks of what is known while tracing, option names and shapes, and of values where they can be read.

A value that would make a loss NaN is refused outside of `jit`; a traced one has no value yet, and the loss is NaN.
"""

import operator
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.errors import UserError, nearest


def check_choice(name: str, value: str, valid: Iterable[str]) -> None:
    """Raises UserError unless `value` is one of `valid`."""
    if value not in valid:
        raise UserError(f"{name}={value!r} is not known: {nearest(str(value), valid)}")


def check_array(name: str, value: Any) -> None:
    """Raises UserError for a list or another framework's tensor in place of an array."""
    if not hasattr(value, "dtype") or not hasattr(value, "astype"):
        raise UserError(f"{name} is a {type(value).__name__}: give an array of JAX or NumPy")


def check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    """Raises UserError unless `array` has exactly this shape: a smaller one would broadcast into a wrong loss."""
    check_array(name, array)
    if array.shape != expected:
        raise UserError(f"{name} has shape {array.shape}, but the other arguments need {expected}")


def check_judgements(scores: Array, grades: Array, docid_mask: Array | None) -> None:
    """Raises UserError unless the grades are shaped like the [B,N] scores, and the mask like one row of them."""
    check_array("scores", scores)
    check_shape("the [B,N] matrix of judgements", grades, scores.shape)
    if docid_mask is not None:
        check_shape("docid_mask", docid_mask, scores.shape[-1:])


def check_embeddings(query_embeddings: Float[Array, "B D"], docid_embeddings: Float[Array, "N D"]) -> None:
    """Raises UserError unless both are matrices of equally long vectors."""
    both = {"query_embeddings": query_embeddings, "docid_embeddings": docid_embeddings}
    for name, array in both.items():
        check_array(name, array)
        if array.ndim != 2:
            raise UserError(f"{name} has shape {array.shape}: it must be a matrix with a vector in each row")
    query_width, docid_width = query_embeddings.shape[1], docid_embeddings.shape[1]
    if query_width != docid_width:
        raise UserError(
            f"query_embeddings are vectors of {query_width} and docid_embeddings of {docid_width}: both need one width"
        )


def check_temperature(temperature: float | Float[Array, ""]) -> None:
    """Raises UserError for a temperature that is known and not a finite number above 0."""
    value = known_value(temperature)
    if value is not None and not (value.shape == () and np.isfinite(value) and value > 0):
        raise UserError(f"temperature={temperature} must be a number above 0: similarities are divided by it")


def check_scale(grades: Int[Array, "B N"], num_grades: int, docid_mask: Bool[Array, "N"] | None = None) -> None:
    """Raises UserError where num_grades is no whole number of at least 1 and, if the grades and the mask are known, for
    a grade above it."""
    check_num_grades(num_grades)
    known = _known_grades(grades, docid_mask)
    highest = 0 if known is None else np.max(known, initial=0)
    if highest > num_grades:
        raise UserError(
            f"a grade is {highest} and num_grades={num_grades}: it must be at least the highest grade; number the "
            "different grades from 1"
        )


def check_positives(
    grades: Int[Array, "B N"], max_positives: int | None, docid_mask: Bool[Array, "N"] | None = None
) -> None:
    """Raises UserError for a `max_positives` below 1 and, if the grades and the mask are known, for a query with more
    relevant docids than that."""
    if max_positives is None:
        return
    if max_positives < 1:
        raise UserError(f"max_positives={max_positives} must be at least 1, or None")
    known = _known_grades(grades, docid_mask)
    most = 0 if known is None else np.max(np.sum(known > 0, axis=-1), initial=0)
    if most > max_positives:
        raise UserError(f"a query has {most} relevant docids and max_positives={max_positives}: give at least {most}")


def _known_grades(grades: Int[Array, "B N"], docid_mask: Bool[Array, "N"] | None) -> np.ndarray | None:
    known, kept = known_value(grades), known_value(True if docid_mask is None else docid_mask)
    return None if known is None or kept is None else np.where(kept, known, 0)


def known_value(value: Any) -> np.ndarray | None:
    """The value where it can be read: not while tracing, nor of an array of which other processes hold a part."""
    if isinstance(value, jax.core.Tracer) or (isinstance(value, jax.Array) and not value.is_fully_addressable):
        return None
    return np.asarray(value)


def check_num_grades(num_grades: int) -> None:
    """Raises UserError where num_grades is no whole number of at least 1."""
    if isinstance(num_grades, jax.core.Tracer):
        raise UserError("num_grades is traced: it must be an int, named in static_argnames of jit")
    try:
        operator.index(num_grades)
    except TypeError as error:
        raise UserError(f"num_grades={num_grades!r} must be a whole number") from error
    if num_grades < 1:
        raise UserError(f"num_grades={num_grades} leaves no relevant grade: it must be at least 1")
