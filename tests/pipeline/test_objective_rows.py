"""Rows of the table that change the objective: what they may change, and a penalty that is learnt."""

import dataclasses

import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_collection import RETRIEVAL, TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import OptimiserConfig, RetrievalObjective
from gr2_jax.files import read_json
from gr2_jax.losses import learnable_penalty
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

EXPERIMENT = small_experiment(
    retrieval=retrieval(optimiser=OptimiserConfig(steps=10, warmup_steps=2, learning_rate=3e-2)),
    rows=(System("Learnt", "title", RetrievalObjective(penalty="learnable")), *BASELINES),
)


def test_a_learnable_penalty_is_trained_with_the_model_and_left_out_of_searching(tmp_path):
    documents = [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "corpus", documents, TEXTS)
    with (tmp_path / "corpus" / "qrels.txt").open("a") as qrels:
        qrels.write("q0 0 d1 1\n")  # the one pair of this grade
    workdir = Workdir(tmp_path / "run")
    run_experiment(over(EXPERIMENT, tmp_path / "corpus"), workdir.root)
    assert "Learnt" in read_json(workdir.metrics / "summary.json")
    (checkpoint,) = (workdir.root / "checkpoints").glob("Learnt-*/10/params")
    with ocp.StandardCheckpointer() as checkpointer:
        trained = checkpointer.restore(checkpoint.absolute())
    penalty = np.asarray(learnable_penalty(trained["penalty"]))
    np.testing.assert_allclose(penalty[-1], 1.0)
    # hardly anything is lost with grade 1, and the prior takes its weight to 1
    assert 0.27 < penalty[0] < 1.0  # from 0.25


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        ({"graded": "lamdarank"}, "graded is 'lamdarank': did you mean 'lambdarank'"),
        ({"gamma": -1.0}, "gamma is -1.0: it must be at least 0"),
        ({"temperature": "cold"}, "temperature is 'cold': it must be a number above 0"),
        ({"temperature": 0.0}, "temperature is 0.0: it must be above 0"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5: it must be between 0 and 1"),
        ({"bound_gradient": "off"}, "bound_gradient is 'off': it must be True or False"),
    ],
)
def test_an_objective_that_cannot_be_is_refused_when_it_is_written(objective, sentence):
    with pytest.raises(UserError, match=sentence):
        RetrievalObjective(**objective)


@pytest.mark.parametrize("name", ["queries", "indexing_texts"])
def test_microbatches_that_do_not_divide_the_batch_are_refused(name):
    with pytest.raises(UserError, match=f"{name} is 6: 4 microbatches do not divide it"):
        dataclasses.replace(RETRIEVAL.batch, microbatches=4, **{name: 6})
