"""A host of 8 H100 GPUs with 80 GB.

gr2 run configs/robust04.py configs/pods/h100_8.py
One process. Parameters are copied to each GPU; those of a 3b or 11b are split. Layers are unrolled up to T5-large: on
one H200 a step of T5-base took 175 ms, scanned 228 (tests/benchmarks/RESULTS.md). Not run here on eight: shapes, the
mesh and the batch are checked, time is not known. Sizes and GR2P come before the pod.
"""

from gr2_jax.experiment import MeshConfig, Settings
from gr2_jax.recipes.overlays import on_mesh


def overlay(experiment: Settings) -> Settings:
    return on_mesh(experiment, MeshConfig(data=8), wide=MeshConfig(data=1, fsdp=8), unrolled=True)
