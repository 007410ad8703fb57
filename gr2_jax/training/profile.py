"""A window of steps under JAX's profiler, for TensorBoard or XProf."""

from pathlib import Path

import jax

from gr2_jax.progress import say


class Profile:
    """Traces steps `window[0]` to `window[1]` - 1 into `directory`; an empty window traces nothing."""

    def __init__(self, directory: Path, window: tuple[int, ...]):
        self._directory, self._window, self._on = directory, window, False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def before(self, step: int) -> None:
        if self._window and step == self._window[0]:
            jax.profiler.start_trace(str(self._directory))
            self._on = True

    def after(self, step: int, result: object) -> None:
        if self._on and step >= self._window[1]:
            jax.block_until_ready(result)
            self._stop()

    def _stop(self) -> None:
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
            say(f"profile of steps {self._window[0]} to {self._window[1]} in {self._directory}")
