"""What a study would cost, with the compiler replaced by given times."""

import re
import types
from pathlib import Path

import pytest

from gr2_jax.cli import main
from gr2_jax.errors import NotInstalled
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.experiment.study import Setting, Study
from gr2_jax.experiment.study_file import load_study
from gr2_jax.planning import bill as billing
from gr2_jax.planning import study_bill as study_billing
from gr2_jax.planning.plan import Pod
from gr2_jax.planning.study_bill import program_of, study_bill
from gr2_jax.training.chips import CHIPS

CONFIGS = Path("configs")
ROBUST04 = str(CONFIGS / "robust04.py")


@pytest.fixture
def compiled(monkeypatch):
    """The experiments whose step was compiled, each in .001 to .002 s; those of 16 docids a query in ten times that."""
    asked = []

    def plan_training(experiment, pod, **_):
        asked.append(experiment)
        seconds = 0.01 if experiment.retrieval.batch.docids == 16 else 0.001
        return {"a mesh": {"fits": True, "chips": 16, "step_seconds": [seconds, 2 * seconds]}}

    monkeypatch.setattr(Pod, "of", lambda *_: Pod("v5e:4x4", CHIPS["v5e"], [types.SimpleNamespace()] * 16))
    monkeypatch.setattr(study_billing, "plan_training", plan_training)
    return asked


def billed(study, base=ROBUST04, seeds=(0, 1, 2)):
    (line,) = study_bill(study, [base], [], lambda files: load_experiment(*files), ["v5e:4x4"], seeds, quick=True)
    return line


def test_every_training_of_all_points_seeds_and_folds_is_counted(compiled):
    """Of Robust04's five folds: GR2S and MLE, each with a row that is fine-tuned from it, and Dense."""
    study = load_study(CONFIGS / "studies/low_resource.py")
    line = billed(study)
    experiment = load_experiment(ROBUST04)
    steps = experiment.retrieval.optimiser.steps
    tuned = next(row.self_negatives.steps for row in experiment.rows if getattr(row, "self_negatives", None))
    points = 5 + 1  # 0, 15, 30, 45 and 60 queries, and all
    assert line["steps"] == points * 3 * 5 * (3 * steps + 2 * tuned)
    assert line["hours"] == pytest.approx([line["steps"] * 0.001 / 3600, line["steps"] * 0.002 / 3600])
    assert line["chip_hours"] == pytest.approx([16 * hours for hours in line["hours"]])
    assert len(compiled) == 1  # the number of queries changes no program
    assert line["overlay"] is None


def test_where_the_base_does_not_fit_the_overlay_of_the_pod_does(compiled, monkeypatch):
    monkeypatch.setattr(Pod, "of", lambda *_: Pod("v5e:16x16", CHIPS["v5e"], [types.SimpleNamespace()] * 256))
    line = billed(load_study(CONFIGS / "studies/low_resource.py"))
    assert line["overlay"] == "configs/pods/v5e_256.py"
    assert compiled[0].mesh == load_experiment(ROBUST04, line["overlay"]).mesh


def test_each_point_takes_the_time_of_its_own_program(compiled):
    axis = Setting(name="K", field="retrieval.batch.docids", given=(4, 16))
    study = Study(name="docids", base=load_experiment(ROBUST04), axes=(axis,), reference="K=4")
    line = billed(study, seeds=(0,))
    assert [experiment.retrieval.batch.docids for experiment in compiled] == [4, 16]
    assert line["step_seconds"] == pytest.approx([0.0055, 0.011])  # as many steps of each


def test_numbers_of_the_objective_change_no_program_but_what_switches_parts_off_does():
    base = load_experiment(ROBUST04)

    def changed(*words):
        return program_of(override(base, words))

    assert changed("--retrieval.objective.temperature", "0.3") == program_of(base)
    assert changed("--retrieval.objective.gamma", "0.5") == program_of(base)
    assert changed("--seed", "1") == program_of(base)
    others = ["--retrieval.objective.gamma 0", "--retrieval.objective.constraint off", "--retrieval.batch.queries 32"]
    others += ["--docids.max_length 9", "--mesh.fsdp 4", "--retrieval.model.preset large"]
    assert len({program_of(base), *(changed(*words.split()) for words in others)}) == 1 + len(others)


def test_a_program_that_does_not_fit_and_a_pod_that_none_does(compiled, monkeypatch):
    study = load_study(CONFIGS / "studies/low_resource.py")
    refused = {"fits": False, "chips": 16}
    monkeypatch.setattr(study_billing, "plan_training", lambda *_, **__: {"a mesh": refused})
    line = billed(study)
    assert not line["fits"]
    assert "hours" not in line
    monkeypatch.setattr(Pod, "of", lambda *_: Pod("v5e:1x3", CHIPS["v5e"], [types.SimpleNamespace()] * 3))
    assert "3" in billed(study)["left_out"]


def test_a_study_that_trains_nothing_says_so(compiled):
    base = load_experiment(ROBUST04)
    study = Study(name="bm25", base=base, axes=(Setting(name="seed", field="corpus.split_seed", given=(1, 2)),))
    (line,) = study_bill(study, [], [], lambda files: base.only(["BM25"]), ["v5e:4x4"], (0,), quick=True)
    assert line["left_out"] == "it trains no row"


def test_the_command_prints_the_points_and_the_bill_and_runs_nothing(compiled, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", lambda topology: None)
    words = ["study", str(CONFIGS / "studies/ablation.py"), "--base", ROBUST04, "--workdir", str(tmp_path / "study")]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--seeds", "0", "--topology", "v5e:4x4"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "1 seed and 5 folds" in printed
    assert re.search(r"\| ablation, v5e:4x4 +\| a mesh *\| [\d,]+ +\|", printed)
    assert "not counted: searches and measures, and 500,000 steps of models that write docids" in printed
    assert not (tmp_path / "study").exists()
    monkeypatch.setattr(billing.Pod, "of", _no_compiler)
    with pytest.raises(SystemExit):
        main([*words, "--topology", "v5e:4x4"])
    assert "left out: ablation, v5e:4x4: no compiler" in capsys.readouterr().out
    with pytest.raises(SystemExit):  # the study's own base, of which no file is known
        main(
            ["study", *map(str, (CONFIGS / "studies/docids.py", CONFIGS / "pods/v5e_256.py")), "--topology", "v5e:4x4"]
        )
    assert "left out: docids, v5e:4x4" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([*words, "--quick"])
    assert stop.value.code == 2
    assert "--quick is of --topology" in capsys.readouterr().err


def _no_compiler(topology, slices):
    raise NotInstalled("no compiler")
