"""Rows of the table that change the objective: what they may change, and a penalty that is learnt."""

import dataclasses

import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_collection import TEXTS, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment.config import (
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    Experiment,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    System,
    VocabularyConfig,
)
from gr2_jax.losses import learnable_penalty
from gr2_jax.pipeline.check import check
from gr2_jax.pipeline.run import run
from gr2_jax.pipeline.stage import Workdir, read_json

EXPERIMENT = Experiment(
    corpus=CorpusConfig(validation_queries=5, test_queries=5),
    vocabulary=VocabularyConfig(size=80, extra_ids=20),
    docids=DocidConfig(schemes=("title",)),
    retrieval=RetrievalConfig(
        model=ModelConfig(dropout_rate=0.0),
        optimiser=OptimiserConfig(steps=10, warmup_steps=2, learning_rate=3e-2),
        batch=BatchConfig(queries=8, documents=4, length=8, shortest_span=2, longest_span=6),
    ),
)


def with_rows(*systems):
    return dataclasses.replace(EXPERIMENT, retrieval=dataclasses.replace(EXPERIMENT.retrieval, systems=systems))


def test_a_learnable_penalty_is_trained_with_the_model_and_left_out_of_searching(tmp_path):
    documents = [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)]
    write_folder(tmp_path / "corpus", documents, TEXTS)
    experiment = with_rows(System("Learnt", "title", {"penalty": "learnable"}))
    corpus = dataclasses.replace(EXPERIMENT.corpus, source=str(tmp_path / "corpus"))
    workdir = Workdir(tmp_path / "run")
    run(dataclasses.replace(experiment, corpus=corpus), workdir)
    assert "Learnt" in read_json(workdir.metrics / "summary.json")
    (checkpoint,) = (workdir.root / "checkpoints").glob("Learnt-*/10/params")
    with ocp.StandardCheckpointer() as checkpointer:
        trained = checkpointer.restore(checkpoint.absolute())
    penalty = np.asarray(learnable_penalty(trained["penalty"]))
    np.testing.assert_allclose(penalty[-1], 1.0)
    # one relevant document of grade 2 per query: nothing is lost with grade 1, and the prior takes its weight to 1
    assert 0.27 < penalty[0] < 1.0  # from 0.25


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        ({"gama": 0.0}, "system X: the objective has no 'gama': did you mean 'gamma'"),
        ({"graded": "lamdarank"}, "system X: graded='lamdarank' is not known: did you mean 'lambdarank'"),
        ({"gamma": -1.0}, "system X: gamma is -1.0: it must be a number of at least 0"),
        ({"temperature": "cold"}, "system X: temperature is 'cold': it must be a number above 0"),
        ({"temperature": 0.0}, "system X: temperature is 0.0: it must be a number above 0"),
        ({"gamma": float("nan")}, "system X: gamma is nan"),
        ({"label_smoothing": 1.5}, "system X: label_smoothing is 1.5: it must be between 0 and 1"),
        ({"bound_gradient": "off"}, "system X: bound_gradient is 'off': it must be True or False"),
        ("lambdarank", "system X: objective is 'lambdarank': it must be a dict"),
    ],
)
def test_a_change_that_the_objective_cannot_take_is_refused(objective, sentence):
    with pytest.raises(UserError, match=sentence):
        check(with_rows(System("X", "title", objective)))


@pytest.mark.parametrize("name", ["queries", "documents"])
def test_microbatches_that_do_not_divide_the_batch_are_refused(name):
    batch = dataclasses.replace(EXPERIMENT.retrieval.batch, microbatches=4, **{name: 6})
    experiment = dataclasses.replace(EXPERIMENT, retrieval=dataclasses.replace(EXPERIMENT.retrieval, batch=batch))
    with pytest.raises(UserError, match=f"--retrieval.batch.{name} is 6: 4 microbatches do not divide it"):
        check(experiment)
