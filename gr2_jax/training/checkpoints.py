"""Checkpoints of a training run: params, opt_state and meta as separate orbax items, atomic, asynchronous."""

import operator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from gr2_jax.buckets import url_of
from gr2_jax.errors import Preempted, UserError, reason_of
from gr2_jax.files import reading, writing
from gr2_jax.hosts import true_on_all
from gr2_jax.models.orbax_border import check_claim, silence
from gr2_jax.progress import say
from gr2_jax.training.mesh import make_mesh, replicated

_NEWEST = 2

_OF_NO_FILE = (jax.errors.JaxRuntimeError,)  # of a device without room, or of a process that is gone


class Checkpoints:
    """`directory`/<step>/{params,opt_state,meta}; `restore` never sees a save that was killed half-way.

    The two newest checkpoints are kept and, with `best` (the name of a score), the one with the highest score.
    """

    def __init__(self, directory: Path, best: str | None = None):
        kept = [keep.LatestN(_NEWEST)]
        if best is not None:
            by_score = operator.itemgetter(best)
            kept.append(keep.BestN(get_metric_fn=by_score, n=1, keep_checkpoints_without_metrics=False))
        options = ocp.CheckpointManagerOptions(preservation_policy=keep.AnyPreservationPolicy(kept), create=True)
        self._directory = directory
        silence()
        with writing(directory):
            self._manager = ocp.CheckpointManager(place_of(directory), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        if kind is None:
            self.close()
            return
        with suppress(Exception):  # the error on its way out came first
            self.close()

    def save(self, step: int, params: Any, opt_state: Any, meta: dict, scores: dict | None = None) -> None:
        """Returns once the arrays are copied; a thread writes them to disk. A step already saved stays as it is."""
        if step == self.latest_step():
            return
        with writing(self._directory):
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(params),
                    opt_state=ocp.args.StandardSave(opt_state),
                    meta=ocp.args.JsonSave(meta),
                ),
                metrics=scores,
            )

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def restore(self, params: Any, opt_state: Any) -> tuple[Any, Any, dict]:
        """The newest readable (params, opt_state, meta), with the shapes and shardings of the given trees.

        An unreadable newer checkpoint is reported and deleted. If none is readable, raises `UserError` and deletes
        nothing.
        """
        steps, broken = sorted(self._manager.all_steps(), reverse=True), {}
        for step in steps:
            try:
                found, error = self._restore(step, params, opt_state), None
            except (Preempted, *_OF_NO_FILE):
                raise
            except Exception as raised:  # orbax and its storage raise many kinds for a damaged file
                found, error = None, raised
            if true_on_all(error is None):
                for other in broken:
                    say(f"checkpoint {other} is unreadable and is deleted; resuming from step {step}")
                    self._manager.delete(other)
                return found
            broken[step] = error
        reasons = [reason_of(error) for error in broken.values() if error is not None]
        raise UserError(
            f"no checkpoint in {self._directory} is readable (steps {', '.join(map(str, steps))}); the newest fails "
            f"with: {reasons[0] if reasons else 'another host cannot read it'}"
        )

    def _restore(self, step: int, params: Any, opt_state: Any) -> tuple[Any, Any, dict]:
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                opt_state=ocp.args.StandardRestore(opt_state),
                meta=ocp.args.JsonRestore(),
            ),
        )
        return restored.params, restored.opt_state, restored.meta

    def wait(self) -> None:
        """Blocks until every save is on disk; `UserError` where the disk refuses one."""
        with writing(self._directory):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and frees the threads."""
        with writing(self._directory):
            self._manager.close()


def checkpoint_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints in `directory`, ascending."""
    place = place_of(directory)
    return sorted(ocp.utils.checkpoint_steps(place)) if place.is_dir() else []


def place_of(directory: Path) -> epath.Path:
    """Where Orbax keeps the checkpoints of `directory`: itself or, where it is the copy of a folder in one of Google's
    buckets, that folder, so that every host writes and reads its own parts of the arrays."""
    url = url_of(directory)
    return epath.Path(url if url is not None and url.startswith("gs://") else directory.absolute())


def restore_params(
    directory: Path, template: Any, step: int | None = None, *, on_host: bool = False
) -> tuple[Any, dict]:
    """(params, meta) of the checkpoint at `step` (default: the newest), for evaluation: replicated on every device or,
    with `on_host`, as NumPy arrays of each process, for parameters that no device can hold.

    `template` (arrays or their shapes) gives structure, shapes and dtypes; other trained parameters stay on disk.
    Raises `UserError` if there is no checkpoint, none of that step, or a damaged one.
    """
    place = place_of(directory)
    if not place.is_dir():
        raise UserError(f"there is no checkpoint in {place}: train first")
    silence()
    with reading(place, passing=_OF_NO_FILE), ocp.CheckpointManager(place) as manager:
        at = _existing_step(manager, place, step)
        hint = f"; to train it again, delete {place} and start the run's command"
        with reading(place / str(at), hint, passing=_OF_NO_FILE):
            check_claim(place / str(at) / "params", template)
            return _restore_params(manager, at, template, on_host)


def _existing_step(manager: ocp.CheckpointManager, directory: epath.Path, step: int | None) -> int:
    if manager.latest_step() is None:
        raise UserError(f"there is no complete checkpoint in {directory}: train first")
    if step is not None and step not in manager.all_steps():
        there = ", ".join(map(str, sorted(manager.all_steps())))
        raise UserError(f"{directory} has no checkpoint of step {step}, only of steps {there}")
    return manager.latest_step() if step is None else step


def _restore_params(manager: ocp.CheckpointManager, step: int, template: Any, on_host: bool) -> tuple[Any, dict]:
    # on the devices of this run, which may differ from those that saved it
    here = replicated(make_mesh())
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), template)
    if on_host:
        kinds = jax.tree.map(lambda x: ocp.RestoreArgs(restore_type=np.ndarray, dtype=x.dtype), template)
    else:
        kinds = ocp.checkpoint_utils.construct_restore_args(abstract)
    params = ocp.args.PyTreeRestore(abstract, restore_args=kinds, partial_restore=True)
    restored = manager.restore(step, args=ocp.args.Composite(params=params, meta=ocp.args.JsonRestore()))
    return restored.params, restored.meta
