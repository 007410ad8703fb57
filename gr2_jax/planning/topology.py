"""The chips of a TPU pod as JAX devices to compile for, without the pod."""

import importlib.util
import os

from gr2_jax.errors import UserError, install


def prepare_environment() -> None:
    """Sets the TPU compiler to run without a TPU and not to look for one; call it before JAX is used."""
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # the last two only silence warnings
        "TPU_WORKER_HOSTNAMES": "localhost",
    }


def devices_of(topology: str, slices: int = 1) -> list:
    """The devices of a topology such as `v5e:16x16`, or of several slices of that shape.

    Raises:
        UserError: libtpu is not installed, or does not know the topology.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(f"planning needs the TPU's compiler: {install('tpu')}")
    from jax.experimental import topologies

    several = {"num_slices": slices} if slices > 1 else {}
    try:
        return list(topologies.get_topology_desc(platform="tpu", topology_name=topology, **several).devices)
    except Exception as error:  # libtpu raises many kinds
        raise UserError(f"--topology {topology} is not available: {' '.join(str(error).split())[:200]}") from error
