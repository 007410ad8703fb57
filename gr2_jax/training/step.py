"""One training step: jitted, donated, sharded, and halted for good by the first loss or gradient that is no number."""

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

from gr2_jax.training.mesh import replicated, using
from gr2_jax.training.partition import place_like_params, place_params

FINITE_ROWS = "finite_rows"
"""A loss may tell under this name, beside its scalar parts, which queries of the batch gave finite numbers, [B]."""

Loss = Callable[[Any, dict, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]
"""(parameters, batch, random key) -> (loss, its parts by name)."""


class State(NamedTuple):
    """What a step turns into the next. `good` is the number of the next step, and stays at that of a step which gave no
    number: from then on nothing moves."""

    params: Any
    opt_state: Any
    good: Int[Array, ""]


class Report(NamedTuple):
    """What a step says: the state's `good`, and the loss with its parts before the update."""

    good: Int[Array, ""]
    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    parts: dict[str, Float[Array, ""]]
    finite_rows: Bool[Array, "B"] | None


@dataclasses.dataclass(frozen=True)
class Step:
    """`step(state, batch, number)` -> (state, report), with every array placed by `gr2_jax.training.partition`.

    The random key of a step is a function of the seed and its number. The state given is donated.
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
        """Shapes with their shardings: what a checkpoint is restored into, and what is compiled ahead of time."""
        return jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), self.shapes, self.shardings
        )

    def start(self, params: Any) -> State:
        """The state before step 0; every process gives the same parameters."""

        def place(value: Any, sharding) -> jax.Array:
            value = np.asarray(value)
            # copies, on the devices that hold it alone: the step is donated its arguments
            return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index].copy())

        params = jax.tree.map(place, params, self.shardings.params)
        init = jax.jit(self.optimiser.init, out_shardings=self.shardings.opt_state)
        return self.resume(params, init(params), 0)

    def resume(self, params: Any, opt_state: Any, number: int) -> State:
        """The state before step `number`, from a checkpoint."""
        good = jax.make_array_from_callback((), self.shardings.good, lambda _: np.int32(number))
        return State(params, opt_state, good)

    def __call__(self, state: State, batch: dict[str, Array], number: int) -> tuple[State, Report]:
        with using(self.mesh):
            return self.compiled(state, batch, np.int32(number))

    @functools.cached_property
    def compiled(self) -> Callable:
        whole = replicated(self.mesh)
        return jax.jit(self._update, donate_argnums=0, out_shardings=(self.shardings, whole))

    def _update(self, state: State, batch: dict[str, Array], number: Int[Array, ""]) -> tuple[State, Report]:
        rng = jax.random.fold_in(jax.random.key(self.seed, impl="rbg"), number)
        (loss, parts), gradients = jax.value_and_grad(self.loss, has_aux=True)(state.params, batch, rng)
        # laid out as the parameters before the optimiser reads them: each device needs only what it updates
        gradients = jax.lax.with_sharding_constraint(gradients, self.shardings.params)
        norm = optax.global_norm(gradients)
        sound = jnp.isfinite(loss) & jnp.isfinite(norm) & (state.good == number)
        updates, opt_state = self.optimiser.update(gradients, state.opt_state, state.params)
        moved = optax.apply_updates(state.params, updates), opt_state
        params, opt_state = jax.tree.map(lambda new, old: jnp.where(sound, new, old), moved, state[:2])
        good = state.good + sound.astype(jnp.int32)
        parts = dict(parts)
        rows = parts.pop(FINITE_ROWS, None)
        return State(params, opt_state, good), Report(good, loss, norm, parts, rows)
