"""Hosts of GPUs as a plan takes them: their names, what the compiler is told of them, and who sends to other hosts."""

import os
import re
from types import SimpleNamespace

import pytest

from gr2_jax.cli import main
from gr2_jax.errors import UserError
from gr2_jax.experiment.loading import load_experiment
from gr2_jax.planning import gpus
from gr2_jax.planning.collectives import by_kind, collectives
from gr2_jax.planning.device_groups import groups_of, network_share
from gr2_jax.planning.overlays import check_division
from gr2_jax.planning.plan import Pod
from gr2_jax.planning.report import compile_for
from gr2_jax.planning.topology import prepare_environment
from gr2_jax.training.chips import CHIPS, chip_of, hosts_and_gpus


def test_a_topology_of_gpus_is_hosts_and_gpus():
    assert chip_of("h100:8") is CHIPS["h100"]
    assert hosts_and_gpus("h100:8") == (1, 8)
    assert hosts_and_gpus("h200:4x8") == (4, 8)
    assert [name for name, chip in CHIPS.items() if chip.is_gpu] == list(gpus.GPUS)


@pytest.mark.parametrize("topology", ["h100", "h100:", "h100:0", "h100:0x8", "h100:2x2x2", "v5e:4", "h100:8x"])
def test_a_malformed_topology_is_told_both_forms(topology):
    with pytest.raises(UserError, match=r"such as v5e:4x4 or v5p:8x8x8, or of GPUs .* such as h100:8 or h100:4x8"):
        chip_of(topology)


def test_a_host_has_eight_gpus():
    with pytest.raises(UserError, match="a host has at most 8 GPUs, not 16: two hosts are a100:2x8"):
        chip_of("a100:16")


@pytest.mark.parametrize("name", gpus.GPUS)
def test_the_compiler_is_told_the_gpu_s_numbers(name):
    text, chip = gpus.target_config(CHIPS[name]), CHIPS[name]
    assert text.count("{") == text.count("}") == 3
    assert f"core_count: {gpus.GPUS[name].cores} " in text
    assert f"memory_bandwidth: {int(chip.bandwidth)} " in text
    assert f"device_memory_size: {int(chip.hbm)} " in text
    assert f'device_description_str: "{chip.device_kind}"' in text
    assert ("ACCELERATED_FEATURES" in text) == (name != "a100")
    # peak of the float32 lanes, two operations each: it is far below that of the tensor cores
    lanes = int(re.search(r"fpus_per_core: (\d+)", text)[1])
    clock = float(re.search(r"clock_rate_ghz: ([\d.]+)", text)[1])
    assert 15e12 < 2 * lanes * gpus.GPUS[name].cores * clock * 1e9 < chip.flops / 5


@pytest.mark.parametrize(
    ("written", "groups"),
    [
        ("replica_groups={{0,2},{1,3}}, use", [[0, 2], [1, 3]]),
        ("source_target_pairs={{0,1},{1,0}}, x", [[0, 1], [1, 0]]),
        ("replica_groups=[2,2]<=[4], use", [[0, 1], [2, 3]]),
        ("replica_groups=[2,2]<=[2,2]T(1,0), use", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, use", [[0, 1, 2, 3]]),
        ("replica_groups=mesh['axis_0'=2,'axis_1'=2] {'axis_0'}, use", [[0, 2], [1, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}, use", [[0, 1], [2, 3]]),
        ("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}, use", [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ("replica_groups=mesh['a'=8] {'a':(2)2}, use", [[0, 2], [1, 3], [4, 6], [5, 7]]),
        ("replica_groups={}, use", []),
    ],
)
def test_the_groups_of_a_collective(written, groups):
    assert groups_of(f"  %sum = f32[8]{{0}} all-reduce(%x), channel_id=1, {written}_global=true") == groups


def test_what_goes_over_the_network_is_a_host_s_part():
    assert network_share("replica_groups={{0,1},{2,3}}", per_host=2) == 0.0
    assert network_share("replica_groups={{0,2},{1,3}}", per_host=2) == 1.0
    assert network_share("replica_groups={{0,1,2,3}}", per_host=2) == 0.5
    assert network_share("source_target_pairs={{0,1},{1,2},{2,3},{3,0}}", per_host=2) == 1.0


PROGRAM = """
%body.1 (p: (s32[], bf16[4,8])) -> (s32[], bf16[4,8]) {
  %gather = ((bf16[4,8]{1,0}, f32[2]{0}), (bf16[16,8]{1,0}, /*index=1*/f32[8]{0})) all-gather-start(%x, %y), \
channel_id=1, replica_groups=mesh['axis_0'=4] {'axis_0'}
  %gathered = (bf16[16,8]{1,0}, f32[8]{0}) all-gather-done(%gather)
  %scatter = ((f32[100]{0}), f32[50]{0}) reduce-scatter-start(%y), channel_id=2, replica_groups={{0,1},{2,3}}
}
%condition.1 (p: (s32[], bf16[4,8])) -> pred[] {
  %ends = pred[] fusion(%p), kind=kLoop, calls=%compare
}
ENTRY %main (a: f32[2]) -> f32[2] {
  %loop = (s32[], bf16[4,8]) while(%tuple), condition=%condition.1, body=%body.1, \
backend_config={"known_trip_count":{"n":"12"},"known_init_step":{"init":"0","step":"1"}}
  %sum = (f32[10]{0}, f32[100]{0}) all-reduce-start(%a, %b), channel_id=3, replica_groups={{0,2},{1,3}}, to_apply=%add
}
"""


def test_collectives_that_begin_count_what_they_begin_with_or_end_with():
    found = {
        "all-gather": (12, 12 * (16 * 8 * 2 + 8 * 4)),
        "reduce-scatter": (12, 12 * 400),
        "all-reduce": (1, 440),
    }
    assert by_kind(collectives(PROGRAM)) == found
    sent = {"sent to other hosts": (13, 12 * (16 * 8 * 2 + 8 * 4) // 2 + 440)}
    assert by_kind(collectives(PROGRAM, per_host=2)) == found | sent
    assert "bf16[16,8] and 1 more" in {one.shape for one in collectives(PROGRAM)}


def test_hosts_are_what_the_network_joins(monkeypatch):
    monkeypatch.setattr("gr2_jax.planning.plan.devices_of", lambda topology, slices=1: [topology])
    assert Pod.of("h100:4x8", 1).slices == 4
    assert Pod.of("v5e:4x4", 2).slices == 2
    assert Pod.of("h100:8", 1).assumptions
    assert not Pod.of("v5e:4x4", 1).assumptions
    with pytest.raises(UserError, match="--slices is 2: hosts of GPUs are in --topology, such as h100:2x8"):
        Pod.of("h100:8", 2)
    devices = [SimpleNamespace(process_index=i // 8, slice_index=0) for i in range(16)]
    assert Pod("h100:2x8", CHIPS["h100"], devices, 2).host == ["h100:8"]
    assert Pod("h100:8", CHIPS["h100"], devices[:8]).host == devices[:8]


def test_hosts_split_the_batch_alone():
    experiment = load_experiment("configs/wikipedia.py")
    with pytest.raises(UserError, match=r"--mesh.replica is 1 for 4 hosts: it must be a multiple of 4"):
        check_division(experiment, 32, 4, hosts=True)


def test_gpus_have_an_environment_of_their_own(monkeypatch):
    monkeypatch.setattr("os.environ", {})
    prepare_environment("h100:8")
    assert os.environ == gpus.ENVIRONMENT
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    prepare_environment("v5e:4x4")
    assert os.environ["TPU_SKIP_MDS_QUERY"] == "1"
    with pytest.raises(UserError, match="no chip 'h1000': did you mean 'h100'"):
        prepare_environment("h1000:8")


def test_without_the_plugin_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", chip_of)
    monkeypatch.setattr(gpus, "_plugins", list)
    with pytest.raises(SystemExit) as stop:
        main(["plan", "configs/wikipedia.py", "--topology", "h100:8"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "planning for GPUs needs JAX's CUDA plugin: pip install -e '.[cuda]' in the clone" in said


class _Lowered:
    """A program of 100 GiB that the compiler takes; a TPU's peak is without gaps."""

    def compile(self, compiler_options):
        self.options = compiler_options
        memory = SimpleNamespace(
            peak_memory_in_bytes=97 * 2**30,
            argument_size_in_bytes=30 * 2**30,
            output_size_in_bytes=21 * 2**30,
            alias_size_in_bytes=20 * 2**30,
            temp_size_in_bytes=69 * 2**30,
        )
        return SimpleNamespace(memory_analysis=lambda: memory, as_text=lambda: "")

    def as_text(self):
        return "%0 = add : tensor<1024x1024x1024xbf16>"


def test_a_program_that_is_compiled_but_too_large_does_not_fit():
    lowered = _Lowered()
    program = compile_for(lowered, CHIPS["h100"], quick=True)
    assert not program.fits
    assert program.peak == 100 * 2**30
    assert program.largest == ("2.00 GiB over all chips bf16[1024,1024,1024]",)
    assert lowered.options == gpus.COMPILER_OPTIONS
    assert compile_for(lowered, CHIPS["h200"]).fits
    on_tpu = compile_for(lowered, CHIPS["v5p"], quick=True)
    assert not on_tpu.fits
    assert on_tpu.peak == 97 * 2**30
    assert "exec_time_optimization_effort" in lowered.options
