"""Chip specifications: Google Cloud's pages on TPU v4, v5e, v5p, v6e (system architecture), NVIDIA's data sheets."""

import dataclasses
import re

from gr2_jax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Chip:
    """hbm          bytes that the compiler may use, of the chip's 16, 32 or 95 GB
    flops        peak bfloat16 FLOPs per second
    bandwidth    memory bandwidth, bytes per second
    links        bandwidth of all links to other chips of the slice together, bytes per second (each way); of a GPU
                 those to the other GPUs of its host
    network      a chip's share of its host's network, which joins slices, or hosts of GPUs, bytes per second (each way)
    device_kind  JAX's name for it
    """

    name: str
    hbm: float
    flops: float
    bandwidth: float
    links: float
    network: float
    device_kind: str

    @property
    def is_gpu(self) -> bool:
        return self.device_kind.startswith("NVIDIA")


_GIB = 2**30
# The network of a v4 is not published: the least of the others. A GPU has a network card of its own (DGX).
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 30.75 * _GIB, 275e12, 1.228e12, 300e9, 3.125e9, "TPU v4"),
        Chip("v5e", 15.75 * _GIB, 197e12, 0.819e12, 200e9, 3.125e9, "TPU v5 lite"),
        Chip("v5p", 95.74 * _GIB, 459e12, 2.765e12, 600e9, 6.25e9, "TPU v5p"),
        Chip("v6e", 31.25 * _GIB, 918e12, 1.64e12, 448e9, 12.5e9, "TPU v6 lite"),
        Chip("a100", 79.1 * _GIB, 312e12, 2.04e12, 300e9, 25e9, "NVIDIA A100-SXM4-80GB"),
        Chip("h100", 79.1 * _GIB, 989e12, 3.35e12, 450e9, 50e9, "NVIDIA H100 80GB HBM3"),
        Chip("h200", 140.0 * _GIB, 989e12, 4.8e12, 450e9, 50e9, "NVIDIA H200"),
    )
}


_GPUS_OF_A_HOST = 8  # that are joined by NVLink


def chip_of(topology: str) -> Chip:
    """The chip of a topology such as `v5e:4x4` or `h100:8`; `UserError` for an unknown chip or a malformed topology."""
    if not re.fullmatch(r"\w+:[1-9]\d*(x[1-9]\d*){0,2}", topology):
        raise UserError(f"--topology is '{topology}': it is written {_FORMS}")
    name, shape = topology.split(":")
    if name not in CHIPS:
        raise UserError(f"--topology is '{topology}': no chip '{name}': {nearest(name, CHIPS)}")
    chip, dimensions = CHIPS[name], shape.count("x") + 1
    if dimensions not in ((1, 2) if chip.is_gpu else (2, 3)):
        raise UserError(f"--topology is '{topology}': it is written {_FORMS}")
    if chip.is_gpu and (gpus := hosts_and_gpus(topology)[1]) > _GPUS_OF_A_HOST:
        raise UserError(
            f"--topology is '{topology}': a host has at most {_GPUS_OF_A_HOST} GPUs, not {gpus}: two hosts are "
            f"{name}:2x{_GPUS_OF_A_HOST}"
        )
    return chip


_FORMS = "chip:shape, such as v5e:4x4 or v5p:8x8x8, or of GPUs chip:hostsxGPUs, such as h100:8 or h100:4x8"


def hosts_and_gpus(topology: str) -> tuple[int, int]:
    """Hosts, and GPUs of each, of a topology of GPUs: `h100:8` is one host, `h100:4x8` are four."""
    *hosts, gpus = topology.split(":")[1].split("x")
    return int(hosts[0]) if hosts else 1, int(gpus)


def peak_flops(device_kind: str) -> float | None:
    """Peak FLOPs per second of the chip that JAX names so; None for an unknown device, such as a CPU."""
    return next((chip.flops for chip in CHIPS.values() if chip.device_kind == device_kind), None)
