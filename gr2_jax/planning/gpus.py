"""Hosts of NVIDIA GPUs as JAX devices to compile for, without a GPU and without a driver.

The compiler is that of JAX's CUDA plugin. It knows TPUs by name, but a GPU only by its numbers: those that it asks the
driver for where there is one.
"""

import importlib.metadata
import pkgutil
import re
from typing import NamedTuple

from gr2_jax.errors import NotInstalled, UserError, install
from gr2_jax.training.chips import CHIPS, Chip, hosts_and_gpus


class Gpu(NamedTuple):
    """What the compiler must know of a GPU beyond its `Chip`: NVIDIA's white papers and CUDA's table of compute
    capabilities.

    capability       CUDA's compute capability
    accelerated      whether code may use what only this architecture has: "sm_90a"
    cores            streaming multiprocessors
    lanes            float32 lanes of a core
    shared           bytes of shared memory of a core
    shared_of_block  bytes of it that a block of threads may ask for
    l2               bytes of the level-2 cache
    clock            GHz, boosted
    """

    capability: tuple[int, int]
    accelerated: bool
    cores: int
    lanes: int
    shared: int
    shared_of_block: int
    l2: int
    clock: float


GPUS = {
    "a100": Gpu((8, 0), False, 108, 64, 167_936, 166_912, 40 * 2**20, 1.41),
    "h100": Gpu((9, 0), True, 132, 128, 233_472, 232_448, 50 * 2**20, 1.98),
    "h200": Gpu((9, 0), True, 132, 128, 233_472, 232_448, 50 * 2**20, 1.98),
}
_CUDNN = (9, 10)  # a version that knows all of these
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",  # so that JAX looks for no GPU
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # only a GPU loads what is kept for one
    "TF_CPP_MIN_LOG_LEVEL": "3",  # the compiler complains that there is no driver
}
COMPILER_OPTIONS = {
    # Triton's tiles are chosen by trying them on the GPU. Without one they would be its defaults; cuBLAS's calls, which
    # the GPU would mostly choose, need no choice here.
    "xla_gpu_enable_triton_gemm": False,
    # How good the machine code is changes neither memory nor collectives, and it is never run.
    "xla_backend_optimization_level": 0,
    "xla_gpu_disable_gpuasm_optimizations": True,
}


def gpu_devices(topology: str) -> list:
    """The devices of a topology such as `h100:8` or `h100:4x8`, host by host.

    Raises:
        NotInstalled: The CUDA plugin is missing.
        UserError: It does not know the GPU.
    """
    if not _plugins():
        raise NotInstalled(f"planning for GPUs needs JAX's CUDA plugin: {install('cuda')}")
    from jax.experimental import topologies

    chip, (hosts, gpus) = CHIPS[topology.split(":")[0]], hosts_and_gpus(topology)
    try:
        found = topologies.get_topology_desc(
            platform="cuda",
            topology=f"{hosts} x 1 x {gpus}",  # processes of one GPU each would be "hosts x GPUs x 1"
            target_config=target_config(chip),
        )
    except Exception as error:  # the plugin raises many kinds
        raise UserError(f"--topology {topology} is not available: {' '.join(str(error).split())[:200]}") from error
    return list(found.devices)


def target_config(chip: Chip) -> str:
    """The GPU's numbers as the compiler reads them: a `GpuTargetConfigProto` of XLA in text form."""
    gpu = GPUS[chip.name]
    feature = " feature_extension: ACCELERATED_FEATURES" * gpu.accelerated
    device = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "threads_per_core_limit": 2048,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "registers_per_core_limit": 2**16,
        "registers_per_block_limit": 2**16,
        "shared_memory_per_block": 48 * 2**10,  # without asking for more
        "shared_memory_per_block_optin": gpu.shared_of_block,
        "shared_memory_per_core": gpu.shared,
        "core_count": gpu.cores,
        "fpus_per_core": gpu.lanes,
        "l2_cache_size": gpu.l2,
        "clock_rate_ghz": gpu.clock,
        "memory_bandwidth": int(chip.bandwidth),
        "device_memory_size": int(chip.hbm),
    }
    numbers = " ".join(f"{name}: {value}" for name, value in device.items())
    major, minor = gpu.capability
    capability = f"cuda_compute_capability {{ major: {major} minor: {minor}{feature} }}"
    return (
        f"gpu_device_info {{ {numbers} {capability} }} "
        f'platform_name: "CUDA" dnn_version_info {{ major: {_CUDNN[0]} minor: {_CUDNN[1]} }} '
        f'device_description_str: "{chip.device_kind}"'
    )


def _plugins() -> list[str]:
    """The modules of JAX's plugins for CUDA 12, 13, ..., where JAX itself looks for them."""
    names = [point.value for point in importlib.metadata.entry_points(group="jax_plugins")]
    try:
        import jax_plugins
    except ModuleNotFoundError:
        pass
    else:
        names += [f"jax_plugins.{module.name}" for module in pkgutil.iter_modules(jax_plugins.__path__)]
    return sorted({name for name in names if re.search(r"cuda\d*$", name)})
