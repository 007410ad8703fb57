"""Checks of what is known while tracing: option names and shapes."""

from collections.abc import Iterable

from jaxtyping import Array

from gr2_jax.errors import UserError, nearest


def check_choice(name: str, value: str, valid: Iterable[str]) -> None:
    """Raises UserError unless `value` is one of `valid`."""
    if value not in valid:
        raise UserError(f"{name}={value!r} is not known: {nearest(str(value), valid)}")


def check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    """Raises UserError unless `array` has exactly this shape: a smaller one would broadcast into a wrong loss."""
    if array.shape != expected:
        raise UserError(f"{name} has shape {array.shape}, but the other arguments need {expected}")


def check_judgements(scores: Array, grades: Array, docid_mask: Array | None) -> None:
    """Raises UserError unless the grades are shaped like the [B,N] scores, and the mask like one row of them."""
    check_shape("the [B,N] matrix of judgements", grades, scores.shape)
    if docid_mask is not None:
        check_shape("docid_mask", docid_mask, scores.shape[-1:])


def check_num_grades(num_grades: int) -> None:
    """Raises UserError where num_grades is below 1."""
    if num_grades < 1:
        raise UserError(f"num_grades={num_grades} leaves no relevant grade: it must be at least 1")
