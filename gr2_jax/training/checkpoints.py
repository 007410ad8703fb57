"""Checkpoints of a training run: params, opt_state and meta as separate orbax items, atomic, newest kept."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from gr2_jax.errors import UserError
from gr2_jax.training.mesh import data_mesh, replicated


class Checkpoints:
    """`directory`/<step>/{params,opt_state,meta}; a save killed half-way is never seen by `restore`."""

    def __init__(self, directory: Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def save(self, step: int, params: Any, opt_state: Any, meta: dict) -> None:
        self._manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(params),
                opt_state=ocp.args.StandardSave(opt_state),
                meta=ocp.args.JsonSave(meta),
            ),
        )

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def restore(self, params: Any, opt_state: Any) -> tuple[Any, Any, dict]:
        """The newest (params, opt_state, meta), with the shapes and shardings of the given trees."""
        restored = self._manager.restore(
            self.latest_step(),
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(params),
                opt_state=ocp.args.StandardRestore(opt_state),
                meta=ocp.args.JsonRestore(),
            ),
        )
        return restored.params, restored.opt_state, restored.meta

    def close(self) -> None:
        self._manager.close()


def checkpoint_steps(directory: Path) -> list[int]:
    """The steps of the whole checkpoints in `directory`, ascending."""
    return sorted(ocp.utils.checkpoint_steps(directory)) if directory.is_dir() else []


def restore_params(directory: Path, template: Any, step: int | None = None) -> tuple[Any, dict]:
    """(params, meta) of the checkpoint of `step`, or the newest, alone: what evaluation needs, on every device.

    `template` (arrays or their shapes) gives structure, shapes and dtypes; what else was trained stays on disk. Raises
    `UserError` where no checkpoint is, or none of that step.
    """
    if not directory.is_dir():
        raise UserError(f"there is no checkpoint in {directory}: train first")
    with ocp.CheckpointManager(directory.absolute()) as manager:
        if manager.latest_step() is None:
            raise UserError(f"there is no whole checkpoint in {directory}: train first")
        if step is not None and step not in manager.all_steps():
            there = ", ".join(map(str, sorted(manager.all_steps())))
            raise UserError(f"{directory} has no checkpoint of step {step}: there are those of {there}")
        step = manager.latest_step() if step is None else step
        # here, and not on the devices that it was saved from, which may be others
        here = replicated(data_mesh())
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), template)
        restored = manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.PyTreeRestore(
                    abstract,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
                    partial_restore=True,
                ),
                meta=ocp.args.JsonRestore(),
            ),
        )
        return restored.params, restored.meta
