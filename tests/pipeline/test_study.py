"""`gr2 study`: points that share what they have in common, a table over seeds, and a page; killed, it goes on."""

import contextlib
import csv
import dataclasses
import io
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

sys.path.append(str(Path(__file__).parents[1]))
from html_pages import Outline

from gr2_jax.cli import main
from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.evaluation.significance import holm
from gr2_jax.experiment import DocidConfig, EvaluationConfig, ModelConfig, OptimiserConfig
from gr2_jax.experiment.loading import override
from gr2_jax.experiment.study import Changes, Pair, Setting, Study
from gr2_jax.files import read_json
from gr2_jax.pipeline import stages
from gr2_jax.pipeline.lending import borrow, lending
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.report import means, score_rows
from gr2_jax.pipeline.rows import BM25Row, LSARow, System, system
from gr2_jax.pipeline.schemes import FusionQueries, pseudo_queries
from gr2_jax.pipeline.stage import Stage
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.study.plan import planned, trainings
from gr2_jax.pipeline.study.results import Measured, Scores, write_results
from gr2_jax.pipeline.study.running import run_study
from gr2_jax.training.checkpoints import checkpoint_steps

TAU = "retrieval.objective.temperature"
BASE = small_experiment(
    retrieval=retrieval(
        model=ModelConfig(num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0),
        optimiser=OptimiserConfig(steps=8, warmup_steps=1),
    ),
    evaluation=EvaluationConfig(batch=8, beams=4),
    rows=(System("GR2S", "title"), BM25Row()),
)
AXES = (
    Setting("tau", TAU, (0.05, 0.1)),
    Changes("ranking", {"likelihood": lambda base: override(base, ["--evaluation.ranking", "likelihood"])}),
    Pair("map", Setting("beams", "evaluation.beams", (4,)), Setting("w", "evaluation.weight", (0.5, 1.0))),
)
POINTS = ["base", "tau=0.05", "ranking=likelihood", "beams=4,w=0.5"]
SEEDS = (0, 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    return Study(name="small-study", base=over(BASE, folder), axes=AXES, seeds=SEEDS)


@pytest.fixture(scope="module")
def gr2(study):
    """Calls the command line in this process; the file is the study. Exit code, stdout and stderr."""

    def call(*words):
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr("gr2_jax.experiment.study_file.load_study", lambda *_: study)
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in words])
        return left.value.code, out.getvalue(), err.getvalue()

    return call


@pytest.fixture(scope="module")
def finished(gr2, tmp_path_factory):
    """The folder of a study that was killed where the second point's second seed began to train, and finished by the
    same command; the trainings that began, and what the two commands printed on stdout and stderr."""
    root, trained, train = tmp_path_factory.mktemp("study") / "w", [], system.train

    def noted(job, params, directory):
        trained.append(directory.relative_to(root / "points").parts[:2])
        if len(trained) == 4:
            raise KeyboardInterrupt
        return train(job, params, directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "train", noted)
        killed, goes_on = (gr2("study", "study.py", "--workdir", root) for _ in range(2))
    assert (killed[0], goes_on[0]) == (130, 0), goes_on[2]
    return Finished(root, trained, goes_on[1], killed[2], goes_on[2])


class Finished(NamedTuple):
    root: Path
    trained: list[tuple[str, str]]
    out: str
    killed: str
    err: str


def lists(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.glob("points/*/seed-*/runs/*/*.trec"))}


def written(root):
    return {name: (root / name).read_bytes() for name in ("study.csv", "report/study.md", "report/index.html")}


def rows_of(root):
    with (root / "study.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_points_are_said_before_the_work_and_each_model_is_trained_once(finished, study):
    first = finished.killed[: finished.killed.index("point 1 of 4: base")]
    assert "study small-study over small: 4 points, seeds 0, 2" in first
    assert "4 trainings in all, 32 steps: 2 for each of 2 seeds" in first
    seeds = [(point, f"seed-{seed}") for point in POINTS[:2] for seed in SEEDS]
    assert finished.trained == [*seeds, seeds[-1]]
    plan = planned(study.over(study.base))
    assert [len(plan[name].own) for name in POINTS] == [1, 1, 0, 0]
    for stage in ("reading", "learning a vocabulary", "writing training examples", "docids: title", "with BM25"):
        assert (finished.killed + finished.err).count(stage) == len(SEEDS), stage
    assert sorted(path.name for path in (finished.root / "points").iterdir()) == sorted(POINTS)


def test_a_killed_study_does_only_what_was_not_done(finished):
    said = [line for text in finished[3:] for line in text.splitlines() if line.startswith("point ")]
    numbered = [f"point {number} of 4: {name}" for number, name in enumerate(POINTS, start=1)]
    assert said == [*numbered[:2], *numbered[1:]]


@pytest.mark.parametrize("point", ["tau=0.05", "ranking=likelihood"])
def test_a_point_is_the_run_that_its_settings_would_be(finished, study, tmp_path, point):
    """Of one the training was killed; the other's model is that of the base."""
    settings = {"tau=0.05": [f"--{TAU}", "0.05"], "ranking=likelihood": ["--evaluation.ranking", "likelihood"]}
    run_experiment(override(study.base, settings[point]), tmp_path / "w", seeds=SEEDS[1:])
    for file in ("GR2S/test.trec", "GR2S/validation.trec", "BM25/test.trec"):
        one = (finished.root / f"points/{point}/seed-2/runs/{file}").read_bytes()
        assert one == (tmp_path / f"w/seed-2/runs/{file}").read_bytes()
    others = finished.root / "points/base/seed-2/runs/GR2S/test.trec"
    assert read_run(others) != read_run(tmp_path / "w/seed-2/runs/GR2S/test.trec")


def test_the_csv_is_what_a_plain_loop_over_points_rows_seeds_and_measures_finds(finished):
    root = finished.root
    expected = []
    for point in POINTS:
        seeds = {seed: open_run(root / f"points/{point}/seed-{seed}") for seed in SEEDS}
        for row in ("GR2S", "BM25"):
            for seed, run in seeds.items():
                values = means(score_rows(run, "test").scores[row])
                expected += [(point, row, str(seed), measure, value) for measure, value in values.items()]
    found = [(one["point"], one["row"], one["seed"], one["measure"], float(one["value"])) for one in rows_of(root)]
    assert found == expected


def test_the_table_has_means_deviations_and_a_paired_test(finished):
    root, out = finished.root, finished.out
    values = {}
    for one in rows_of(root):
        if one["measure"] == "nDCG@20":
            values.setdefault((one["point"], one["row"]), []).append(float(one["value"]))
    for (point, row), own in values.items():
        line = next(line for line in out.splitlines() if line.startswith(f"| {point}: {row} "))
        mean, sd = f"{np.mean(own):.4f}".removeprefix("0"), f"{np.std(own, ddof=1):.4f}".removeprefix("0")
        assert f"{mean} ± {sd}" in line
    raw = {
        key: stats.ttest_rel(own, values["base", key[1]]).pvalue
        for key, own in values.items()
        if key[0] != "base" and own != values["base", key[1]]
    }
    assert f"Holm-corrected over {len(raw)} comparisons" in out
    assert 0 < len(raw) <= 3


def test_asked_again_it_does_nothing_and_says_the_same(gr2, finished):
    root, out = finished.root, finished.out
    before, bytes_ = {path: path.stat().st_mtime_ns for path in root.glob("points/**/*")}, written(root)
    code, again, err = gr2("study", "study.py", "--workdir", root)
    assert (code, again) == (0, out)
    assert "point 1 of" not in err
    assert {path: path.stat().st_mtime_ns for path in root.glob("points/**/*")} == before
    assert written(root) == bytes_


def test_a_killed_study_ends_with_the_same_bytes(study, tmp_path, monkeypatch):
    """Of rows without training; killed in the second point."""
    rows = (BM25Row(), BM25Row("BM25+queries", training_queries=True))
    study = dataclasses.replace(study, axes=(Setting("queries", "corpus.training_queries", (5,)),))
    base = dataclasses.replace(study.base, rows=rows)
    run_study(study, base, tmp_path / "a", (0,))
    make, made = stages.make_docids, []

    def noted(run):
        made.append(run.paths.root.parent.name)
        if len(made) == 2:
            raise KeyboardInterrupt
        make(run)

    monkeypatch.setattr(stages, "make_docids", noted)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, base, tmp_path / "b", (0,))
    assert not (tmp_path / "b/study.csv").exists()
    run_study(study, base, tmp_path / "b", (0,))
    assert made == ["base", "queries=5", "queries=5"]
    assert lists(tmp_path / "a") == lists(tmp_path / "b")
    assert written(tmp_path / "a") == written(tmp_path / "b")


@pytest.mark.slow
def test_points_that_write_from_one_docid_model_train_it_once(study, tmp_path, monkeypatch):
    """|r| changes what the model writes, not the model."""
    tiny = {"model": BASE.retrieval.model, "optimiser": OptimiserConfig(steps=2), "pairs": 8, "beams": 2}
    docids = DocidConfig(schemes=(FusionQueries(**tiny, radius=1.0),))
    base = dataclasses.replace(study.base, rows=(BM25Row(),), docids=docids)
    study = dataclasses.replace(study, axes=(Setting("radius", "docids.schemes.fusion.radius", (4.0,)),))
    train, steps = pseudo_queries.train, []

    def noted(job, params, directory):
        steps.append(job.steps - max(checkpoint_steps(directory), default=0))
        return train(job, params, directory)

    monkeypatch.setattr(pseudo_queries, "train", noted)
    run_study(study, base, tmp_path, (0,))
    assert steps == [2, 0]
    tables = [
        (tmp_path / f"points/{name}/seed-0/docids/fusion/docids.tsv").read_text() for name in ("base", "radius=4.0")
    ]
    assert tables[0] != tables[1]


def test_the_page_has_a_figure_for_each_axis_and_refers_to_what_is_there(finished):
    root = finished.root
    page = (root / "report/index.html").read_text()
    outline = Outline(page)
    assert page.count("<svg") == 3
    assert {"part-tau", "part-ranking", "part-map", "part-measures", "part-points"} <= set(outline.ids)
    for reference in outline.references:
        if reference.endswith(".html"):
            assert (root / "report" / reference).is_file()
    assert "bars are one standard deviation over the seeds" in page


# without training


def measured(values, seeds, **changes):
    """A study of BM25 and LSA rows, with given values of nDCG@20 in place of what runs would find."""
    base = dataclasses.replace(BASE, rows=(BM25Row(), LSARow()))
    study = Study(name="s", base=base, axes=(Setting("beams", "evaluation.beams", (2, 8)),), **changes)
    scores = {
        point: Scores({row: {"nDCG@20": own} for row, own in rows.items()}, {}, {}, 99)
        for point, rows in values.items()
    }
    return Measured(study, study.over(base), seeds, scores)


VALUES = {
    "base": {"BM25": [0.5, 0.5, 0.5], "LSA": [0.40, 0.44, 0.43]},
    "beams=2": {"BM25": [0.5, 0.5, 0.5], "LSA": [0.30, 0.31, 0.35]},
    "beams=8": {"BM25": [0.5, 0.5, 0.5], "LSA": [0.41, 0.43, 0.46]},
}


def test_p_is_of_the_paired_t_test_over_seeds_corrected_by_holm():
    found = measured(VALUES, (0, 1, 2))
    low, high = (stats.ttest_rel(VALUES[p]["LSA"], VALUES["base"]["LSA"]).pvalue for p in ("beams=2", "beams=8"))
    assert low < high
    assert found.p == pytest.approx({("beams=2", "LSA"): min(1, 2 * low), ("beams=8", "LSA"): max(2 * low, high)})
    assert found.spread(("beams=2", "LSA"), "nDCG@20") == pytest.approx(
        (np.mean([0.30, 0.31, 0.35]), statistics.stdev([0.30, 0.31, 0.35]))
    )


def test_all_rows_are_compared_with_the_reference_row_of_the_reference_point():
    values = {point: VALUES[point] for point in ("beams=2", "beams=8")}
    found = measured(values, (0, 1, 2), reference="beams=2", reference_row="LSA")
    reference = values["beams=2"]["LSA"]
    raw = {key: stats.ttest_rel(found.values(key, "nDCG@20"), reference).pvalue for key in found.keys}
    del raw["beams=2", "LSA"]
    assert set(raw) == {("beams=2", "BM25"), ("beams=8", "BM25"), ("beams=8", "LSA")}
    assert found.p == pytest.approx(holm(raw))


def test_points_without_a_common_measure_are_refused():
    found = measured(VALUES, (0, 1, 2))
    other = found.scores["beams=8"]._replace(values={"BM25": {"MRR@3": [0.5]}, "LSA": {"MRR@3": [0.4]}})
    with pytest.raises(UserError, match=r"no measure in common \(one has nDCG@20\): give --evaluation.measures"):
        _ = dataclasses.replace(found, scores=found.scores | {"beams=8": other}).key


def test_a_row_without_the_measure_that_is_compared_has_a_dash(tmp_path):
    found = measured(VALUES, (0, 1, 2), measure="Somers' D")
    for point, values in found.scores.items():
        values.values["LSA"]["Somers' D"] = [value / 2 for value in VALUES[point]["LSA"]]
    assert found.measures == ("nDCG@20", "Somers' D")
    assert found.key == "Somers' D"
    assert set(found.p) == {("beams=2", "LSA"), ("beams=8", "LSA")}
    lines = write_results(found, tmp_path).splitlines()
    assert [line.split("|")[3].strip() for line in lines if ": BM25 " in line] == ["-"] * 3
    without = measured(VALUES, (0, 1, 2), measure="Somers' D")
    assert "no row has Somers' D, which the study is about" in without.about
    assert not any("is about" in line for line in found.about)
    assert sum(",Somers' D," in line for line in (tmp_path / "study.csv").read_text().splitlines()) == 3 * 3


def test_one_seed_has_no_deviation_and_no_test(tmp_path):
    values = {point: {row: own[:1] for row, own in rows.items()} for point, rows in VALUES.items()}
    table = write_results(measured(values, (7,)), tmp_path)
    assert "±" not in table
    assert "measures are of the seed 7 alone" in table
    assert (tmp_path / "study.csv").read_text().splitlines()[:2] == [
        "point,row,seed,measure,value",
        "base,BM25,7,nDCG@20,0.5",
    ]


def test_the_plan_tells_models_apart_by_what_decides_them():
    def of(*settings):
        return {training.of: training.settings for training in trainings(override(BASE, settings))}

    for same in (["--evaluation.beams", "9"], ["--retrieval.evaluate_every", "3"], ["--mesh.data", "1"]):
        assert of(*same) == of(), same
    for other in (
        ["--corpus.training_queries", "3"],
        ["--vocabulary.size", "90"],
        ["--retrieval.optimiser.steps", "9"],
        ["--rows.GR2S.steps_factor", "2"],
        ["--docids.max_length", "9"],
    ):
        assert of(*other)["GR2S"] != of()["GR2S"], other


def test_a_point_that_cannot_work_is_refused_before_any_work(gr2, study, tmp_path):
    axes = (Setting("K", "retrieval.batch.length", (8, 65)),)
    bad = dataclasses.replace(study, axes=axes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gr2_jax.experiment.study_file.load_study", lambda *_: bad)
        err = io.StringIO()
        with contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
            main(["study", "study.py", "--workdir", str(tmp_path / "w")])
    assert left.value.code == 2
    assert err.getvalue().count("\n") == 1
    assert "point K=65: --retrieval.batch.length is 65" in err.getvalue()
    assert not list((tmp_path / "w").glob("points/*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0,0"], "--seeds has 0 twice"),
        (["--seed", "3"], "a study has several seeds: give --seeds"),
        (["--retrieval.tau", "3"], "RetrievalConfig has no field 'tau'"),
        (["--retrieval.objective.gamma", "-1"], "--retrieval.objective.gamma is -1.0: it must be a number at least 0"),
    ],
)
def test_wrong_words_are_refused_in_one_sentence(gr2, tmp_path, words, message):
    code, out, err = gr2("study", "study.py", "--workdir", tmp_path / "w", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err or message.replace("a number ", "") in err


def test_what_is_lent_is_whole_and_of_the_same_fingerprint(tmp_path):
    lender, borrower = tmp_path / "a", tmp_path / "b"
    Stage(lender / "corpus", "x").build(lambda out: (out / "file").write_text("text"))
    with lending(borrower, [tmp_path / "none", lender]):
        assert not Stage(borrower / "corpus", "y").take_over()
        assert Stage(borrower / "corpus", "x").take_over()
        assert not borrow(borrower / "other", lambda path: path.is_dir())
        assert not borrow(tmp_path / "c" / "corpus", lambda path: path.is_dir())
    assert (borrower / "corpus/file").read_text() == "text"
    assert read_json(borrower / "corpus/stage.json") == read_json(lender / "corpus/stage.json")
    assert not Stage(borrower / "vocabulary", "x").take_over()


def test_a_training_that_was_begun_is_gone_on_with_and_not_replaced(tmp_path):
    lender, borrower = tmp_path / "a", tmp_path / "b"
    Stage(lender / "training", "x").build(lambda out: (out / "file").write_text("text"))
    (borrower / "training").mkdir(parents=True)
    with lending(borrower, [lender]):
        assert not Stage(borrower / "training", "x").take_over()


def test_logs_are_copied_since_lines_are_added_to_them(tmp_path):
    def build(out):
        (out / "metrics.jsonl").write_text("{}\n")
        (out / "weights").write_text("w")

    Stage(tmp_path / "a/training", "x").build(build)
    with lending(tmp_path / "b", [tmp_path / "a"]):
        Stage(tmp_path / "b/training", "x").build(build)
    for name, links in (("metrics.jsonl", 1), ("weights", 2)):
        assert (tmp_path / "b/training" / name).stat().st_nlink == links
