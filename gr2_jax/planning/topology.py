"""The chips of a TPU pod, or of hosts of GPUs, as JAX devices to compile for, without them."""

import importlib.util
import os

from gr2_jax.errors import NotInstalled, UserError, install
from gr2_jax.planning import gpus
from gr2_jax.training.chips import chip_of

_TPU_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # the last two only silence warnings
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def prepare_environment(topology: str = "v5e:4x4") -> None:
    """Sets the compiler for this topology to run without its chips and not to look for them; call it before JAX is
    used. Raises `UserError` for a topology that is none."""
    os.environ |= gpus.ENVIRONMENT if chip_of(topology).is_gpu else _TPU_ENVIRONMENT


def devices_of(topology: str, slices: int = 1) -> list:
    """The devices of a topology such as `v5e:16x16` or `h100:8`, or of several TPU slices of that shape.

    Raises:
        NotInstalled: The compiler is missing.
        UserError: It does not know the topology.
    """
    if chip_of(topology).is_gpu:
        return gpus.gpu_devices(topology)
    if importlib.util.find_spec("libtpu") is None:
        raise NotInstalled(f"planning needs the TPU's compiler: {install('tpu')}")
    from jax.experimental import topologies

    several = {"num_slices": slices} if slices > 1 else {}
    try:
        return list(topologies.get_topology_desc(platform="tpu", topology_name=topology, **several).devices)
    except Exception as error:  # libtpu raises many kinds
        raise UserError(f"--topology {topology} is not available: {' '.join(str(error).split())[:200]}") from error
