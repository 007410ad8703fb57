"""Docids that say nothing of the document: numbers in random order, digit by digit."""

import numpy as np
from jaxtyping import Int

from gr2_jax.errors import UserError


def random_numbers(count: int, *, seed: int, base: int = 10) -> Int[np.ndarray, "N W"]:
    """The digits (int32, the highest first, all numbers of one width) of 0 .. count-1 in an order drawn by the seed.

    These are the naively structured string identifiers of DSI (Tay et al. 2022). Raises UserError for a base below 2.
    """
    numbers = np.arange(count, dtype=np.int32)
    np.random.default_rng(seed).shuffle(numbers)
    return digits(numbers, base=base, width=digits_needed(count, base=base))


def digits_needed(count: int, *, base: int) -> int:
    """The width in which all of 0 .. count-1 can be written, at least 1."""
    if base < 2:
        raise UserError(f"numbers are written in a base of 2 or more, not {base}")
    width = 1
    while base**width < count:
        width += 1
    return width


def digits(numbers: Int[np.ndarray, " N"], *, base: int, width: int) -> Int[np.ndarray, "N W"]:
    """The lowest `width` digits of each number, the highest first, as int32."""
    spelled = np.empty((len(numbers), width), np.int32)
    for place in reversed(range(width)):
        numbers, spelled[:, place] = np.divmod(numbers, base)
    return spelled
