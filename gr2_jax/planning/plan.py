"""A plan: the training step of a config and its search, compiled for a pod, and what they would cost."""

import dataclasses
import itertools
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.planning.lowered_steps import judged_of, lowered_step, step_of
from gr2_jax.planning.report import compile_for, training_figures
from gr2_jax.planning.search_step import SearchPlan, search_figures
from gr2_jax.planning.topology import devices_of
from gr2_jax.progress import say
from gr2_jax.training.chips import Chip, chip_of, hosts_and_gpus
from gr2_jax.training.mesh import AXES, make_mesh

GPU_ASSUMPTIONS = (
    "attention is planned without cuDNN, whose programs are made on the GPU: a long text takes less memory and time",
    "all of the GPU's memory is counted: JAX takes three quarters unless XLA_PYTHON_CLIENT_MEM_FRACTION is set",
)


@dataclasses.dataclass(frozen=True)
class Pod:
    """A TPU topology, or hosts of GPUs, to compile for; `slices` are what the network alone joins: hosts, of GPUs."""

    topology: str
    chip: Chip
    devices: list
    slices: int = 1

    @classmethod
    def of(cls, topology: str, slices: int) -> "Pod":
        chip = chip_of(topology)
        if chip.is_gpu:
            if slices > 1:
                raise UserError(
                    f"--slices is {slices}: hosts of GPUs are in --topology, such as {chip.name}:{slices}x8"
                )
            slices = hosts_and_gpus(topology)[0]
        return cls(topology, chip, devices_of(topology, slices), slices)

    @property
    def assumptions(self) -> list[str]:
        """What is planned otherwise than it would run, for want of the chips."""
        return [*GPU_ASSUMPTIONS] if self.chip.is_gpu else []

    @property
    def host(self) -> list:
        """The chips of one host, as a topology of its own."""

        def host_of(device: Any) -> tuple[int, int]:
            return getattr(device, "slice_index", 0), device.process_index

        own = [device for device in self.devices if host_of(device) == host_of(self.devices[0])]
        if self.chip.is_gpu and len(own) < len(self.devices):
            return devices_of(f"{self.chip.name}:{len(own)}")
        shape = {4: "2x2", 8: "2x4"}.get(len(own))
        if len(own) == len(self.devices) or shape is None:
            return own
        chip, whole = self.topology.split(":")
        return devices_of(f"{chip}:{shape}{'x1' * (whole.count('x') - 1)}")


def plan_training(settings: Settings, pod: Pod, *, neighbours: bool, quick: bool) -> dict[str, dict[str, Any]]:
    """The figures of the training step by mesh, the config's own first, and its neighbours where asked for; a mesh that
    divides neither batch nor model has the reason under "refused".

    Raises:
        UserError: The config's own mesh does not fit the pod, the batch or the model.
    """
    own, count = settings.mesh, len(pod.devices)
    results = {name_of(own, count): _figures(settings, pod, own, quick)}
    for mesh in neighbouring(own, count) if neighbours else ():
        try:
            results[name_of(mesh, count)] = _figures(settings, pod, mesh, quick)
        except UserError as error:
            results[name_of(mesh, count)] = {"refused": str(error)}
    return results


def _figures(settings: Settings, pod: Pod, mesh: MeshConfig, quick: bool) -> dict[str, Any]:
    say(f"compiling the training step for {pod.topology}, {name_of(mesh, len(pod.devices))}")
    retrieval = step_of(settings)
    step, lowered = lowered_step(retrieval, judged_of(settings), make_mesh(mesh, pod.devices))
    program = compile_for(lowered, pod.chip, quick=quick)
    return training_figures(step, program, retrieval.flops, pod.chip, retrieval.optimiser.steps)


def plan_search(settings: Settings, pod: Pod, *, documents: int, quick: bool) -> dict[str, Any]:
    """The figures of the constrained search on a host of the pod, in the first way that fits: with whole models, with
    model and trie divided over the host's chips, and then with fewer queries at once; or of the last way."""
    t5, devices = step_of(settings).model.config, pod.host
    ways = [(8, False), *((queries, True) for queries in (8, 4, 2, 1) if len(devices) > 1)]
    for queries, divided in ways:
        say(f"compiling the constrained search, {queries} queries on a chip{', sharded' if divided else ''}")
        figures = search_figures(t5, devices, SearchPlan(queries, divided, documents), pod.chip, quick=quick)
        if figures["fits"]:
            break
    return figures


def name_of(mesh: MeshConfig, devices: int) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in zip(AXES, mesh.sizes(devices), strict=True))


def fastest(results: dict[str, dict[str, Any]]) -> str:
    """By the bound without overlap, which tells meshes apart that compute the same."""
    fitting = {name: one["step_seconds"][1] for name, one in results.items() if one.get("fits")}
    if not fitting:
        return "none of these meshes fits"
    best = min(fitting, key=fitting.get)
    return f"fastest of those that fit: {best}, {1e3 * fitting[best]:,.1f} ms a step"


def neighbouring(mesh: MeshConfig, devices: int) -> list[MeshConfig]:
    """Meshes of as many devices, with one axis twice as long and another half."""
    sizes = dict(zip(AXES, mesh.sizes(devices), strict=True))
    return [
        dataclasses.replace(mesh, **sizes | {longer: sizes[longer] * 2, shorter: sizes[shorter] // 2})
        for longer, shorter in itertools.permutations(("data", "fsdp", "tensor"), 2)
        if sizes[shorter] % 2 == 0
    ]
