"""Which overlay makes a config fit a pod; no pod and no compiler is needed."""

import types

import pytest

from gr2_jax.cli import main
from gr2_jax.errors import UserError
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.planning.overlays import check_division, fitting_overlays
from gr2_jax.planning.plan import Pod
from gr2_jax.training.chips import CHIPS


@pytest.mark.parametrize(
    ("settings", "devices", "slices", "said"),
    [
        ([], 256, 1, "batch.queries is 64 and the mesh splits it 256 ways: use a multiple of 256"),
        (["--mesh.data", "4"], 16, 1, r"a mesh of .* does not fit the 16 devices"),
        ([], 16, 2, "mesh.replica is 1 for 2 slices: it must be a multiple of 2"),
        (["--mesh.data", "1", "--mesh.tensor", "9"], 9, 1, r"mesh.tensor is 9 and does not divide the \d+ of"),
    ],
)
def test_a_mesh_that_does_not_divide_is_refused_without_devices(settings, devices, slices, said):
    experiment = override(load_experiment("configs/wikipedia.py"), settings)
    with pytest.raises(UserError, match=said):
        check_division(experiment, devices, slices)


def test_the_pods_own_overlay_comes_first():
    config = "configs/wikipedia.py"
    assert fitting_overlays([config], [], 256, 1, "v5e")[0] == "configs/pods/v5e_256.py"
    assert fitting_overlays([config], [], 256, 2, "v5e") == ["configs/pods/v5e_128_x2.py"]
    assert fitting_overlays([config], [], 8, 1, "h100")[0] == "configs/pods/h100_8.py"
    assert fitting_overlays([config, "configs/pods/v5e_16.py"], [], 256, 1, "v5e")[0] == "configs/pods/v5e_256.py"
    assert fitting_overlays([config], [], 24, 1, "v5e") == []
    for overlay in fitting_overlays([config], [], 256, 1, "v5e"):
        check_division(load_experiment(config, overlay), 256, 1)


def test_a_size_is_named_where_no_pod_fits_the_model(tmp_path):
    for folder in ("pods", "sizes"):
        (tmp_path / folder).mkdir()
    mesh = "dataclasses.replace(experiment, mesh=MeshConfig(data=1, tensor=16))"
    (tmp_path / "pods" / "v5e_16.py").write_text(
        f"import dataclasses\nfrom gr2_jax.experiment import MeshConfig\ndef overlay(experiment):\n    return {mesh}\n"
    )
    (tmp_path / "sizes" / "3b.py").write_text(
        "from gr2_jax.recipes.overlays import sized\ndef overlay(experiment):\n    return sized(experiment, '3b')\n"
    )
    config = tmp_path / "mine.py"
    config.write_text(
        "from gr2_jax.experiment.loading import load_experiment\n"
        "experiment = load_experiment('configs/wikipedia.py')  # a base model, which has 12 heads\n"
    )
    found = fitting_overlays([str(config)], [], 16, 1, "v5e")
    assert found == [f"{tmp_path}/sizes/3b.py {tmp_path}/pods/v5e_16.py"]


def test_the_plan_names_the_overlay(capsys, monkeypatch):
    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", lambda topology: None)
    pod = Pod("v5e:16x16", CHIPS["v5e"], [types.SimpleNamespace()] * 256)
    monkeypatch.setattr(Pod, "of", lambda *_: pod)
    with pytest.raises(SystemExit) as stop:
        main(["plan", "configs/wikipedia.py", "--topology", "v5e:16x16"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "batch.queries is 64 and the mesh splits it 256 ways" in said
    assert "the overlay configs/pods/v5e_256.py (or " in said
    assert "fits v5e:16x16: add it" in said
