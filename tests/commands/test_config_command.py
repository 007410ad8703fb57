"""`gr2 config show`: lines for people, JSON for programs."""

import json

import pytest

from gr2_jax.cli import main

CONFIG = """
from gr2_jax.experiment import Experiment, OptimiserConfig, RetrievalConfig
experiment = Experiment(name="mine", retrieval=RetrievalConfig(optimiser=OptimiserConfig(steps=7)))
"""
OVERLAY = "import dataclasses\ndef overlay(experiment):\n    return dataclasses.replace(experiment, seed=5)\n"


@pytest.fixture
def config(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main(["config", *map(str, words)])
        return stop.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(CONFIG)
    (tmp_path / "seed.py").write_text(OVERLAY)
    return tmp_path / "mine.py", tmp_path / "seed.py"


def test_lines_have_path_value_other_default_and_meaning(config, mine):
    words = ["--retrieval.optimiser.learning-rate", "0.5", "--retrieval.optimiser.kind", "adafactor"]
    code, out, err = config("show", *mine, "retrieval.optimiser", "seed", *words)
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert [path for path, _ in lines][:2] == ["seed", "retrieval.optimiser.steps"]
    told = {path: [part.strip() for part in rest.strip().split("  ", 1)] for path, rest in lines}
    assert told["seed"] == ["5 (default: 0)", "of every random draw"]
    assert told["retrieval.optimiser.steps"][0] == "7 (default: 1000)"
    assert told["retrieval.optimiser.learning_rate"][0] == "0.5 (default: 0.01)"
    assert told["retrieval.optimiser.kind"][0] == "adafactor (default: adam)"
    assert told["retrieval.optimiser.weight_decay"] == ["0.0", "decoupled, per step, times the rate"]


def test_json_has_every_field(config, mine):
    code, out, _ = config("show", mine[0], "--json")
    assert (code, out.count("\n")) == (0, 1)
    fields = json.loads(out)
    assert fields["retrieval.optimiser.steps"]["value"] == 7
    assert fields["retrieval.optimiser.steps"]["default"] == 1000
    assert {"seed", "mesh.data", "evaluation.measures"} <= fields.keys()
    assert all(field["meaning"] for field in fields.values())


def test_without_a_config_it_is_the_quickstart(config):
    code, out, _ = config("show", "rows.GR2S", "--json")
    fields = json.loads(out)
    assert code == 0
    assert fields["rows.GR2S"]["value"] == "System"
    assert fields["rows.GR2S.docids"] == {"value": "title", "meaning": "the docid scheme that it writes"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shw"], "there is no `gr2 config shw`: did you mean 'show'?"),
        (["show", "./absent.py"], "there is no config file absent.py"),
        (["show", "retrieval.optimizer"], "did you mean 'retrieval.optimiser'?"),
        (["show", "--retrieval.optimiser.step", "3"], "has no field 'step': did you mean 'steps'?"),
        (["show", "--retrieval.optimizer.steps", "3"], "has no field 'optimizer': did you mean 'optimiser'?"),
        (["show", "--retreival.optimiser.steps", "3"], "has no field 'retreival': did you mean 'retrieval'?"),
        (["show", "--retrieval.batch.document-lenght", "3"], "has no field 'document_lenght': did you mean 'document_"),
        (
            ["show", "--learning-rate", "3"],
            "did you mean '--retrieval.optimiser.learning_rate'?",
        ),
        (["show", "--optimiser.steps", "3"], "no field 'optimiser': did you mean '--retrieval.optimiser.steps'?"),
        (["show", "--retrieval.queries", "3"], "no field 'queries': did you mean '--retrieval.batch.queries'?"),
        (["show", "--batch", "3"], "did you mean '--retrieval.batch' or '--evaluation.batch'?"),
        ([], "the following arguments are required: action"),
    ],
)
def test_slips(config, words, message):
    code, out, err = config(*words)
    assert (code, out) == (2, "")
    assert message in err
