"""The study of vectors by grade: its numbers against a plain loop, its one query, its table and its pages."""

import dataclasses
import itertools
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment

sys.path.append(str(Path(__file__).parents[1]))
from html_pages import Outline

from gr2_jax.corpus import Collection, Document, read_run, write_collection
from gr2_jax.errors import UserError
from gr2_jax.evaluation.significance import mean_interval
from gr2_jax.evaluation.somers_d import SOMERS_D
from gr2_jax.experiment import CorpusConfig, EvaluationConfig, ModelConfig, OptimiserConfig
from gr2_jax.experiment.study_file import load_study
from gr2_jax.pipeline.grade_vectors import compare_vectors, grade_vectors, shown_list, shown_query
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.report_page.findings import recorded
from gr2_jax.pipeline.report_page.page import write_page
from gr2_jax.pipeline.rows import DenseRow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage
from gr2_jax.pipeline.study.running import run_study
from gr2_jax.pipeline.workdir import Workdir

STUDY = load_study(Path(__file__).parents[2] / "configs/studies/embedding.py")
BASE = small_experiment(
    retrieval=retrieval(
        model=ModelConfig(num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0),
        optimiser=OptimiserConfig(steps=4, warmup_steps=1),
    ),
    corpus=CorpusConfig(validation_queries=6, test_queries=15),
    evaluation=EvaluationConfig(batch=4),
    rows=(System("GR2S", "title"),),
)
VECTORS = ("GR2S", "GR2S-no-lambda", "GR2S-no-max", "GR2S-MLE", "GR2S-SupCon", "Dense")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study over sixty documents, with one seed, and its table. Two of three queries have three grades, the others
    one."""
    folder = tmp_path_factory.mktemp("collection")
    documents = [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)]
    ids = [document.doc_id for document in documents]
    qrels = {f"q{i}": {ids[i]: 3, ids[i - 1]: 1, ids[i - 2]: 1, ids[i - 3]: 0} for i in range(len(ids))}
    qrels |= {f"q{i}": {ids[i]: 3} for i in range(0, len(ids), 3)}
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS)}
    write_collection(Collection("graded", tuple(documents), queries, qrels, {}), folder)
    root = tmp_path_factory.mktemp("study") / "w"
    table = run_study(STUDY, over(BASE, folder), root, (0,))
    return root, table


@pytest.fixture(scope="module")
def run(finished):
    return open_run(finished[0] / "points/base/seed-0")


def loop(run, name):
    """Query -> the similarities of its judged documents, in float64 from the vectors of the row."""
    row = run.row(name)
    opened = row.open_to_compare(run) if isinstance(row, System) else row.open(run)
    documents = opened.document_vectors(np.arange(len(run.doc_ids))).astype(np.float64)
    return {
        query: [
            float(documents[run.row_of[doc_id]] @ opened.query_vectors([text] * 4)[0])
            for doc_id in run.qrels("test")[query]
        ]
        for query, text in run.queries("test").items()
    }


@pytest.mark.parametrize("name", VECTORS)
def test_the_numbers_are_those_of_a_plain_loop(run, name):
    similarities, qrels, found = loop(run, name), run.qrels("test"), grade_vectors(run, name)
    graded = [query for query in similarities if len(set(qrels[query].values())) > 1]
    assert 0 < len(graded) < len(similarities)
    assert set(found.orders) == set(graded)
    for query in graded:
        judged = list(zip(qrels[query].values(), np.round(similarities[query], 6), strict=True))
        signs = [np.sign(x - y) for (a, x), (b, y) in itertools.permutations(judged, 2) if a > b]
        assert found.orders[query] == pytest.approx(np.mean(signs), abs=1e-9)
    for grade in (0, 1, 3):
        means = [
            np.mean([value for value, own in zip(similarities[q], qrels[q].values(), strict=True) if own == grade])
            for q in similarities
            if grade in qrels[q].values()
        ]
        assert found.measures[f"similarity {grade}"] == pytest.approx(np.mean(means), abs=1e-5)


def test_rows_without_vectors_have_none_and_a_dash(finished, run):
    assert grade_vectors(run, "BM25") is None
    assert shown_list(run, "BM25") is None
    lines = {line.split("|")[1].strip(): line for line in finished[1].splitlines() if line.startswith("|")}
    heading = [word.strip() for word in lines["point: row"].split("|")]
    cells = [word.strip() for word in lines["base: BM25"].split("|")]
    assert cells[heading.index(SOMERS_D)] == cells[heading.index("similarity 3")] == "-"
    assert cells[heading.index("nDCG@20")].startswith((".", "1."))


def test_the_table_and_the_csv_have_the_means_of_every_row_with_vectors(finished, run):
    root, table = finished
    written = [line.split(",") for line in (root / "study.csv").read_text().splitlines()]
    for name in VECTORS:
        for measure, value in grade_vectors(run, name).measures.items():
            assert ["base", name, "0", measure, repr(value)] in written
    assert "similarity 0" in table
    assert not [line for line in written if line[1] == "BM25" and line[3] == SOMERS_D]


def test_every_row_shows_the_same_query_and_its_own_list(run):
    qrels = run.qrels("test")
    expected = min(qrels, key=lambda query: (-len(set(qrels[query].values())), -len(qrels[query]), query))
    for name in VECTORS:
        shown = shown_list(run, name)
        ranked = read_run(run.paths.runs / name / "test.trec")[expected]
        assert shown.query == expected
        assert shown.doc_ids == [doc_id for doc_id, _ in ranked[:100]]
        assert len(shown.doc_ids) > 20
        assert shown.documents.shape == (len(shown.doc_ids), len(shown.vector))


def test_the_query_that_is_shown():
    qrels = {
        "c": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2, "z": 2},
        "a": {"x": 2, "y": 1, "z": 1},
        "d": dict.fromkeys("xyzw", 1),
    }
    assert shown_query(qrels) == "a"  # two grades, three documents, the least id
    assert shown_query(qrels | {"e": {"x": 1, "y": 2, "z": 3}}) == "e"
    assert shown_query({}) is None


def test_the_same_bytes_again(finished, run):
    directory = run.paths.similarities("GR2S-MLE")
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    stamps = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    compare_vectors(run, run.row("GR2S-MLE"))
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == stamps
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    compare_vectors(run, run.row("GR2S-MLE"))
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_the_pages_have_a_picture_for_each_row_and_the_interval(finished, run):
    study, point = (finished[0] / folder / "report/index.html" for folder in ("", "points/base"))
    before = point.read_bytes()
    study, point = (Outline(page.read_text()) for page in (study, point))
    for page in (study, point):
        for name in VECTORS:
            assert f"{name}: " in page.text
        assert page.text.count("judged ones.") == len(VECTORS)
        assert "t-SNE" in page.text
    assert "Not trained to be compared: the vectors of GR2S-MLE." in point.text
    low, high = mean_interval(grade_vectors(run, "Dense").orders.values())
    assert "[{}, {}]".format(*(f"{end:.4f}".removeprefix("0") for end in (low, high))) in point.text
    assert write_page(recorded(Workdir(finished[0] / "points/base"))).read_bytes() == before


def test_folds_are_read_together(tmp_path, run):
    """Two folds with the files of one run, of which one has half of the queries."""
    experiment = dataclasses.replace(run.experiment, corpus=dataclasses.replace(run.experiment.corpus, folds=2))
    whole = Run(experiment, tmp_path)
    for fold, part in ((0, "test"), (1, "validation")):
        paths = whole.paths.fold(fold)
        for mine, theirs in ((paths.corpus, run.paths.corpus), (paths.runs / "Dense", run.paths.runs / "Dense")):
            mine.mkdir(parents=True)
            shutil.copy(theirs / "stage.json", mine)
        directory = paths.similarities("Dense")
        directory.mkdir(parents=True)
        for name in ("stage.json", f"{part}.json"):
            shutil.copy(run.paths.similarities("Dense") / name, directory / name.replace(part, "test"))
        record = json.loads((directory / "stage.json").read_text())
        (directory / "stage.json").write_text(json.dumps({"fingerprint": record["fingerprint"]}))
    together = grade_vectors(whole, "Dense")
    parts = [grade_vectors(run, "Dense", part) for part in ("test", "validation")]
    assert together.orders == parts[0].orders | parts[1].orders
    assert set(parts[0].orders) != set(parts[1].orders)


@pytest.fixture
def copied(run, tmp_path):
    shutil.copytree(run.paths.root, tmp_path / "run")
    return open_run(tmp_path / "run")


def test_what_was_said_of_other_lists_is_not_shown(copied):
    """As after a kill between a row's search and the comparing of its vectors, or with a row that is now left out."""
    assert grade_vectors(copied, "Dense") is not None
    stage = copied.paths.runs / "Dense" / "stage.json"
    Stage(stage.parent, "of other settings").begin({"fingerprint": "of other settings"})
    assert grade_vectors(copied, "Dense") is None
    assert shown_list(copied, "Dense") is None
    write_page(recorded(copied.paths))


def test_a_row_that_cannot_be_opened_again_is_not_compared_and_the_run_goes_on(copied, monkeypatch, capsys):
    shutil.rmtree(copied.paths.similarities("Dense"))

    def refuse(*_):
        raise UserError("its checkpoint is damaged")

    monkeypatch.setattr(DenseRow, "open", refuse)
    compare_vectors(copied, copied.row("Dense"))
    assert "the vectors of Dense are not compared: its checkpoint is damaged" in capsys.readouterr().err
    assert grade_vectors(copied, "Dense") is None
