"""Rows that rank jointly: the table of docid vectors, the weight chosen on validation queries, and interpolation."""

import dataclasses
import shutil

import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import evaluate_run
from gr2_jax.experiment import EvaluationConfig, RetrievalObjective
from gr2_jax.files import read_json
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.pipeline.rows import BM25Row, InterpolatedRow, QueryLikelihoodRow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stages import run_experiment

WEIGHTS = (0.0, 0.5, 4.0)
EXPERIMENT = small_experiment(
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", RetrievalObjective(gamma=0.0)),
        System("Blind", "title", RetrievalObjective(gamma=0.0), binary=True),
        BM25Row(),
        QueryLikelihoodRow(),
        InterpolatedRow("GR2S+BM25", ("GR2S", "BM25"), shares=(0.2, 0.8)),
    ),
    evaluation=EvaluationConfig(beams=5, nearest=8, weights=WEIGHTS),
)
QUERIES = ["how to sort", "a sparse matrix", "root"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    write_folder(folder / "corpus", [Document(f"d{i}", text.title(), text) for i, text in enumerate(TEXTS)], TEXTS)
    run_experiment(over(EXPERIMENT, folder / "corpus"), folder / "run")
    return folder / "run"


def validation_ndcg(workdir, searcher, k=5):
    run = Run(EXPERIMENT, workdir)
    queries = run.queries("validation")
    hits = searcher.search(list(queries.values()), k)
    lists = {query: [(hit.doc_id, hit.score) for hit in own] for query, own in zip(queries, hits, strict=True)}
    measure = read_json(workdir / "weights/GR2S/weight.json")["measure"]
    return evaluate_run(lists, run.qrels("validation"), (measure,))[measure]


def test_every_row_is_in_the_table(finished):
    assert set(read_json(finished / "metrics/summary.json")) == {*(row.name for row in EXPERIMENT.rows), "provenance"}


def test_only_rows_that_train_vectors_have_a_table_and_searches_map_it(finished):
    assert [path.name for path in (finished / "vectors").iterdir()] == ["GR2S"]
    searcher = open_row(finished, "GR2S").searcher
    assert searcher.vectors.values.shape[0] == len(TEXTS)
    made = dataclasses.replace(searcher, vectors=None).docid_vectors
    np.testing.assert_allclose(made.values, searcher.vectors.values, atol=1e-6)
    assert open_row(finished, "MLE").searcher.compares is None


def test_the_weight_is_the_best_of_the_given_ones_on_validation_queries(finished):
    chosen = read_json(finished / "weights/GR2S/weight.json")
    searcher = open_row(finished, "GR2S").searcher
    assert searcher.options.weight == chosen["weight"]
    scores = {str(w): validation_ndcg(finished, searcher.with_options(weight=w)) for w in WEIGHTS}
    assert chosen["scores"] == pytest.approx(scores)
    assert scores[str(chosen["weight"])] == max(scores.values())


def test_interpolation_takes_its_share_from_validation_too(finished):
    chosen = read_json(finished / "weights/GR2S+BM25/weight.json")
    searcher = open_row(finished, "GR2S+BM25").searcher
    assert searcher.share == chosen["weight"]
    scores = {str(s): validation_ndcg(finished, dataclasses.replace(searcher, share=s)) for s in (0.2, 0.8)}
    assert chosen["scores"] == pytest.approx(scores)


def test_a_row_whose_weight_is_not_chosen_yet_says_which_it_takes(finished, tmp_path, capsys):
    """As after a kill between training and choosing."""
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    open_row(workdir, "GR2S")
    assert "not chosen" not in capsys.readouterr().err
    shutil.rmtree(workdir / "weights")
    assert open_row(workdir, "GR2S").searcher.options.weight == 1.0
    assert "GR2S: the weight of the joint ranking is not chosen yet, so it is 1" in capsys.readouterr().err


def test_without_the_table_a_search_makes_the_vectors(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    before = [hit.score for hits in open_row(workdir, "GR2S").searcher.search(QUERIES, 5) for hit in hits]
    shutil.rmtree(workdir / "vectors")
    without = open_row(workdir, "GR2S").searcher
    assert without.vectors is None
    found = without.with_options(weight=open_row(finished, "GR2S").searcher.options.weight).search(QUERIES, 5)
    assert [hit.score for hits in found for hit in hits] == pytest.approx(before, rel=1e-5)


def test_lists_say_the_joint_score(finished):
    run = read_run(finished / "runs/GR2S/test.trec")
    searcher = open_row(finished, "GR2S").searcher
    query, hits = next(iter(run.items()))
    text = Run(EXPERIMENT, finished).queries("test")[query]
    (found,) = searcher.search([text], 5)
    assert [doc_id for doc_id, _ in hits] == [hit.doc_id for hit in found]
    weight = searcher.options.weight
    for hit in found if weight else ():
        assert hit.score == pytest.approx(hit.log_likelihood + weight * hit.similarity / 0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ((BM25Row(), InterpolatedRow("Both", ("BM25", "GR2S"))), "row Both reads 'GR2S', which is no row above it"),
        ((BM25Row("BM25+T5", generated_queries=True),), "adds generated queries, and augmentation.generated is 0"),
    ],
)
def test_rows_that_cannot_be_are_refused_before_the_first_stage(tmp_path, rows, sentence):
    with pytest.raises(UserError, match=sentence):
        run_experiment(small_experiment(rows=rows), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("graded", ["listwise", "margin"])
def test_a_loss_on_lists_without_negatives_is_refused(tmp_path, graded):
    rows = (System("LTRGR", "title", RetrievalObjective(graded=graded)),)
    with pytest.raises(UserError, match=f"graded loss '{graded}', .*: give it self_negatives"):
        run_experiment(small_experiment(rows=rows), tmp_path / "run")


def test_a_share_that_was_chosen_for_other_rows_is_refused(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / "weights/GR2S+BM25")
    with pytest.raises(UserError, match=r"GR2S\+BM25 in .* has chosen no share for its rows as they are now"):
        open_row(workdir, "GR2S+BM25")


def test_weights_without_validation_queries_are_refused(tmp_path):
    corpus = dataclasses.replace(EXPERIMENT.corpus, validation_queries=0)
    with pytest.raises(UserError, match=r"--evaluation.weights needs validation queries"):
        run_experiment(dataclasses.replace(EXPERIMENT, corpus=corpus, rows=EXPERIMENT.rows[:1]), tmp_path / "run")


@pytest.mark.parametrize("weights", [(1.0, -1.0), (float("nan"),), (float("inf"),)])
def test_weights_below_0_are_refused(weights):
    with pytest.raises(UserError, match=r"weights has .*: each must be at least 0"):
        EvaluationConfig(weights=weights)
