"""Checkpoints of a training run: params, opt_state and meta as separate orbax items, atomic, asynchronous."""

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep

from gr2_jax.buckets import url_of
from gr2_jax.checksums import check_files, checksums_of
from gr2_jax.errors import UserError, reason_of
from gr2_jax.files import read_json, reading, write_json, writing
from gr2_jax.hosts import is_first, true_on_all
from gr2_jax.models.orbax_border import check_claim, silence
from gr2_jax.progress import say
from gr2_jax.training.mesh import make_mesh, replicated

_NEWEST = 2
_CHECKSUMS = "checksums.json"  # of a step's files

_OF_NO_FILE = (jax.errors.JaxRuntimeError,)  # of a device without room, or of a process that is gone


class Checkpoints:
    """`directory`/<step>/{params,opt_state,meta}; `restore` never sees a save that was killed half-way.

    The two newest checkpoints are kept and, with `best` (the name of a score), the one with the highest score.
    """

    def __init__(self, directory: Path, best: str | None = None):
        kept = [keep.LatestN(_NEWEST)]
        if best is not None:
            # one that was saved when another score was asked for counts as the worst
            kept.append(
                keep.BestN(
                    get_metric_fn=lambda scores: scores.get(best, -math.inf),
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep.AnyPreservationPolicy(kept),
            create=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._write_checksums),
        )
        self._directory, self._saving = directory, -1
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
            self._manager.wait_until_finished()
            self._saving = step
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(params),
                    opt_state=ocp.args.StandardSave(opt_state),
                    meta=ocp.args.JsonSave(meta),
                ),
                metrics=scores,
            )

    def _write_checksums(self) -> None:
        """Orbax's thread calls this when a step's files are whole and before the step gets its name. In Google's
        buckets, which check what they hold, there are no checksums of ours."""
        if is_first():
            # one folder, or also one that a killed save left
            for folder in self._directory.glob(f"{self._saving}{ocp.utils.TMP_DIR_SUFFIX}*"):
                write_json(folder / _CHECKSUMS, checksums_of(folder, _files(folder)))

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def restore(self, params: Any, opt_state: Any) -> tuple[Any, Any, dict]:
        """The newest readable (params, opt_state, meta), with the shapes and shardings of the given trees.

        An unreadable newer checkpoint is reported and deleted. If none is readable, raises `UserError` and deletes
        nothing.
        """
        steps, broken = sorted(self._manager.all_steps(), reverse=True), {}
        for step in steps:
            found, error = None, self._changed(step)
            if true_on_all(error is None):
                try:
                    found = self._restore(step, params, opt_state)
                except _OF_NO_FILE:
                    raise
                except Exception as raised:  # orbax and its storage raise many kinds for a damaged file
                    error = raised
            if true_on_all(found is not None):
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

    def _changed(self, step: int) -> UserError | None:
        """What the first process has against the bytes of a step's files, which every process sees."""
        if is_first():
            try:
                with reading(self._directory / str(step)):
                    _check_files(self._directory / str(step))
            except UserError as error:
                return error
        return None

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
            _check_files(directory / str(at), ("params", "meta"))
            check_claim(place / str(at) / "params", template)
            return _restore_params(manager, at, template, on_host)


def _files(step: Path) -> list[Path]:
    """The files of a step's items; Orbax notes the time beside them later."""
    return [path for item in step.iterdir() if item.is_dir() for path in item.rglob("*") if path.is_file()]


def _check_files(step: Path, items: tuple[str, ...] = ()) -> None:
    """Raises `UserError` where a file of the step, or of these items of it, is no longer what was saved. An earlier
    version noted no checksums."""
    if url_of(step) is not None and place_of(step) == epath.Path(step.absolute()) and not (step / _CHECKSUMS).is_file():
        raise UserError(f"{step} was not wholly sent to the bucket")
    if (step / _CHECKSUMS).is_file():
        noted = read_json(step / _CHECKSUMS)
        check_files(step, {name: noted[name] for name in noted if not items or name.split("/")[0] in items})


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
