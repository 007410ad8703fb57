"""One training step: jitted, donated and sharded; the first non-finite loss or gradient freezes the state for good."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.training.compiler_options import compiler_options
from gr2_jax.training.mesh import replicated, using
from gr2_jax.training.partition import place_like_params, place_params

Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
"""(parameters, batch, random key) -> (loss, its parts by name).

Parts are scalars, except `finite_rows` [B], by which a loss reports which queries of the batch gave finite numbers.
"""


class State(NamedTuple):
    """The state before or after a step. `last_finite_step` counts the steps done; it freezes at the first non-finite
    step, after which no parameter changes."""

    params: Any
    opt_state: Any
    last_finite_step: Int[Array, ""]


class Report(NamedTuple):
    """The state's `last_finite_step`, and the loss with its parts before the update."""

    last_finite_step: Int[Array, ""]
    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    parts: dict[str, Float[Array, ""]]
    finite_rows: Bool[Array, "B"] | None


@dataclasses.dataclass(frozen=True)
class Step:
    """`step(state, batch, number)` -> (state, report), with every array placed by `gr2_jax.training.partition`.

    The random key of a step is a function of the seed and the step number. The given state is donated.
    """

    loss: Loss
    optimiser: optax.GradientTransformation
    seed: int
    mesh: Mesh
    params: Any
    """The shapes of the parameters, or the parameters."""

    @functools.cached_property
    def shapes(self) -> State:
        params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), self.params)
        return State(params, jax.eval_shape(self.optimiser.init, params), jax.ShapeDtypeStruct((), jnp.int32))

    @functools.cached_property
    def shardings(self) -> State:
        params = place_params(self.shapes.params, self.mesh)
        return State(
            params, place_like_params(self.shapes.opt_state, self.shapes.params, params), replicated(self.mesh)
        )

    @property
    def abstract(self) -> State:
        """Shapes with their shardings, for restoring a checkpoint and for compiling ahead of time."""
        return jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), self.shapes, self.shardings
        )

    def start(self, params: Any) -> State:
        """The state before step 0; every process gives the same parameters."""

        def place(value: Any, sharding) -> jax.Array:
            value = np.asarray(value)
            # a copy, since the step donates its arguments, and only on the devices that hold it
            return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index].copy())

        params = jax.tree.map(place, params, self.shardings.params)
        init = jax.jit(self.optimiser.init, out_shardings=self.shardings.opt_state)
        return self.resume(params, init(params), 0)

    def resume(self, params: Any, opt_state: Any, number: int) -> State:
        """The state before step `number`, from a checkpoint."""
        last_finite_step = jax.make_array_from_callback((), self.shardings.last_finite_step, lambda _: np.int32(number))
        return State(params, opt_state, last_finite_step)

    def __call__(self, state: State, batch: dict[str, Array], number: int) -> tuple[State, Report]:
        with using(self.mesh):
            return self.compiled(state, batch, np.int32(number))

    @functools.cached_property
    def compiled(self) -> Callable:
        whole = replicated(self.mesh)
        shardings, options = (self.shardings, whole), compiler_options(self.mesh)
        return jax.jit(self._update, donate_argnums=0, out_shardings=shardings, compiler_options=options)

    def _update(self, state: State, batch: dict[str, Array], number: Int[Array, ""]) -> tuple[State, Report]:
        rng = jax.random.fold_in(jax.random.key(self.seed, impl="rbg"), number)
        (loss, parts), gradients = jax.value_and_grad(self.loss, has_aux=True)(state.params, batch, rng)
        # sharded like the parameters before the optimiser reads them: each device needs only what it updates
        gradients = jax.lax.with_sharding_constraint(gradients, self.shardings.params)
        norm = optax.global_norm(gradients)
        sound = jnp.isfinite(loss) & jnp.isfinite(norm) & (state.last_finite_step == number)
        updates, opt_state = self.optimiser.update(gradients, state.opt_state, state.params)
        moved = optax.apply_updates(state.params, updates), opt_state
        params, opt_state = jax.tree.map(lambda new, old: jnp.where(sound, new, old), moved, state[:2])
        last_finite_step = state.last_finite_step + sound.astype(jnp.int32)
        parts = dict(parts)
        rows = parts.pop("finite_rows", None)
        return State(params, opt_state, last_finite_step), Report(last_finite_step, loss, norm, parts, rows)
