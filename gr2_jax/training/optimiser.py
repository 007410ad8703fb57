"""The optimisers, by name."""

import dataclasses
from typing import Literal

import optax

from gr2_jax.errors import check_above_zero, check_choices, check_least, check_share


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """An optimiser with linear warm-up and cosine decay to 1% of its learning rate.

    steps            of the training, over which the rate decays
    learning_rate    after the warm-up, the largest
    warmup_steps     over which the rate rises from 0
    b2               Adam's decay of the second moments
    weight_decay     decoupled, per step, times the rate
    kind             "adam", with decoupled weight decay (the paper's); "adafactor", T5's own: the rate is relative to a
                     parameter's scale; it keeps row and column means of the second moments and no first moments; `b2`
                     is unused
    """

    steps: int = 1000
    learning_rate: float = 1e-2
    warmup_steps: int = 25
    b2: float = 0.98
    weight_decay: float = 0.0
    kind: Literal["adam", "adafactor"] = "adam"

    def __post_init__(self):
        check_choices(self)
        check_least(self, 1, "steps")
        check_above_zero(self, "learning_rate")
        check_least(self, 0, "warmup_steps", "weight_decay")
        check_share(self, "b2")


def make_optimiser(config: OptimiserConfig) -> optax.GradientTransformation:
    """The optimiser with its schedule."""
    warmup = min(config.warmup_steps, max(config.steps - 1, 0))
    peak = config.learning_rate
    rate = optax.warmup_cosine_decay_schedule(0.0, peak, warmup, config.steps, 0.01 * peak)
    if config.kind == "adam":
        return optax.adamw(rate, b2=config.b2, weight_decay=config.weight_decay)
    return optax.adafactor(rate, weight_decay_rate=config.weight_decay or None)
