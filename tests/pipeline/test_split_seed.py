"""The split has a seed of its own: the experiment's seed moves what is drawn in training, and no test query."""

import dataclasses

import pytest
from small_collection import TEXTS, over, small_experiment

from gr2_jax.corpus import (
    Collection,
    Document,
    open_collection,
    read_collection,
    sample_queries,
    split_queries,
    subset,
    write_collection,
)
from gr2_jax.errors import SettingError
from gr2_jax.experiment import CorpusConfig
from gr2_jax.files import read_json
from gr2_jax.pipeline import prepare as stage_one
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import current_fingerprint
from gr2_jax.pipeline.workdir import Workdir


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The small collection with twenty documents more, which nobody judged."""
    folder = tmp_path_factory.mktemp("collection")
    documents = tuple(Document(f"d{i}", text, f"{text} again") for i, text in enumerate([*TEXTS, *TEXTS[:20]]))
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS)}
    write_collection(Collection("small", documents, queries, {f"q{i}": {f"d{i}": 2} for i in range(60)}, {}), folder)
    return folder


@pytest.fixture
def prepared(folder, tmp_path, monkeypatch):
    """The paths of a run whose collection is split; its vocabulary and its examples are left empty."""
    monkeypatch.setattr(stage_one, "build_vocabulary", lambda *_: None)
    monkeypatch.setattr(stage_one, "_build_examples", lambda *_: None)

    def prepare(seed=0, **corpus):
        experiment = dataclasses.replace(small_experiment(corpus=CorpusConfig(**corpus)), seed=seed)
        root = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        stage_one.prepare(Run(over(experiment, folder), root))
        return Workdir(root)

    return prepare


SMALL = {"validation_queries": 5, "test_queries": 7, "documents": 70, "training_queries": 20}


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_seed_of_the_experiment_moves_no_query_and_no_document(prepared):
    first, second = (prepared(seed=seed, **SMALL) for seed in (0, 3))
    assert contents(first.corpus) == contents(second.corpus)
    assert current_fingerprint(first.vocabulary) == current_fingerprint(second.vocabulary)
    # pseudo-queries and LSA vectors are drawn by it
    assert current_fingerprint(first.examples) != current_fingerprint(second.examples)


def test_the_seed_of_the_split_draws_split_and_samples(prepared, folder):
    paths = prepared(seed=1, **SMALL, split_seed=4)
    collection = read_collection(paths.corpus)
    assert collection.documents == subset(open_collection(str(folder)), 70, seed=4).hold().documents
    split = split_queries(collection.queries, validation=5, test=7, seed=4)
    found = read_json(paths.corpus / "split.json")
    assert (tuple(found["validation"]), tuple(found["test"])) == (split.validation, split.test)
    assert tuple(found["train"]) == sample_queries(split.train, 20, seed=4)


def test_a_seed_of_the_split_below_0_is_refused():
    with pytest.raises(SettingError, match="split_seed is -1: it must be at least 0"):
        CorpusConfig(split_seed=-1)
