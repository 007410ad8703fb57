"""Which of the overlays beside a config makes it fit a pod that it does not fit by itself."""

from collections.abc import Sequence
from pathlib import Path

from jax.sharding import AbstractMesh

from gr2_jax.errors import UserError
from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.planning.lowered_steps import check_mesh
from gr2_jax.training.mesh import AXES

_PODS, _SIZES = "pods", "sizes"  # folders of overlays; sizes come before pods


def fitting_overlays(files: Sequence[str], settings: Sequence[str], devices: int, slices: int, chip: str) -> list[str]:
    """The overlays whose mesh divides the batch and the model of a config over so many devices, the first choice first:
    words of the command line, a pod's file, or a size's and a pod's. Memory is not looked at.

    files       the config and its overlays; another pod's overlay among them is left out
    settings    those of the command line
    chip        the pod's; of several overlays its own come first, and those for as many slices
    """
    folder = _folder_of(files)
    if folder is None:
        return []
    kept = [file for file in files if Path(file).parent.name != _PODS]
    pods = [path for path in sorted((folder / _PODS).glob("*.py")) if not _named(path, files)]

    def choose(before: Sequence[str], word: str) -> list[str]:
        meshes = {pod: _mesh_of([*before, str(pod)], settings, devices, slices) for pod in pods}
        fitting = [pod for pod, mesh in meshes.items() if mesh is not None]
        fitting.sort(key=lambda pod: (not pod.stem.startswith(f"{chip}_"), meshes[pod].replica != slices))
        return [f"{word}{pod}" for pod in fitting]

    if found := choose(kept, ""):
        return found
    config, *overlays = [file for file in kept if Path(file).parent.name != _SIZES]
    sizes = [path for path in sorted((folder / _SIZES).glob("*.py")) if not _named(path, files)]
    return [words for size in sizes for words in choose([config, str(size), *overlays], f"{size} ")]


def _named(path: Path, files: Sequence[str]) -> bool:
    return any(Path(file).resolve() == path.resolve() for file in files)


def _folder_of(files: Sequence[str]) -> Path | None:
    """The folder with the overlays: the config's, the one above it, or `configs`."""
    own = Path(files[0]).parent
    return next((place for place in (own, own.parent, Path("configs")) if (place / _PODS).is_dir()), None)


def _mesh_of(files: Sequence[str], settings: Sequence[str], devices: int, slices: int) -> MeshConfig | None:
    """The mesh of a config; None where it does not fit."""
    try:
        experiment = override(load_experiment(*files), settings)
        check_division(experiment, devices, slices)
    except UserError:
        return None
    return experiment.mesh


def check_division(experiment: Settings, devices: int, slices: int, *, hosts: bool = False) -> None:
    """Raises `UserError` where the config's mesh does not fit so many devices in so many slices, or does not divide the
    batch or the model; no device is needed. The message calls the slices hosts where they are those of GPUs."""
    sizes = experiment.mesh.sizes(devices)
    if sizes[0] % slices:
        parts = "hosts" if hosts else "slices"
        raise UserError(f"--mesh.replica is {sizes[0]} for {slices} {parts}: it must be a multiple of {slices}")
    check_mesh(experiment, AbstractMesh(sizes, AXES))
