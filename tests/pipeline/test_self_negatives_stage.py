"""Mining a system's wrong documents and fine-tuning it against them, on a small collection."""

import dataclasses
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.corpus.collection import Document
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import GradedBatches
from gr2_jax.errors import UserError
from gr2_jax.experiment import DocidConfig, EvaluationConfig, OptimiserConfig
from gr2_jax.files import read_json
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import ResidualCodes, Titles
from gr2_jax.pipeline.self_negatives import mine, wrong_rows
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.search import Retriever
from gr2_jax.search.searcher import SearchOptions
from gr2_jax.training.loop_config import LoopConfig

COUNT, TUNED = len(TEXTS), "GR2S-negatives"
STAGE = SelfNegatives("GR2S", steps=30, learning_rate=3e-3, beams=COUNT, depth=4, negatives=2)
EXPERIMENT = small_experiment(
    name="self_negatives",
    retrieval=retrieval(optimiser=OptimiserConfig(steps=20, warmup_steps=2)),
    rows=(System("GR2S", "title"), System(TUNED, "title", self_negatives=STAGE), *BASELINES),
    evaluation=EvaluationConfig(batch=4),
)


def fine_tuned_with(experiment, **changes):
    first, tuned, *others = experiment.rows
    tuned = dataclasses.replace(tuned, self_negatives=dataclasses.replace(tuned.self_negatives, **changes))
    return dataclasses.replace(experiment, rows=(first, tuned, *others))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(experiment, workdir, the printed table) of an undisturbed run."""
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    experiment = over(EXPERIMENT, folder)
    workdir = Workdir(tmp_path_factory.mktemp("self_negatives") / "run")
    return experiment, workdir, run_experiment(experiment, workdir.root)


def mined(workdir):
    return np.load(workdir.negatives("GR2S") / "rows.npy")


@pytest.fixture(scope="module")
def likelihoods(finished):
    """[queries, documents] of -log P(docid|query) of the training queries, by teacher forcing, under both systems."""
    experiment, workdir, _ = finished
    run = Run(experiment, workdir.root)
    tokens = run.examples["queries"].tokens
    trie, table = run.docids("title").trie, run.docids("title").table

    def nll(system):
        retriever = open_retriever(workdir.root, system).searcher
        docids = np.broadcast_to(table, (len(tokens), *table.shape))
        logits = jax.jit(retriever.model.apply)({"params": retriever.params}, tokens, docids).logits
        log_probs = np.asarray(jax.nn.log_softmax(logits), np.float64)
        column = {int(token): i for i, token in enumerate(trie.tokens)}
        return np.array(
            [
                [
                    -sum(row[t, column[token]] for t, token in enumerate(docid.tolist()) if token)
                    for row, docid in zip(rows, table, strict=True)
                ]
                for rows in log_probs
            ]
        )

    return {name: nll(name) for name in ("GR2S", TUNED)}


def test_the_row_is_trained_after_its_start_and_costs_what_both_cost(finished):
    _, workdir, printed = finished
    rows = {line.split("|")[1].strip(): line.split("|") for line in printed.splitlines() if line.startswith("|")}
    assert list(rows)[2:4] == ["GR2S", TUNED]
    seconds = [name.strip() for name in rows["run"]].index("train s")
    assert float(rows[TUNED][seconds]) > float(rows["GR2S"][seconds])
    parts = {"likelihood_q", "likelihood_d", "mgcc", "mgcc_permuted"}
    for name, more in (("GR2S", set()), (TUNED, {"self_negative"})):
        (stage,) = (workdir.root / "checkpoints").glob(f"{name}-????????????????/stage.json")
        assert set(read_json(stage)["parts"]) == parts | more


def test_negatives_are_the_best_documents_that_are_not_relevant(finished):
    """By the joint score of every document, as the row ranks with weight 1."""
    queries, rows = Run(finished[0], finished[1].root).examples["queries"], mined(finished[1])
    assert rows.dtype == np.int32
    assert rows.shape == (COUNT - 10, 4)
    everything = open_row(finished[1].root, "GR2S").searcher.with_options(exact="exhaustive")
    found = everything.search_tokens(queries.tokens, COUNT)
    scores = np.zeros((len(rows), COUNT))
    np.put_along_axis(scores, found.rows, found.scores, axis=1)
    for score, relevant, negatives in zip(scores, queries.docid_rows[:, 0], rows, strict=True):
        wrong = sorted((x for row, x in enumerate(score) if row != relevant), reverse=True)
        assert relevant not in negatives
        assert len(set(negatives)) == 4
        np.testing.assert_allclose(score[negatives], wrong[:4], rtol=1e-4)


def test_fine_tuning_raises_the_relevant_over_the_mined(finished, likelihoods):
    queries, rows = Run(finished[0], finished[1].root).examples["queries"], mined(finished[1])

    def loss(nll):
        own, others = np.take_along_axis(nll, queries.docid_rows[:, :1], 1), np.take_along_axis(nll, rows, 1)
        return np.log1p(np.exp(own - others).sum(axis=1)).mean()

    assert loss(likelihoods[TUNED]) < 0.8 * loss(likelihoods["GR2S"])


def test_it_starts_from_the_other_system_s_weights(finished, tmp_path):
    """At a rate too small to change a number the two are the same; nothing else is trained or mined again."""
    experiment, workdir, _ = finished
    copy = Workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    before = sorted(path.name for path in (copy.root / "checkpoints").iterdir())
    kept = (copy.negatives("GR2S") / "rows.npy").stat().st_mtime_ns
    run_experiment(fine_tuned_with(experiment, learning_rate=1e-30), copy.root, until="train")
    (added,) = {path.name for path in (copy.root / "checkpoints").iterdir()} - set(before)
    assert added.startswith(TUNED)
    assert (copy.negatives("GR2S") / "rows.npy").stat().st_mtime_ns == kept
    first, second = (open_retriever(copy.root, name).searcher.params for name in ("GR2S", TUNED))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    kept_row = open_retriever(workdir.root, TUNED).searcher.params
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(kept_row), strict=True))


def test_killed_while_mining_and_while_training_it_ends_with_the_same_bytes(finished, tmp_path, monkeypatch):
    experiment, workdir, _ = finished
    experiment = dataclasses.replace(experiment, loop=LoopConfig(checkpoint_seconds=0.0))
    copy = Workdir(shutil.copytree(workdir.root, tmp_path / "run"))
    for directory in (copy.root / "negatives", *(copy.root / "checkpoints").glob(f"{TUNED}-*")):
        shutil.rmtree(directory)

    def killed_at(kind, name, calls):
        original, seen = getattr(kind, name), []

        def method(self, *arguments, **named):
            seen.append(arguments)
            if len(seen) == calls:
                raise KeyboardInterrupt
            return original(self, *arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(kind, name, method)
            with pytest.raises(KeyboardInterrupt):
                run_experiment(experiment, copy.root, until="train")

    killed_at(Retriever, "search_tokens", 2)
    assert not copy.negatives("GR2S").exists()
    killed_at(GradedBatches, "__call__", 25)  # after the checkpoint of step 20
    assert copy.negatives("GR2S").exists()
    (checkpoint,) = (copy.root / "checkpoints").glob(f"{TUNED}-*")
    assert (checkpoint / "20").is_dir()
    run_experiment(experiment, copy.root, until="train")
    np.testing.assert_array_equal(mined(copy), mined(workdir))
    weights = (open_retriever(place.root, TUNED).searcher.params for place in (copy, workdir))
    jax.tree.map(np.testing.assert_array_equal, *weights)


def test_wrong_rows():
    found = np.array([[5, 2, 9, 4], [3, 7, -1, -1], [1, 2, 8, 6], [0, -1, -1, -1]])
    judged = np.array([[2, 9, 5], [-1, -1, -1], [8, 6, -1], [0, 3, -1]])
    grades = np.array([[1, 0, 3], [0, 0, 0], [2, 0, 0], [1, 1, 0]])
    expected = [[9, 4, -1], [3, 7, -1], [1, 2, 6], [-1, -1, -1]]
    assert wrong_rows(found, judged, grades, 3).tolist() == expected
    assert wrong_rows(found, judged, grades, 1).tolist() == [row[:1] for row in expected]


@pytest.mark.parametrize("count", [1, 3, 4, 18, 21])
def test_every_query_is_searched_in_batches_of_one_size(count):
    sizes = []

    def search_tokens(tokens):
        sizes.append(len(tokens))
        return SimpleNamespace(rows=tokens[:, :1] + np.arange(6))

    first = 10 * np.arange(1, count + 1)
    queries = ExampleArrays(first[:, None], first[:, None] + 1, np.ones((count, 1), int))
    retriever = SimpleNamespace(options=SearchOptions(batch=4), search_tokens=search_tokens)
    found = mine(retriever, queries, 3)
    assert found.tolist() == [[x, x + 2, x + 3] for x in first.tolist()]
    assert all(size % min(count, 4) == 0 for size in sizes)
    assert sum(sizes) < count + 4


def after(of, docids="title", **changes):
    """A row A that is fine-tuned after the row `of`."""
    return System("A", docids, self_negatives=SelfNegatives(of, **changes))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ((after("B"),), "row A starts from 'B', no system above it: it is the first"),
        ((System("GR2S", "title"), after("GRS")), r"starts from 'GRS', no system above it: did you mean 'GR2S'\?"),
        (
            (System("GR2S", "title"), after("GR2S", "rq")),
            "row A writes 'rq' docids and starts from GR2S, which writes 'title' docids: both must write the same",
        ),
        (
            (System("GR2S", "title"), dataclasses.replace(after("GR2S", steps=20), steps_factor=0.01)),
            "A has no steps to train",
        ),
    ],
)
def test_rows_that_cannot_be_fine_tuned_are_refused(rows, sentence, tmp_path):
    docids = DocidConfig(schemes=(Titles(), ResidualCodes(levels=2, codes=4)))
    with pytest.raises(UserError, match=sentence):
        check(Run(small_experiment(docids=docids, rows=rows), tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depth": 21}, "depth is 21: it must be between negatives, 4, and beams, 20"),
        ({"negatives": 11}, "depth is 10: it must be between negatives, 11, and beams, 20"),
        ({"beams": 0}, "depth is 10: .* and beams, 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_stages_that_cannot_be_are_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        SelfNegatives("GR2S", **changes)
