"""What XLA is told when it compiles a program, by the platform that runs it. Measured, or left out.

gpu: products go to cuBLAS, not to Triton. On an H200 a training step of T5-base takes 222.5 ms instead of 228.1 and
compiles in 17 s instead of 61, of which most went into trying tilings (tests/benchmarks/RESULTS.md).
"""

from jax.sharding import Mesh

_OPTIONS: dict[str, dict[str, bool | int | str]] = {"gpu": {"xla_gpu_enable_triton_gemm": False}}


def compiler_options(mesh: Mesh) -> dict[str, bool | int | str] | None:
    """For `jax.jit` of a program that runs on this mesh."""
    return _OPTIONS.get(mesh.devices.flat[0].platform)
