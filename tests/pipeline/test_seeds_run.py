"""`--seeds`: each seed a run of its own in seed-<n>/, all on one split, and one table."""

import contextlib
import dataclasses
import io
import shutil

import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.cli import main
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import EvaluationConfig, OptimiserConfig, Pretraining
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline import stages
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.report import means, score_rows
from gr2_jax.pipeline.rows import BASELINES, BM25Row, LSARow, System
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

EXPERIMENT = small_experiment(
    retrieval=retrieval(optimiser=OptimiserConfig(steps=8, warmup_steps=1)),
    evaluation=EvaluationConfig(batch=8, beams=4),
    rows=(System("GR2S", "title"), BM25Row(), LSARow()),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    return over(EXPERIMENT, folder)


@pytest.fixture(scope="module")
def gr2(experiment):
    """Calls the command line in this process; the config file is the experiment. Exit code, stdout and stderr."""

    def call(*words):
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr("gr2_jax.experiment.loading.load_experiment", lambda *_: experiment)
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in words])
        return left.value.code, out.getvalue(), err.getvalue()

    return call


@pytest.fixture(scope="module")
def finished(gr2, tmp_path_factory):
    """The workdir of a run of the seeds 0 and 2, and what it printed on stdout and stderr."""
    workdir = tmp_path_factory.mktemp("seeds") / "w"
    code, out, err = gr2("run", "config.py", "--workdir", workdir, "--seeds", "0,2")
    assert code == 0, err
    return Workdir(workdir), out, err


def test_every_row_is_trained_once_per_seed_on_one_split(finished):
    workdir, _, err = finished
    assert [line for line in err.splitlines() if line.startswith(("seed", "training GR2S"))] == [
        "seed 0, 1 of 2",
        "training GR2S on title docids, 8 steps",
        "seed 2, 2 of 2",
        "training GR2S on title docids, 8 steps",
    ]
    for name in ("split.json", "test.qrels", "documents.jsonl"):
        first, second = (workdir.seed(seed).corpus / name for seed in (0, 2))
        assert first.read_bytes() == second.read_bytes()
    lists = [[(workdir.seed(s).runs / row / "test.trec").read_bytes() for s in (0, 2)] for row in ("BM25", "GR2S")]
    assert lists[0][0] == lists[0][1]
    assert lists[1][0] != lists[1][1]
    assert [read_json(workdir.seed(s).config)["experiment"]["seed"] for s in (0, 2)] == [0, 2]


def test_the_table_and_the_summary_are_over_the_seeds(finished):
    workdir, out, _ = finished
    summary = read_json(workdir.metrics / "summary.json")
    assert set(summary["GR2S"]["seeds"]) == {"0", "2"}
    assert summary["BM25"]["sd"] == {"nDCG@5": 0.0, "nDCG@20": 0.0, "P@20": 0.0, "ERR@20": 0.0}
    assert summary["GR2S"]["sd"]["nDCG@20"] > 0
    for seed, values in summary["GR2S"]["seeds"].items():  # as a run of that seed alone would have it
        run = open_run(workdir.seed(int(seed)).root)
        assert means(score_rows(run, "test").scores["GR2S"]) == values
    assert "± .0000" in next(line for line in out.splitlines() if line.startswith("| BM25"))
    assert "mean ± standard deviation over the seeds 0, 2" in out
    assert f"runs     {workdir.root}/seed-<n>/runs/<row>/test.trec" in out
    assert f"--workdir {workdir.root}/seed-0" in out
    assert "\nfirst seed's docids title: " in out


def test_the_same_command_does_nothing_again_and_says_the_same(gr2, finished):
    workdir, out, _ = finished
    code, again, err = gr2("run", "config.py", "--workdir", workdir.root, "--seeds", "0,2")
    assert (code, again) == (0, out)
    assert "training" not in err
    assert "searching" not in err


def test_one_of_them_is_searched_and_the_whole_names_one(gr2, finished):
    workdir, _, _ = finished
    code, out, _ = gr2("search", "how to sort", "--workdir", workdir.seed(2).root, "-k", "2")
    assert code == 0
    assert out.splitlines()[0].startswith(" 1 ")
    for command in (["search", "how to sort", "--workdir", workdir.root], ["evaluate", workdir.root]):
        code, out, err = gr2(*command)
        assert (code, out) == (2, "")
        assert err == f"gr2: {workdir.root} has one run per seed: open one of them, such as {workdir.root}/seed-0\n"


def test_one_of_them_is_a_run_of_its_own(gr2, finished):
    """Asked for by itself, it is as it was."""
    root = finished[0].seed(2).root
    code, _, err = gr2("train", "config.py", "--workdir", root, "--seed", "2")
    assert code == 0
    assert "training" not in err


def test_after_cleaning_nothing_is_made_again_and_a_search_is_the_same(gr2, finished):
    workdir, _, _ = finished
    root, query = workdir.seed(2).root, ["search", "how to sort", "-k", "5", "--workdir"]
    code, hits, _ = gr2(*query, root)
    training = open_run(root).training("GR2S").directory
    shutil.copytree(training, training.with_name("GR2S-0123456789abcdef"))  # as of other settings
    code, shown, _ = gr2("clean", workdir.root)
    assert training.with_name("GR2S-0123456789abcdef").is_dir()
    code, freed, _ = gr2("clean", workdir.root, "--yes")
    assert [line.split()[2] for line in freed.splitlines()[:-1]] == [str(root / "checkpoints/GR2S-0123456789abcdef")]
    assert shown.splitlines()[:-1] == freed.splitlines()[:-1]
    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == [training.name]
    assert gr2(*query, root)[:2] == (0, hits)
    code, _, err = gr2("run", "config.py", "--workdir", workdir.root, "--seeds", "0,2")
    assert code == 0
    assert "training" not in err
    assert "searching" not in err


def test_an_unfinished_run_of_seeds_is_known_as_one_and_goes_on(experiment, tmp_path, monkeypatch):
    """Of rows without training: killed in the second seed, and asked again."""
    experiment = dataclasses.replace(experiment, rows=BASELINES)
    evaluate, searched = stages.evaluate_row, []

    def noted(run, row):
        searched.append((run.experiment.seed, row.name))
        if len(searched) == 5:
            raise KeyboardInterrupt
        evaluate(run, row)

    monkeypatch.setattr(stages, "evaluate_row", noted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, tmp_path / "w", seeds=(0, 1))
    with pytest.raises(UserError, match=r"one run per seed: open one of them, such as .*/seed-0$"):
        open_run(tmp_path / "w")
    before = (tmp_path / "w/seed-0/runs/BM25/stage.json").stat().st_mtime_ns
    table = run_experiment(experiment, tmp_path / "w", seeds=(0, 1))
    assert before == (tmp_path / "w/seed-0/runs/BM25/stage.json").stat().st_mtime_ns
    assert searched[3:5] == [(1, "BM25"), (1, "BM25+queries")]
    assert table.splitlines()[2].count("± .0000") == 4


def test_folds_and_seeds_combine(experiment, tmp_path):
    corpus = dataclasses.replace(experiment.corpus, folds=2)
    experiment = dataclasses.replace(experiment, rows=(BM25Row(), LSARow()), corpus=corpus)
    table = run_experiment(experiment, tmp_path / "w", seeds=(0, 1))
    summary = read_json(tmp_path / "w/metrics/summary.json")
    assert summary["provenance"]["queries"] == len(TEXTS)
    assert set(summary["BM25"]["sd"].values()) == {0.0}
    assert "first seed's first fold's docids title: " in table
    with pytest.raises(UserError, match=r"one run per seed: open one of them, such as .*/seed-0/fold-0$"):
        open_run(tmp_path / "w")


def test_a_run_of_one_seed_takes_over_the_record_of_several(experiment, tmp_path):
    """The experiments are equal; only the record of the seeds would keep the run from being opened."""
    experiment = dataclasses.replace(experiment, rows=BASELINES)
    write_json(tmp_path / "config.json", {"experiment": to_record(experiment), "seeds": [0, 1]})
    run_experiment(experiment, tmp_path, until="prepare")
    assert open_run(tmp_path).experiment == experiment


def test_pretraining_has_no_seeds(gr2, experiment, monkeypatch, tmp_path):
    monkeypatch.setattr("gr2_jax.recipes.quickstart.PROFILES", {"tiny": Pretraining(name="x", workdir=str(tmp_path))})
    code, _, err = gr2("quickstart", "--profile", "tiny", "--seeds", "0,1")
    assert (code, err.count("\n")) == (2, 1)
    assert "--seeds is for a table over several seeds, and pre-training has none" in err
