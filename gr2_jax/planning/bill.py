"""The chip-hours of trainings on several topologies, as `gr2 plan` computes them."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gr2_jax.errors import NotInstalled, UserError
from gr2_jax.experiment import Pretraining, Settings
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.planning.overlays import check_division, fitting_overlays
from gr2_jax.planning.plan import Pod, plan_training
from gr2_jax.progress import say

_PRETRAINING = "wikipedia.py"
_SHOWN = ("fits", "chips", "step_seconds", "steps", "hours", "chip_hours")


@dataclasses.dataclass(frozen=True)
class Training:
    """A training that is paid for.

    name        P or S, as the paper calls pre-training and fine-tuning, and the experiment's name
    files       the config and its overlays
    settings    those of the command line
    """

    name: str
    files: Sequence[str]
    settings: Sequence[str] = ()

    def load(self, files: Sequence[str] = ()) -> Settings:
        """The experiment of other files, or of its own."""
        return override(load_experiment(*(files or self.files)), self.settings)


def trainings_of(files: Sequence[str], settings: Sequence[str], pretraining: str | None) -> tuple[Training, ...]:
    """The fine-tuning of a config and, before it, the pre-training of another config: by default of the one beside the
    first, where there is one."""
    beside = Path(files[0]).with_name(_PRETRAINING)
    given = pretraining or (str(beside) if beside.is_file() else None)
    fine_tuning = Training("S", files, settings)
    found = [fine_tuning] if given is None else [Training("P", [given]), fine_tuning]
    loaded = [training.load() for training in found]
    if given is not None and not isinstance(loaded[0], Pretraining):
        raise UserError(f"--pretraining {given} is no pre-training: configs/wikipedia.py is one")
    return tuple(
        dataclasses.replace(training, name=f"{training.name} {experiment.name}")
        for training, experiment in zip(found, loaded, strict=True)
    )


def check_topologies(topologies: Sequence[str]) -> None:
    """Raises `UserError` for a topology that its compiler does not know, and says which ones have no compiler here."""
    for topology in topologies:
        try:
            Pod.of(topology, 1)
        except NotInstalled as missing:
            say(f"{topology} will be left out of the bill: {missing}")


def bill(trainings: Sequence[Training], topologies: Sequence[str], *, quick: bool) -> list[dict[str, Any]]:
    """A line for each training and topology: the figures of the step of the config's first row, on the config's mesh or
    on that of the first overlay for pods which fits. Without the compiler, or such a mesh, it says why it is left
    out."""
    return [_line(training, topology, quick) for topology in topologies for training in trainings]


def _line(training: Training, topology: str, quick: bool) -> dict[str, Any]:
    line = {"training": training.name, "topology": topology}
    try:
        pod = Pod.of(topology, 1)
        overlay, experiment = fitting(training.files, training.settings, pod, training.load)
        ((mesh, figures),) = plan_training(experiment, pod, neighbours=False, quick=quick).items()
    except UserError as error:
        return line | {"left_out": str(error)}
    return line | {"overlay": overlay, "mesh": mesh} | {name: figures[name] for name in _SHOWN}


def fitting(
    files: Sequence[str], settings: Sequence[str], pod: Pod, load: Callable[[Sequence[str]], Settings]
) -> tuple[str | None, Settings]:
    """The overlay for pods that the files need to fit the pod, None where they fit, and what `load` makes of both.
    Raises `UserError` where none of the overlays beside the files does."""
    experiment = load(files)
    try:
        check_division(experiment, len(pod.devices), pod.slices, hosts=pod.chip.is_gpu)
    except UserError:
        found = fitting_overlays(files, settings, len(pod.devices), pod.slices, pod.chip.name) if files else []
        overlay = next((words for words in found if " " not in words), None)  # not one with another size of the model
        if overlay is None:
            raise
        kept = [file for file in files if Path(file).parent.name != Path(overlay).parent.name]
        return overlay, load([*kept, overlay])
    return None, experiment
