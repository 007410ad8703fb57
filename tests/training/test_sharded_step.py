"""Loss and gradients on eight (simulated) devices equal those on one, however parameters and batch are split."""

import json

import jax
import numpy as np
import optax
import pytest
import sharded_cases
import virtual_devices
from sharded_cases import MESHES, STAGES

from gr2_jax.errors import UserError
from gr2_jax.training.mesh import MeshConfig, make_mesh
from gr2_jax.training.step import Step


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """(arrays by `stage-mesh:path`, facts of each case)."""
    path = tmp_path_factory.mktemp("sharded") / "arrays.npz"
    done = virtual_devices.run(8, sharded_cases.__file__, str(path))
    assert "full rematerialization" not in done.stderr  # the compiler's warning of a sharding that it cannot follow
    with np.load(path) as file:
        return dict(file), json.loads(done.stdout)


@pytest.fixture(scope="module", params=STAGES)
def one(request):
    assert jax.device_count() == 1
    return request.param, *sharded_cases.one_step(request.param, MeshConfig())


@pytest.mark.parametrize("mesh", MESHES)
def test_loss_and_gradients_are_those_of_one_device(eight, one, mesh):
    """Float32, to 1e-5 of the largest gradient of a parameter, since sums are taken in another order."""
    stage, loss, gradients, _, _ = one
    arrays, seen = eight
    assert seen["devices"] == 8
    np.testing.assert_allclose(arrays[f"{stage}-{mesh}:loss"], loss, rtol=1e-5)
    for path, gradient in gradients.items():
        found = arrays[f"{stage}-{mesh}:{path}"]
        np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-5 * np.abs(gradient).max(), err_msg=path)
    assert max(np.abs(gradient).max() for gradient in gradients.values()) > 0.01


@pytest.mark.parametrize("stage", STAGES)
def test_the_lowered_step_holds_the_sharding_constraints(eight, stage):
    """The same number on every mesh: those of the model and one per gradient."""
    counts = {mesh: eight[1][f"{stage}-{mesh}"]["constraints"] for mesh in MESHES}
    assert min(counts.values()) == max(counts.values()) > 30, counts


def test_parameters_are_sharded_by_the_rules(eight):
    placed = eight[1]["retrieval-mixed"]["placed"]
    assert placed["t5/embedding/embedding"] == ["tensor", "fsdp"]
    assert placed["t5/encoder/layers/feed_forward/wi/kernel"] == [None, "fsdp", "tensor"]
    assert placed["t5/decoder/layers/cross_attention/out/kernel"] == [None, "tensor", "fsdp"]


def on_mesh(**sizes):
    """The shardings of the retrieval model on a mesh of that shape, without its devices."""
    from jax.sharding import AbstractMesh

    mesh = AbstractMesh(
        tuple({"replica": 1, "data": 1, "fsdp": 1, "tensor": 1, **sizes}.values()), make_mesh().axis_names
    )
    return Step(sharded_cases.LOSSES["retrieval"], optax.adam(0.1), 0, mesh, sharded_cases.start("retrieval")).shardings


def test_adam_s_moments_are_sharded_like_parameters_and_counts_replicated():
    shardings = on_mesh(fsdp=4)
    moments = shardings.opt_state[0]
    assert moments.mu == moments.nu == shardings.params
    assert moments.count.is_fully_replicated


def test_a_mesh_that_does_not_divide_the_model_is_refused():
    with pytest.raises(UserError, match=r"--mesh.fsdp is 3 and does not divide the 16 of 'embed' in .*: 1 would"):
        on_mesh(fsdp=3)
    with pytest.raises(UserError, match=r"--mesh.tensor is 4 and does not divide the 2 of 'heads'"):
        on_mesh(tensor=4)


def test_parameters_that_no_rule_splits_are_refused():
    from jax.sharding import AbstractMesh

    from gr2_jax.training.partition import place_params

    mesh = AbstractMesh((1, 1, 2, 1), make_mesh().axis_names)
    params = {"relative_bias": {"embedding": np.zeros((32, 8))}, "scale": np.zeros(2)}
    with pytest.raises(UserError, match=r"99.2% of the parameters .*relative_bias"):
        place_params(params, mesh)
    with pytest.raises(KeyError, match="unheard_of"):
        place_params({"unheard_of": np.zeros(8)}, mesh)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"data": 3}, r"a mesh of replica 1 x data 3 x fsdp 1 x tensor 1 does not fit the 8 devices"),
        ({"fsdp": 3}, r"data \? x fsdp 3 .* does not fit the 8 devices"),
        ({"data": 0}, r"data is 0: it must be at least 1, or -1"),
        ({"fsdp": -1}, r"is -1 like another axis"),
        ({"data": 16}, r"data 16 .* does not fit the 8 devices"),
    ],
)
def test_impossible_meshes_are_refused(sizes, sentence):
    with pytest.raises(UserError, match=sentence):
        MeshConfig(**sizes).sizes(8)


def test_one_axis_takes_the_remaining_devices():
    assert MeshConfig(fsdp=4).sizes(8) == (1, 2, 4, 1)
    assert MeshConfig(replica=2, data=1, fsdp=-1).sizes(8) == (2, 1, 4, 1)
