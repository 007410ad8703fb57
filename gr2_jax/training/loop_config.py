"""Checkpoints, profiling, the watchdog and prefetching of a training run."""

import dataclasses

from gr2_jax.errors import SettingError, check_least


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """What happens beside the steps of a training.

    checkpoint_seconds    longest time between checkpoints, by the first host's clock, read every 20 steps
    checkpoint_steps      an additional checkpoint every this many steps; 0: none
    profile         first step to trace with JAX's profiler, and the step after the last; empty: none
    watchdog_seconds    time without a step after which the late host is named; 0: never
    ahead           batches prepared in advance
    """

    checkpoint_seconds: float = 20.0
    checkpoint_steps: int = 0
    profile: tuple[int, ...] = ()
    watchdog_seconds: float = 300.0
    ahead: int = 1

    def __post_init__(self):
        check_least(self, 0, "checkpoint_seconds", "checkpoint_steps", "watchdog_seconds", "ahead")
        if self.profile and not (len(self.profile) == 2 and 0 <= self.profile[0] < self.profile[1]):
            raise SettingError(self, "profile", f"is {self.profile}: give the first step and the step after the last")
