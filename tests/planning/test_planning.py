"""What is planned without a compiler: chips, FLOPs, collectives in a program's text, neighbouring meshes, refusals."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.cli import main
from gr2_jax.errors import UserError
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.models import GR2, preset
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.planning.collectives import by_kind, collectives
from gr2_jax.planning.lowered_steps import judged_of, lowered_step, step_of
from gr2_jax.planning.plan import Pod, fastest, neighbouring
from gr2_jax.planning.report import largest_arrays
from gr2_jax.training.chips import CHIPS, chip_of, peak_flops
from gr2_jax.training.flops import StepShape, forward_flops, training_flops
from gr2_jax.training.mesh import MeshConfig, make_mesh


def test_chips_are_known_by_their_topology_and_by_what_jax_calls_them():
    assert chip_of("v5e:16x16") is CHIPS["v5e"]
    assert peak_flops("TPU v5 lite") == 197e12
    assert peak_flops("cpu") is None
    with pytest.raises(UserError, match="no chip 'v5x'"):
        chip_of("v5x:4x4")


@pytest.mark.parametrize("name", ["tiny", "1.1-tiny"])
def test_flops_are_what_the_compiler_counts_of_unrolled_layers(name):
    """Of the forward pass, within 5%: it also counts what is no matrix product."""
    config = preset(name, vocab_size=512, d_model=128, d_kv=32, d_ff=512, dropout_rate=0.0)
    shape = StepShape(8, 3, 4, 32, 32, 16, 512, encoder_reads_docids=True)
    model = GR2(config)
    params = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]
    batch = {
        "query_tokens": (8, 32),
        "docid_rows": (8, 3),
        "grades": (8, 3),
        "judged_rows": (8, 4),
        "judged_grades": (8, 4),
        "docid_tokens": (8, 3, 16),
        "indexing_tokens": (4, 32),
        "indexing_rows": (4,),
        "indexing_docid_tokens": (4, 16),
    }
    batch = {key: jax.ShapeDtypeStruct(size, jnp.int32) for key, size in batch.items()}
    loss = functools.partial(
        retrieval_loss,
        model=model,
        objective=RetrievalObjective(),
        docid_table=None,
        target_columns=jnp.arange(512),
        num_grades=4,
    )
    counted = jax.jit(loss).lower(params, batch, jax.random.key(0)).cost_analysis()["flops"]
    assert forward_flops(config, shape) == pytest.approx(counted, rel=0.05)
    assert training_flops(config, shape) == 3 * forward_flops(config, shape)


PROGRAM = """
%body.1 (p: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %gathered = bf16[64,8]{1,0:T(8,128)} all-gather(%x), channel_id=1, dimensions={0}
  %again = bf16[64,8]{1,0} all-gather(%x), channel_id=1, dimensions={0}
}
%condition.1 (p: (s32[], bf16[4,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(12)
}
ENTRY %main (a: f32[2]) -> f32[2] {
  %loop = (s32[], bf16[4,8]) while(%tuple), condition=%condition.1, body=%body.1
  %sum = (f32[3], f32[100,2]) all-reduce(%a, %b), channel_id=2, to_apply=%add
  %send = (f32[25,2]{1,0}, u32[], token[]) send(%sum, %after), channel_id=3, attributes={_by="xla_megascale_runtime"}
  %host = (f32[9,9]{1,0}, u32[], token[]) send(%sum, %after), channel_id=4, attributes={_by="other"}
}
"""


def test_collectives_in_a_loop_count_as_often_as_it_runs_and_a_channel_once():
    assert by_kind(collectives(PROGRAM)) == {
        "all-gather": (12, 12 * 64 * 8 * 2),
        "all-reduce": (1, 800 + 12),
        "sent to other slices": (1, 200),
    }
    assert [one.kind for one in collectives(PROGRAM)] == ["all-gather", "all-reduce", "sent to other slices"]


def test_the_largest_arrays_of_a_program_that_the_compiler_says_nothing_about():
    text = "%0 = add : tensor<4x256xf32> %1 : tensor<1024x1024x1024xbf16> %2 : tensor<1024x1024x1024xbf16> tensor<f32>"
    expected = [("2.00", "bf16[1024,1024,1024]"), ("0.00", "f32[4,256]")]
    assert largest_arrays(text) == [f"{size} GiB over all chips {name}" for size, name in expected]


def test_neighbouring_meshes_have_as_many_devices():
    found = neighbouring(MeshConfig(data=-1, fsdp=4), 16)
    assert MeshConfig(1, 8, 2, 1) in found
    assert MeshConfig(1, 2, 4, 2) in found
    assert {mesh.data * mesh.fsdp * mesh.tensor for mesh in found} == {16}


def test_the_fastest_of_meshes_is_the_fastest_that_fits():
    slow, fast = {"fits": True, "step_seconds": [0.1, 0.3]}, {"fits": True, "step_seconds": [0.1, 0.2]}
    refused, large = {"refused": "no"}, {"fits": False, "step_seconds": [0.0, 0.0]}
    said = fastest({"a": slow, "b": refused, "c": large, "d": fast})
    assert said == "fastest of those that fit: d, 200.0 ms a step"
    assert fastest({"b": refused, "c": large}) == "none of these meshes fits"


def test_the_step_that_is_planned_is_that_of_the_first_row_or_of_pretraining():
    experiment, pretraining = load_experiment("configs/baselines.py"), load_experiment("configs/wikipedia_small.py")
    second = dataclasses.replace(experiment, rows=experiment.rows[1:])
    assert step_of(experiment).objective == experiment.retrieval.objective
    assert step_of(second).objective == experiment.rows[1].objective != experiment.retrieval.objective
    assert (step_of(experiment).docid_length, judged_of(experiment)) == (7, 24)
    changed = override(pretraining, ["--pairs.judged", "9", "--docids.max_length", "20"])
    assert (step_of(changed).docid_length, judged_of(changed)) == (21, 9)
    assert step_of(changed).batch == pretraining.retrieval.batch


def test_a_step_is_lowered_from_shapes_and_a_mesh_must_divide_its_batch(monkeypatch):
    config = override(load_experiment("configs/wikipedia_small.py"), ["--retrieval.batch.indexing_texts", "31"])
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    _, lowered = lowered_step(step_of(config), judged_of(config), mesh)
    assert "tensor<31x32xi32>" in lowered.as_text()  # the indexing texts
    monkeypatch.setattr("gr2_jax.planning.lowered_steps.batch_parts", lambda mesh: 16)
    with pytest.raises(
        UserError, match=r"batch\.indexing_texts is 31 and the mesh splits it 16 ways: use a multiple of"
    ):
        lowered_step(step_of(config), judged_of(config), mesh)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["plan", "configs/wikipedia.py", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_planned_is_said_in_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", chip_of)
    assert "--topology is 'v5e-16': it is written chip:shape" in refused(capsys, "--topology", "v5e-16")
    assert "no chip 'v9'" in refused(capsys, "--topology", "v9:4x4")
    assert "required: --topology" in refused(capsys)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "planning needs the TPU's compiler: pip install -e '.[tpu]' in the clone" in refused(
        capsys, "--topology", "v5e:4x4"
    )


@pytest.mark.parametrize(("slices", "attributes"), [(1, {}), (2, {"slice_index": 0})])
def test_a_host_s_chips_are_a_topology_of_their_own(monkeypatch, slices, attributes):
    devices = [SimpleNamespace(process_index=i // 4, **attributes) for i in range(16)]
    if slices > 1:
        devices += [SimpleNamespace(process_index=i // 4, slice_index=1) for i in range(16)]
    monkeypatch.setattr("gr2_jax.planning.plan.devices_of", lambda topology: topology)
    assert Pod("v5e:4x4", CHIPS["v5e"], devices).host == "v5e:2x2"
    assert Pod("v5p:2x2x4", CHIPS["v5p"], devices).host == "v5p:2x2x1"
    assert Pod("v5e:2x2", CHIPS["v5e"], devices[:4]).host == devices[:4]
