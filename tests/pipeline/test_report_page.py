"""The page about a run: what a small run's page holds, and what it says where a run lacks something."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
from html_pages import read_page
from scipy.stats import t
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.errors import UserError
from gr2_jax.experiment import EvaluationConfig, Experiment
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.grade_vectors import shown_list
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.report import report
from gr2_jax.pipeline.report_page.findings import findings_of, recorded
from gr2_jax.pipeline.report_page.page import write_page
from gr2_jax.pipeline.report_page.several import _names, write_page_of_several
from gr2_jax.pipeline.rows import BM25Row, LSARow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

SCRIPT = "<script>alert(1)</script> & \u202e\u05e9\u05dc\u05d5\u05dd"
TITLES = ["measures", "training", "docids", "queries", "vectors", "costs", "settings"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    documents = [Document(f"d{i}", f"{text} {SCRIPT}", f"{text} again") for i, text in enumerate(TEXTS)]
    write_folder(folder, documents, TEXTS)
    return folder


@pytest.fixture(scope="module")
def whole(collection, tmp_path_factory):
    """A finished run of a trained row with a validation curve and of two baselines."""
    experiment = small_experiment(
        retrieval=retrieval(evaluate_every=5),
        evaluation=EvaluationConfig(batch=8, beams=4),
        rows=(System("GR2S", "title"), BM25Row(), LSARow()),
    )
    workdir = tmp_path_factory.mktemp("run")
    run_experiment(over(experiment, collection), workdir)
    return workdir


def gr2(*words):
    with pytest.raises(SystemExit) as stop:
        main([*map(str, words)])
    return stop.value.code


def test_the_page_of_a_run_has_every_part_and_stands_alone(whole):
    page = read_page(whole / "report" / "index.html")
    assert [attributes["id"] for name, attributes in page.elements if name == "section"] == TITLES
    assert page.count("svg") == 1 + 2 + 2 + 1 + 2  # intervals, curves, docids, differences, vectors
    assert "left out" not in page.text
    for told in (
        "In brackets: 95% t intervals",
        "validation queries",
        "Largest gains",
        "CPU device",
        "UTC",
        "optimiser.steps",
    ):
        assert told in page.text
    assert "<script>alert(1)" in page.text  # as a text: read_page found no such element


def test_the_same_run_gives_the_same_bytes(whole, tmp_path, capsys):
    page = (whole / "report" / "index.html").read_bytes()
    copy = tmp_path / whole.name
    shutil.copytree(whole, copy)
    assert gr2("report", copy) == 0
    assert capsys.readouterr().out.strip() == str(copy / "report" / "index.html")
    assert (copy / "report" / "index.html").read_bytes() == page
    shutil.rmtree(copy / "report")
    assert gr2("report", copy) == 0
    assert (copy / "report" / "index.html").read_bytes() == page


def test_the_tables_measures_and_intervals_are_those_of_the_metrics(whole):
    from scipy.stats import ttest_1samp

    page, summary = read_page(whole / "report" / "index.html"), read_json(whole / "metrics" / "test.json")
    for row in ("GR2S", "BM25", "LSA"):
        for measure, by_query in read_json(whole / "metrics" / "test" / f"{row}.json").items():
            assert np.mean(list(by_query.values())) == pytest.approx(summary[row][measure])
            if len(set(by_query.values())) > 1:
                ends = ttest_1samp(list(by_query.values()), 0).confidence_interval(0.95)
                assert "[{}, {}]".format(*(f"{end:.4f}".replace("0.", ".") for end in ends)) in page.text


def test_the_vectors_are_those_of_the_search(whole):
    run = open_run(whole)
    shown, retriever = shown_list(run, "GR2S"), run.row("GR2S").open(run)
    similarities = dict(zip(shown.doc_ids, shown.documents @ shown.vector, strict=True))
    for hit in retriever.search([run.queries("test")[shown.query]], 4)[0]:
        assert similarities[hit.doc_id] == pytest.approx(hit.similarity, abs=1e-5)


def test_damage_costs_a_part_and_not_the_page(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    (copy / "quality" / "title" / "quality.json").write_text("{")
    (copy / "vectors" / "GR2S" / "vectors.npy").write_bytes(b"no array")
    page = read_page(write_page(recorded(Workdir(copy))))
    assert "quality.json" in page.text
    assert "vectors.npy" in page.text
    assert page.count("svg") == 1 + 2 + 1
    assert page.count("section") == 7


def test_without_matplotlib_there_are_no_figures_and_one_line_says_so(whole, tmp_path, monkeypatch):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = read_page(write_page(recorded(Workdir(copy))))
    assert page.count("svg") == page.count("figure") == 0
    assert page.text.count("matplotlib is not installed") == 1
    assert page.count("table") > 6


@pytest.mark.parametrize("several", [{"seeds": (3, 8)}, {"folds": 2}], ids=["seeds", "folds"])
def test_of_several_seeds_or_folds_the_first_is_shown(several, collection, tmp_path):
    experiment = over(small_experiment(rows=(BM25Row(), LSARow())), collection)
    if folds := several.get("folds"):
        corpus = dataclasses.replace(experiment.corpus, folds=folds, test_queries=0, validation_queries=0)
        experiment = dataclasses.replace(experiment, corpus=corpus)
    run_experiment(experiment, tmp_path, seeds=several.get("seeds", ()))
    page = read_page(tmp_path / "report" / "index.html")
    assert f"of the first {next(iter(several)).removesuffix('s')}" in page.text
    assert "LSA against BM25" in page.text
    assert "No row of the run was trained." in page.text
    assert ("over the seeds 3, 8" in page.text) == ("seeds" in several)
    written = (tmp_path / "report" / "index.html").read_bytes()
    assert write_page(recorded(Workdir(tmp_path))).read_bytes() == written


# runs written by hand

LISTS = {"GR2S": [["good"]] * 5 + [["bad"]], "BM25": [["bad"], ["bad", "good"], *[["good"]] * 4]}


@pytest.fixture
def by_hand(tmp_path):
    """Makes a run of some rows over six queries with one relevant document each, and writes its table."""

    def made(name="run", rows=("GR2S", "BM25"), queries=6, text="query"):
        rows = tuple(BM25Row() if row == "BM25" else System(row, "title") for row in rows)
        run = Run(Experiment(name=f"by <hand> {name}", rows=rows), tmp_path / name)
        texts = {f"q{i}": f"{text} {i}" for i in range(queries)}
        qrels = {query: {"bad": 0, "good": 1} for query in texts}
        documents = tuple(Document(doc_id, f"{doc_id} {SCRIPT}", "a text") for doc_id in ("bad", "good"))
        write_collection(Collection("by hand", documents, texts, qrels, {"source": "by hand"}), run.paths.corpus)
        write_json(run.paths.corpus / "provenance.json", {"provenance": {"source": "by hand"}})
        shutil.copy(run.paths.corpus / "qrels.txt", run.paths.corpus / "test.qrels")
        for row in rows:
            lines = [
                f"q{i} Q0 {doc} {rank} {-rank} {row.name}\n"
                for i, found in enumerate(LISTS[row.name][:queries])
                for rank, doc in enumerate(found, start=1)
            ]
            write_json(run.paths.runs / row.name / "cost.json", {"test_ms_per_query": 2.0, "index_mb": 1.5})
            (run.paths.runs / row.name / "test.trec").write_text("".join(lines))
        run.write_record()
        report(run)
        return run

    return made


def test_gains_losses_and_ranks_by_hand(by_hand):
    text = read_page(write_page(findings_of(by_hand()))).text
    assert "GR2S against BM25, by MRR@3: GR2S is better on 2 queries, worse on 1 and level on 3." in text
    gains, losses = text.split("Largest gains")[1].split("Largest losses")
    # query, difference, both scores, document, grade, both ranks
    assert f"query 0 +1.0000 1.0000 .0000 good {SCRIPT} 1 1 -" in gains
    assert f"query 1 +.5000 1.0000 .5000 good {SCRIPT} 1 1 2" in gains
    assert f"query 5 -1.0000 .0000 1.0000 good {SCRIPT} 1 - 1" in losses
    assert gains.count("query") == 3  # with the heading
    assert "the means of 6 queries are rough" in text.lower()


def test_which_grades_the_lists_hold_by_hand(by_hand):
    """Of q0 to q2 the one document of grade 3 is "good" and of grade 1 "bad"; of the others "good" has grade 1."""
    run = by_hand()
    graded = [f"q{i} 0 bad {int(i < 3)}\nq{i} 0 good {3 if i < 3 else 1}\n" for i in range(6)]
    (run.paths.corpus / "test.qrels").write_text("".join(graded))
    report(run)
    text = read_page(write_page(findings_of(run))).text
    section = text.split("Which grades do the first 20 documents hold?")[1].split("The share of")[0]
    cells = [
        _cell(1, 1, 1),
        _cell(0, 0, 0, 1, 1, 0),  # GR2S, grade 1
        _cell(0, 1, 1),
        _cell(1, 1, 0, 1, 1, 1),
    ]
    assert section.split() == "row grade 3 (n 3) grade 1 (n 6) GR2S {} {} BM25 {} {}".format(*cells).split()


def test_more_grades_than_a_table_has_columns_for_are_left_out(by_hand):
    run = by_hand(queries=5)
    grades = "".join(f"q{i} 0 bad {i + 1}\nq{i} 0 good {i + 6}\n" for i in range(5))
    for more, shown in ("", True), ("q0 0 other 11\n", False):
        (run.paths.corpus / "test.qrels").write_text(grades + more)
        report(run)
        assert ("Which grades" in read_page(write_page(findings_of(run))).text) is shown


def _cell(*values):
    mean, half = np.mean(values), t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    shown = f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]"
    return shown.replace(" 0.", " .").replace("[0.", "[.").removeprefix("0" if shown.startswith("0.") else "")


def test_without_its_lists_a_run_keeps_its_table(by_hand):
    run = by_hand()
    (run.paths.corpus / "test.qrels").write_text("q0 0 bad 1\nq0 0 good 3\n")
    report(run)
    (run.paths.runs / "GR2S" / "test.trec").write_text("no run")
    text = read_page(write_page(findings_of(run))).text
    assert "Which grades the lists hold is left out" in text
    assert "95% t intervals of the mean over the queries" in text


def test_what_a_run_lacks_is_one_sentence_each(by_hand):
    text = read_page(write_page(findings_of(by_hand(rows=("GR2S",))))).text
    for sentence in (
        "No row of the run was trained.",
        "The quality of the docids was not measured yet.",
        "The table has one row, and a comparison needs two.",
        "No row of the run has vectors",
    ):
        assert sentence in text
    assert "p, randomisation" not in text


def test_a_run_that_was_only_begun(tmp_path):
    run = Run(Experiment(name="begun", rows=(BM25Row(),)), tmp_path)
    run.write_record()
    page = read_page(write_page(findings_of(run)))
    assert "The run has no measures of test queries." in page.text
    assert page.count("section") == 7


def test_without_validation_measures_there_is_a_line_and_without_finite_losses_no_curve(by_hand):
    run = by_hand()
    directory = run.begin_training("GR2S", "0" * 16).directory
    directory.mkdir(parents=True)
    lines = [
        {"step": 1, "loss": float("nan"), "loss/a": 2.0, "time": 60.0, "wall": 60.0},
        {"step": 9, "loss": 3, "time": 90},
    ]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 10, "lo')
    page = read_page(write_page(findings_of(run)))
    assert "No validation measures were logged" in page.text
    assert "1970-01-01 00:00 UTC 1970-01-01 00:01 UTC" in page.text
    assert "GR2S: the loss and its parts." in page.text


def test_a_row_that_was_left_out_is_named_with_its_reason(by_hand):
    run = by_hand()
    shutil.rmtree(run.paths.runs / "BM25")
    write_json(run.paths.runs / "BM25" / "left_out.json", {"why": "no <words>"})
    report(run)
    assert "BM25 : no <words>" in read_page(write_page(findings_of(run))).text


# several runs


def test_several_runs_are_side_by_side(by_hand, tmp_path, capsys):
    first, second = by_hand("one"), by_hand("two", rows=("BM25",))
    output = tmp_path / "both.html"
    assert gr2("report", first.paths.root, second.paths.root, "--output", output) == 0
    assert capsys.readouterr().out.strip() == str(output)
    page, written = read_page(output), output.read_bytes()
    assert "one, two." in page.text
    assert "measured on the same queries. one: n = 6, two: n = 6." in page.text
    assert page.text.count("row one two") == 4  # a table for each measure
    assert page.count("svg") == 2
    assert "rows.GR2S System -" in page.text  # a setting that one lacks
    assert gr2("report", first.paths.root, second.paths.root, "--output", output) == 0
    assert output.read_bytes() == written


def test_other_queries_and_other_measures_are_said(by_hand, tmp_path):
    runs = [findings_of(by_hand("one")), findings_of(by_hand("two", queries=4))]
    write_page_of_several(runs, tmp_path / "page.html")
    text = read_page(tmp_path / "page.html").text
    assert "not measured on the same queries (4 are in all): compare with care" in text
    write_json(runs[1].run.paths.metrics / "test.json", {"BM25": {"MRR@3": 0.5}})
    runs[1] = findings_of(runs[1].run)
    write_page_of_several(runs, tmp_path / "page.html")
    assert "Not in all runs, and left out: MRR@20, Hits@1, Hits@10." in read_page(tmp_path / "page.html").text


def test_names_tell_runs_apart(tmp_path):
    places = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert _names(places) == ["a/run", "b/run"]
    with pytest.raises(UserError, match="given twice"):
        _names([tmp_path, tmp_path / "a" / ".."])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "holds no run"),
        ([".", "--output", "x.html"], "--output is for a page over several runs"),
        (["a", "b", "--output", "."], "a folder"),
        (["a", "--colour"], "--colour"),
        ([], "workdir"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert gr2("report", *words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert told in err
    assert err.count("\n") == 1
