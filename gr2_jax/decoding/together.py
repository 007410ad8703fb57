"""Loops and choices that the devices of a mesh axis make together, because they exchange something within."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

State = TypeVar("State")


def while_any(
    goes_on: Callable[[State], Bool[Array, ""]], advance: Callable[[State], State], state: State, axis: str | None
) -> State:
    """`lax.while_loop`, or with an axis one that all its devices repeat until none of them goes on. A device that does
    not go on keeps its state, so that its result does not depend on the others."""
    if axis is None:
        return lax.while_loop(goes_on, advance, state)

    def both(state: State) -> tuple[State, Bool[Array, ""], Bool[Array, ""]]:
        own = goes_on(state)
        return state, own, lax.pmax(own.astype(jnp.int32), axis) > 0

    def step(loop: tuple[State, Bool[Array, ""], Bool[Array, ""]]):
        before, own, _ = loop
        return both(jax.tree.map(lambda new, old: jnp.where(own, new, old), advance(before), before))

    return lax.while_loop(lambda loop: loop[2], step, both(state))[0]


def most_of_all(number: Int[Array, ""], axis: str | None) -> Int[Array, ""]:
    """The largest of the devices' numbers; without an axis, the device's own."""
    return number if axis is None else lax.pmax(number, axis)
