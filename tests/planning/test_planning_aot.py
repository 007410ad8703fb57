"""Real compilations for TPUs that are not here, of a small model."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.tpu_aot
SMALL = tuple(
    f"--retrieval.model.{setting}" for setting in ("weights=none", "num_encoder_layers=2", "num_decoder_layers=2")
)


def plan(*arguments):
    pytest.importorskip("libtpu")
    command = [sys.executable, "-m", "gr2_jax", "plan", "configs/wikipedia.py", "--quick", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ.copy(), timeout=900)


def test_a_small_model_fits_and_no_activation_is_gathered():
    done = plan("--topology", "v5e:4x4", "--mesh.data", "1", "--mesh.fsdp", "16", *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (figures,) = result["training"].values()
    assert figures["fits"]
    assert result["search"]["fits"]
    assert not result["search"]["divided"]
    assert result["search"]["chips"] == 4
    assert figures["chips"] == 16
    assert figures["parameters"] + figures["optimiser"] < figures["peak"] < figures["hbm"]
    assert 0 < figures["mfu"][0] <= figures["mfu"][1] <= 0.5
    assert set(figures["collectives"]) >= {"all-gather", "all-reduce"}
    # a query's states are [64, 512, 768] over all chips
    assert not any("64,512,768" in text for text in figures["largest_collectives"])


@pytest.mark.parametrize("queries", ["2048", "65536"])  # which the compiler refuses in two ways
def test_a_batch_that_is_too_large_does_not_fit(queries):
    batch = ("--retrieval.batch.queries", queries, "--retrieval.batch.indexing_texts", queries)
    done = plan("--topology", "v5e:2x2", "--mesh.data", "4", *SMALL, *batch, "--no-search-step")
    assert done.returncode == 1, done.stderr
    assert "DOES NOT FIT" in done.stdout
    assert f"over all chips f32[{queries},8,16,32128]" in done.stdout  # the logits


def test_a_model_that_no_chip_holds_is_searched_on_a_host_s_chips_together():
    pytest.importorskip("libtpu")
    script = """
from gr2_jax.planning.topology import prepare_environment
prepare_environment()
import json
from gr2_jax.models.config import preset
from gr2_jax.planning.plan import Pod
from gr2_jax.planning.search_step import SearchPlan, search_figures
pod = Pod.of("v5e:4x4", 1)
t5 = preset("11b", dtype="bfloat16", scan_layers=True)
plans = [SearchPlan(8, divided, 1_000_000) for divided in (False, True)]
print(json.dumps([search_figures(t5, pod.host, plan, pod.chip, quick=True) for plan in plans]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=900)
    whole, divided = json.loads(done.stdout.splitlines()[-1])
    assert not whole["fits"]
    assert divided["fits"]
    assert divided["chips"] == 4
    # the layers' matrices in bfloat16, and the table of token vectors in float32
    assert divided["parameters"] == pytest.approx((11.3e9 - 33e6) * 2 / 4 + 33e6 * 4, rel=0.01)
    assert whole["trie"] == pytest.approx(4 * divided["trie"], rel=0.01)


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    done = plan("--topology", "v5e:4x4", "--retrieval.batch.queries", "40")
    assert done.returncode == 2
    assert "batch.queries is 40 and the mesh splits it 16 ways: use a multiple of 16" in done.stderr


@pytest.mark.parametrize(
    ("topology", "axes"),
    [
        (("--topology", "v5e:4x4"), ("--mesh.data", "2", "--mesh.fsdp", "4", "--mesh.tensor", "2")),
        (("--topology", "v5e:2x4", "--slices", "2"), ("--mesh.replica", "2", "--mesh.data", "1", "--mesh.fsdp", "8")),
    ],
    ids=["tensor", "slices"],
)
def test_every_axis_compiles(topology, axes):
    done = plan(*topology, *axes, *SMALL, "--no-search-step", "--json")
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)["training"].values()
    assert figures["fits"]
    assert figures["chips"] == 16
    sent = figures["collectives"].get("sent to other slices", {"bytes": 0})["bytes"]
    if "--slices" in topology:  # all gradients, of which each chip of a slice sends its part
        assert sent >= figures["parameters"]
    else:
        assert sent == 0


def test_neighbouring_meshes_are_tried():
    done = plan(
        *("--topology", "v5e:2x2", "--mesh.data", "2", "--mesh.fsdp", "2"),
        *(*SMALL, "--search", "--no-search-step", "--json"),
    )
    assert done.returncode == 0, done.stderr
    meshes = json.loads(done.stdout)["training"]
    assert next(iter(meshes)) == "replica 1, data 2, fsdp 2, tensor 1"
    assert {"replica 1, data 1, fsdp 4, tensor 1", "replica 1, data 4, fsdp 1, tensor 1"} <= set(meshes)
    assert all(one["fits"] for one in meshes.values())
