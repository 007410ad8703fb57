"""A run that starts from a T5 on disk and its SentencePiece file."""

import dataclasses

import jax
import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.data.lsa import TokenSemantics
from gr2_jax.data.vocabulary import Tokenizer, train_vocabulary
from gr2_jax.errors import UserError
from gr2_jax.experiment import (
    BatchConfig,
    DocidConfig,
    ModelConfig,
    OptimiserConfig,
    RetrievalConfig,
    VocabularyConfig,
)
from gr2_jax.models import GR2, T5, Fusion, load_t5, preset, save_hf_t5, stack_layers
from gr2_jax.pipeline.initial_weights import starting_params
from gr2_jax.pipeline.rows import BASELINES, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import FusionQueries
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.training.checkpoints import restore_params

EXTRA_IDS = 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", f"{text} {i}", text) for i, text in enumerate(TEXTS)], TEXTS)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A Hugging Face directory: T5's files, with a few more rows than its vocabulary has ids."""
    folder = tmp_path_factory.mktemp("t5")
    train_vocabulary([*TEXTS, "how to"], folder / "spiece.model", size=80)
    size = Tokenizer(folder / "spiece.model", extra_ids=EXTRA_IDS).size
    config = preset("tiny", vocab_size=size + 5, d_model=16, d_kv=4, d_ff=8)
    tokens = np.ones((1, 2), np.int32)
    save_hf_t5(folder, config, jax.jit(T5(config).init)(jax.random.key(0), tokens, tokens)["params"])
    return folder


@pytest.fixture
def experiment(corpus, weights):
    model = ModelConfig(weights=str(weights), scan_layers=True, remat="full")
    still = OptimiserConfig(steps=2, learning_rate=1e-30)
    fusion = FusionQueries(
        model=dataclasses.replace(model, scan_layers=False), optimiser=still, pairs=8, document_length=8, beams=2
    )
    experiment = small_experiment(
        name="weights",
        vocabulary=VocabularyConfig(model=str(weights / "spiece.model"), extra_ids=EXTRA_IDS),
        docids=DocidConfig(schemes=(fusion,), max_length=6),
        retrieval=RetrievalConfig(
            model=model,
            optimiser=still,
            batch=BatchConfig(queries=4, indexing_texts=4, length=8, shortest_span=2, longest_span=6),
        ),
        rows=(System("GR2S", "fusion"), *BASELINES),
    )
    return over(experiment, corpus)


def _trained(workdir, name, model):
    """The parameters that the run's checkpoint of `name` holds."""
    (directory,) = (workdir.root / "checkpoints").glob(f"{name}-*")
    docids = np.ones((1, 1, 2), int)
    tokens = docids if isinstance(model, GR2) else docids[0]
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), tokens)["params"]
    return restore_params(directory, shapes)[0]


def test_trains_from_the_weights(experiment, weights, tmp_path):
    """At a learning rate too small to change a number, the trained models are the T5 that they started from."""
    workdir = Workdir(tmp_path / "run")
    table = run_experiment(experiment, workdir.root)
    assert "| GR2S" in table
    assert (workdir.vocabulary / "spiece.model").read_bytes() == (weights / "spiece.model").read_bytes()
    config, t5 = load_t5(weights)
    gr2 = _trained(workdir, "GR2S", GR2(dataclasses.replace(config, scan_layers=True)))
    jax.tree.map(np.testing.assert_array_equal, gr2["t5"], stack_layers(t5))
    fusion = _trained(workdir, "docids-fusion", Fusion(config))
    jax.tree.map(np.testing.assert_array_equal, fusion["query_encoder"], t5["encoder"])
    jax.tree.map(np.testing.assert_array_equal, fusion["decoder"], t5["decoder"])


def test_a_vocabulary_that_the_model_has_no_rows_for(experiment, tmp_path):
    wide = dataclasses.replace(experiment, vocabulary=dataclasses.replace(experiment.vocabulary, extra_ids=400))
    with pytest.raises(UserError, match=r"the vocabulary has \d+ ids and the model of .* \d+ rows: give its own"):
        run_experiment(wide, tmp_path / "run", until="docids")


def test_a_scanned_model_starts_from_the_corpus_as_an_unrolled_one(tmp_path):
    run, rng = Run(small_experiment(), tmp_path), np.random.default_rng(0)
    semantics = TokenSemantics(
        token_vectors=rng.normal(size=(20, 14)), log_idf=rng.uniform(size=20), document_vectors=[]
    )
    run.__dict__["semantics"] = semantics
    config = preset("scratch", vocab_size=20, d_model=16, d_kv=4, d_ff=8, num_encoder_layers=2, num_decoder_layers=2)
    shapes = jax.eval_shape(GR2(config).init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))[
        "params"
    ]
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    expected = starting_params(params, ModelConfig(), config, run)
    scanned = dataclasses.replace(config, scan_layers=True)
    found = starting_params(stack_layers(params), ModelConfig(scan_layers=True), scanned, run)
    jax.tree.map(np.testing.assert_array_equal, found, stack_layers(expected))
