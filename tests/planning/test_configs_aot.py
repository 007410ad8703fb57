"""The training step of every config that is to run on a pod, lowered for that pod's mesh from its shapes: the model
traces, the batch divides, every array has its place. Six of them are compiled in `test_planning_aot.py`."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "configs"))
from config_pairs import ON_PODS

from gr2_jax.planning.lowered_steps import judged_of, lowered_step, step_of
from gr2_jax.training.mesh import make_mesh

pytestmark = pytest.mark.tpu_aot
TOPOLOGIES = {
    "v5e_16": ("v5e:4x4", 1),
    "v5e_256": ("v5e:16x16", 1),
    "v5e_128_x2": ("v5e:8x16", 2),
    "v5p_128": ("v5p:4x4x4", 1),
    "a100_8": ("v5e:2x4", 1),  # eight devices of any kind: lowering does not depend on it
    "h100_8": ("v5e:2x4", 1),
}


@pytest.fixture(scope="module")
def devices():
    pytest.importorskip("libtpu")
    from gr2_jax.planning.topology import devices_of, prepare_environment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", __import__("os").environ)
        prepare_environment()
        yield {name: devices_of(*topology) for name, topology in TOPOLOGIES.items()}


_LOWERED = {}


@pytest.mark.parametrize("pair", ON_PODS, ids=lambda pair: pair.id)
def test_its_step_is_lowered_for_its_pod(pair, devices):
    config, pod = pair.load(), ON_PODS[pair]
    step, judged, mesh = step_of(config), judged_of(config), make_mesh(config.mesh, devices[pod])
    same = repr((step, judged, mesh.shape))
    if same not in _LOWERED:
        _, lowered = lowered_step(step, judged, mesh)
        _LOWERED[same] = lowered.as_text().count("sharding_constraint")
    assert _LOWERED[same] > 50
