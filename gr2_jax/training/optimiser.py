"""The optimisers, by name."""

from typing import Literal

import optax

from gr2_jax.errors import UserError, nearest

Kind = Literal["adam", "adafactor"]


def make_optimiser(
    kind: Kind = "adam", *, steps: int, learning_rate: float, warmup_steps: int, b2: float, weight_decay: float
) -> optax.GradientTransformation:
    """Linear warm-up and cosine decay to 1% of the rate over `steps`, of

    adam        with decoupled weight decay (the paper's)
    adafactor   T5's own: the rate is relative to a parameter's size, and of the second moments only the means of
                rows and columns are kept, of the first none; it has no use for `b2`

    Raises `UserError` for another kind.
    """
    warmup = min(warmup_steps, max(steps - 1, 0))
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, steps, 0.01 * learning_rate)
    if kind == "adam":
        return optax.adamw(rate, b2=b2, weight_decay=weight_decay)
    if kind == "adafactor":
        return optax.adafactor(rate, weight_decay_rate=weight_decay or None)
    raise UserError(f"the optimiser is '{kind}': {nearest(kind, ('adam', 'adafactor'))}")
