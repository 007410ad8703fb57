"""What happens beside the steps of a training."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """checkpoint_seconds, checkpoint_steps    a checkpoint at least so often, by the first host's clock (which is
                    looked at every 20 steps) and by count; 0 steps: by the clock alone
    profile         first step of a window under JAX's profiler, and the one after its last; empty: none
    watchdog_seconds    without a step, after which the host that is late is named; 0: never
    ahead           batches made before they are needed
    """

    checkpoint_seconds: float = 20.0
    checkpoint_steps: int = 0
    profile: tuple[int, ...] = ()
    watchdog_seconds: float = 300.0
    ahead: int = 1
