"""The table over runs that are written by hand."""

import pytest

from gr2_jax.errors import UserError
from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.experiment import EvaluationConfig, Experiment
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.report import report
from gr2_jax.pipeline.rows import BM25Row, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.workdir import Workdir

LISTS = {"GR2S": [["good"]] * 6, "MLE": [["good"]] * 2 + [["bad", "good"]] * 4, "BM25": [["bad"]] * 6}
ROWS = (System("GR2S", "title"), System("MLE", "title"), BM25Row())


@pytest.fixture
def workdir(tmp_path):
    """Six queries with one relevant document, found at rank 1, at rank 1 or 2, and never."""
    workdir = Workdir(tmp_path)
    write_json(workdir.corpus / "provenance.json", {"provenance": "by hand"})
    (workdir.corpus / "test.qrels").write_text("".join(f"q{i} 0 good 1\nq{i} 0 bad 0\n" for i in range(6)))
    for name, lists in LISTS.items():
        lines = (
            f"q{i} Q0 {doc} {rank} {-rank} {name}\n"
            for i, docs in enumerate(lists)
            for rank, doc in enumerate(docs, start=1)
        )
        cost = {"test_ms_per_query": 2.0, "index_mb": 1.5}
        trained = {} if name == "BM25" else {"model_mb": 30.25, "train_seconds": 60.0, "proven_share": 0.5}
        write_json(workdir.runs / name / "cost.json", cost | trained)
        (workdir.runs / name / "test.trec").write_text("".join(lines))
    return workdir


def test_binary_judgements_have_the_papers_binary_measures_and_costs_have_columns(workdir):
    table = report(Run(Experiment(name="by hand", rows=ROWS), workdir.root))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    measures, costs = ["MRR@3", "MRR@20", "Hits@1", "Hits@10"], ["index MB", "model MB", "train s", "ms/query"]
    assert cells[0] == ["run", *measures, "p MRR@3", *costs]
    assert cells[2][1] == "1.0000*"
    assert cells[3][1:5] == [".6667", ".6667", ".3333", "1.0000*"]
    assert cells[3][6:] == ["1.5", "30.25", "60", "2"]
    assert cells[4][1:] == [".0000"] * 4 + ["-", "1.5", "-", "-", "2"]
    assert (workdir.report / "test.md").read_text() == table + "\n"


def test_the_summary_has_both_tests_of_significance(workdir):
    evaluation = EvaluationConfig(measures=("Hits@1", "P@1"))
    report(Run(Experiment(name="by hand", rows=ROWS, evaluation=evaluation), workdir.root))
    summary = read_json(workdir.metrics / "summary.json")
    # all six differ in one direction: 2 of 64 ways, twice for two rows; two of six differ: 2 of 4 ways
    assert summary["GR2S"]["p randomisation"] == pytest.approx(2 * 2 / 64)
    assert summary["MLE"]["p randomisation"] == pytest.approx(2 / 4)
    assert summary["GR2S"]["p Hits@1"] == 0.0
    # d = 1 1 0 0 0 0: mean 1/3, variance 4/15, t = sqrt(2.5), 5 degrees of freedom
    assert summary["MLE"]["p Hits@1"] == pytest.approx(0.17469, abs=1e-4)
    assert summary["MLE"]["proven"] == 0.5
    assert "p Hits@1" not in summary["BM25"]
    assert "paired randomisation test" in summary["provenance"]["conventions"]
    assert summary["provenance"]["queries"] == 6


def cells_of(table):
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return {
        name.strip(): [cell.strip() for cell in cells] for _, name, *cells, _ in (line.split("|") for line in lines)
    }


def test_a_row_of_zeros_is_scored_and_has_a_note(workdir):
    (workdir.runs / "BM25" / "test.trec").write_text("")
    table = report(Run(Experiment(name="by hand", rows=ROWS), workdir.root))
    cells, summary = cells_of(table), read_json(workdir.metrics / "summary.json")
    assert cells["BM25"][:5] == [".0000"] * 4 + ["-"]
    assert cells["GR2S"][0] == "1.0000*"
    note = "found no document for any of the 6 queries: none shares a word with a document"
    assert table.endswith(f"\n\n{rough_means(6)}\nBM25: {note}")
    assert summary["BM25"]["note"] == note
    assert summary["MLE"]["p MRR@3"] < 0.05  # against zeros, six queries
    assert read_json(workdir.metrics / "test" / "BM25.json")["MRR@3"] == dict.fromkeys((f"q{i}" for i in range(6)), 0.0)
    assert (workdir.report / "test.md").read_text() == table + "\n"


@pytest.mark.parametrize("name", ["BM25", "MLE"])
def test_a_row_that_was_left_out_is_dashes_and_counts_in_no_test_and_no_star(workdir, name):
    run = Run(Experiment(name="by hand", rows=ROWS), workdir.root)
    report(run)
    for file in (workdir.runs / name).iterdir():
        file.unlink()
    write_json(workdir.runs / name / "left_out.json", {"why": "it has no words"})
    table = report(run)
    cells, summary = cells_of(table), read_json(workdir.metrics / "summary.json")
    assert set(cells[name]) == {"-"}
    assert table.endswith(f"\n\n{rough_means(6)}\n{name}: it has no words")
    assert summary[name] == {"note": "it has no words"}
    assert not (workdir.metrics / "test" / f"{name}.json").exists()  # that of the first report
    if name == "BM25":  # nothing to compare with
        assert cells["GR2S"][4] == cells["MLE"][4] == "-"
        assert cells["GR2S"][0] == "1.0000*"
    else:  # the only comparison needs no correction: six of six differ, 2 of 64 ways
        assert summary["GR2S"]["p randomisation"] == pytest.approx(2 / 64)


def test_without_any_row_there_is_no_table(workdir):
    for row in ROWS:
        write_json(workdir.runs / row.name / "left_out.json", {"why": f"{row.name} has no words"})
    with pytest.raises(UserError, match="no row of the table can be searched with: GR2S: GR2S has no words"):
        report(Run(Experiment(name="by hand", rows=ROWS), workdir.root))


def test_few_queries_are_called_rough_below_the_table(workdir):
    run = Run(Experiment(name="by hand", rows=ROWS), workdir.root)
    assert report(run).endswith(f"\n\n{rough_means(6)}")
    queries = range(30)
    (workdir.corpus / "test.qrels").write_text("".join(f"q{i} 0 good 1\n" for i in queries))
    assert "rough" not in report(run)
