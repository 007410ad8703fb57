"""runs/ and metrics/ hold the rows of the table; what other settings left is kept in runs/old."""

import dataclasses

import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus.collection import Document
from gr2_jax.errors import SettingError
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.old_runs import put_away, put_away_others
from gr2_jax.pipeline.rows import BASELINES, BM25Row, LSARow
from gr2_jax.pipeline.stage import Stage, current_fingerprint
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

A, B = "a" * 16, "b" * 16


@pytest.fixture
def paths(tmp_path):
    return Workdir(tmp_path)


def make(paths, row, fingerprint, text="lists"):
    """A row's lists, and its values on the test queries."""
    Stage(paths.runs / row, fingerprint).build(lambda out: (out / "test.trec").write_text(text))
    write_json(paths.metrics / "test" / f"{row}.json", text)


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_lists_go_with_their_values_under_their_fingerprint(paths):
    make(paths, "GR2S", A)
    put_away(paths, "GR2S")
    assert files(paths.root) == [f"runs/old/GR2S-{A}/{name}" for name in ("stage.json", "test.json", "test.trec")]
    put_away(paths, "GR2S")  # there is nothing


def test_those_of_several_settings_lie_beside_each_other_and_equal_ones_once(paths):
    for fingerprint, text in ((A, "first"), (B, "other"), (A, "again")):
        make(paths, "GR2S", fingerprint, text)
        put_away(paths, "GR2S")
    assert sorted(path.name for path in paths.old_runs.iterdir()) == [f"GR2S-{A}", f"GR2S-{B}"]
    assert (paths.old_run("GR2S", B) / "test.trec").read_text() == "other"


def test_a_damaged_fingerprint_names_no_other_place(paths):
    make(paths, "GR2S", "../../elsewhere")
    put_away(paths, "GR2S")
    assert (paths.old_run("GR2S", "damaged") / "test.trec").read_text() == "lists"


def test_others_are_those_that_the_table_does_not_have(paths):
    for row in ("GR2S", "MLE"):
        make(paths, row, A)
    write_json(paths.metrics / "validation" / "Gone.json", "values without lists")
    (paths.runs / "mine").mkdir()
    (paths.runs / "mine" / "notes.txt").touch()
    (paths.runs / "BM25.partial").mkdir()
    put_away_others(paths, lists=["GR2S"], scores=["GR2S"])
    put_away_others(paths, lists=["GR2S"], scores=["GR2S"])
    assert sorted(path.name for path in paths.runs.iterdir()) == ["BM25.partial", "GR2S", "mine", "old"]
    assert files(paths.metrics) == ["test/GR2S.json"]
    gone, lists = sorted(paths.old_runs.iterdir())
    assert (gone.name[:5], files(gone)) == ("Gone-", ["validation.json"])
    assert (lists.name, files(lists)) == (f"MLE-{A}", ["stage.json", "test.json", "test.trec"])


def test_no_row_is_named_as_the_folder():
    with pytest.raises(SettingError, match="name is 'old', the folder of runs/ for earlier lists"):
        BM25Row("old")


def test_a_run_of_other_rows_and_settings_puts_the_first_ones_away(tmp_path):
    write_folder(tmp_path, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    experiment, paths = over(small_experiment(rows=BASELINES), tmp_path), Workdir(tmp_path / "run")
    run_experiment(experiment, paths.root)
    before = {row.name: current_fingerprint(paths.runs / row.name) for row in BASELINES}
    lists = {name: (paths.runs / name / "test.trec").read_bytes() for name in before}
    values = read_json(paths.metrics / "test" / "BM25.json")
    # BM25 reads other texts, BM25+queries is gone, LSA stays
    rows = (BM25Row("BM25", training_queries=True), LSARow())
    table = run_experiment(dataclasses.replace(experiment, rows=rows), paths.root)
    assert sorted(path.name for path in paths.runs.iterdir()) == ["BM25", "LSA", "old"]
    assert files(paths.metrics) == ["summary.json", "test.json", "test/BM25.json", "test/LSA.json"]
    assert current_fingerprint(paths.runs / "LSA") == before["LSA"]
    assert current_fingerprint(paths.runs / "BM25") != before["BM25"]
    assert {path.name for path in paths.old_runs.iterdir()} == {f"{n}-{before[n]}" for n in ("BM25", "BM25+queries")}
    for name in ("BM25", "BM25+queries"):
        assert (paths.old_run(name, before[name]) / "test.trec").read_bytes() == lists[name]
    assert read_json(paths.old_run("BM25", before["BM25"]) / "test.json") == values
    assert "BM25+queries" not in table
    assert set(read_json(paths.metrics / "summary.json")) == {"BM25", "LSA", "provenance"}
    # as one of several seeds the root has no lists; their values are means now
    run_experiment(dataclasses.replace(experiment, rows=rows), paths.root, seeds=(0, 1))
    assert [path.name for path in paths.runs.iterdir()] == ["old"]
    assert files(paths.metrics) == ["summary.json", "test.json", "test/BM25.json", "test/LSA.json"]
    assert paths.old_run("LSA", before["LSA"]).is_dir()
