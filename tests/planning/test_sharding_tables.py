"""How a T5-base, its gradients and Adam's moments lie on two pods, kept as tables: a change of the rules shows here as
lines. `python tests/planning/test_sharding_tables.py` writes them anew."""

import functools
import math
import sys
from pathlib import Path

import jax
import pytest
from flax import traverse_util
from jax.sharding import AbstractMesh

from gr2_jax.experiment.loading import load_experiment
from gr2_jax.models import GR2, preset
from gr2_jax.pipeline.initial_weights import random_params
from gr2_jax.training.mesh import AXES
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.partition import place_like_params, place_params

ROOT, GOLDEN = Path(__file__).parents[2], Path(__file__).parent / "golden"
PODS = {"v5e_4x4": ("v5e_16", 16), "v5e_16x16": ("v5e_256", 256)}


def table(pod: str) -> str:
    """A line per array of the training state: its path, shape, mesh axes, and the shape on one chip."""
    overlay, chips = PODS[pod]
    config = load_experiment(ROOT / "configs/wikipedia.py", ROOT / f"configs/pods/{overlay}.py")
    mesh = AbstractMesh(config.mesh.sizes(chips), AXES)
    t5 = preset("base", dtype="bfloat16", scan_layers=True)
    params = jax.eval_shape(functools.partial(random_params, GR2(t5), 0))
    shardings = place_params(params, mesh)
    state = jax.eval_shape(make_optimiser(config.retrieval.optimiser).init, params)
    moments = place_like_params(state, params, shardings)
    lines = [f"# {dict(mesh.shape)}"]
    for name, values, places in (("params", params, shardings), ("adam", state[0]._asdict(), moments[0]._asdict())):
        values, places = (traverse_util.flatten_dict({name: x}, sep="/") for x in (values, places))
        for path in sorted(values):
            shape, place = values[path].shape, places[path]
            lines.append("\t".join([path, str(shape), str(tuple(place.spec)), str(place.shard_shape(shape))]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("pod", PODS)
def test_it_lies_as_it_did(pod):
    assert table(pod).splitlines() == (GOLDEN / f"base_{pod}.tsv").read_text().splitlines()


@pytest.mark.parametrize(("pod", "ways"), [("v5e_4x4", 16), ("v5e_16x16", 64)])
def test_a_chip_holds_its_share(pod, ways):
    """Counted from the table itself: parameters and both moments, at most 2% of them whole."""
    whole = held = 0
    for line in (GOLDEN / f"base_{pod}.tsv").read_text().splitlines()[1:]:
        _, shape, _, on_chip = line.split("\t")
        whole += math.prod(eval(shape))
        held += math.prod(eval(on_chip))
    assert whole == pytest.approx(3 * 223e6, rel=0.01)
    assert whole / ways <= held <= whole * (1 / ways + 0.02)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in PODS:
        (GOLDEN / f"base_{name}.tsv").write_text(table(name))
    sys.exit()
