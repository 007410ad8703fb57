"""The table over the runs of several seeds, which are written by hand."""

import pytest

from gr2_jax.evaluation.few_queries import rough_means
from gr2_jax.evaluation.significance import paired_t_test
from gr2_jax.experiment import EvaluationConfig, Experiment
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.rows import BM25Row, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.seeds import _mean_values, report_seeds
from gr2_jax.pipeline.workdir import Workdir

FOUND = {
    3: {"GR2S": "yyyyy-", "MLE": "yyyy--", "BM25": "yyy---"},
    8: {"GR2S": "yyyy--", "MLE": "--yyyy", "BM25": "yyy---"},
}
"""Seed -> row -> whether the relevant document of each of six queries is found."""
EXPERIMENT = Experiment(
    name="by hand",
    rows=(System("GR2S", "title"), System("MLE", "title"), BM25Row()),
    evaluation=EvaluationConfig(measures=("Hits@1", "P@2")),
)


@pytest.fixture
def seeds(tmp_path):
    runs = {seed: Run(EXPERIMENT, tmp_path / f"seed-{seed}") for seed in FOUND}
    for seed, run in runs.items():
        write_json(run.paths.corpus / "provenance.json", {"provenance": "by hand"})
        (run.paths.corpus / "test.qrels").write_text("".join(f"q{i} 0 good 1\n" for i in range(6)))
        for row, found in FOUND[seed].items():
            cost = {"test_ms_per_query": float(seed), "index_mb": 1.5}
            trained = {} if row == "BM25" else {"model_mb": 30.25, "train_seconds": 10.0 * seed}
            write_json(run.paths.runs / row / "cost.json", cost | trained)
            lines = [f"q{i} Q0 {'good' if one == 'y' else 'bad'} 1 0.5 {row}\n" for i, one in enumerate(found)]
            (run.paths.runs / row / "test.trec").write_text("".join(lines))
    return runs


@pytest.fixture
def table(seeds, tmp_path):
    return report_seeds(Run(EXPERIMENT, tmp_path), seeds)


def test_the_table_shows_mean_and_standard_deviation(table, tmp_path):
    lines = {name.strip(): [cell.strip() for cell in cells] for _, name, *cells, _ in _split(table)}
    # 5/6 and 4/6: the mean is 3/4, the standard deviation (1/6) / sqrt(2)
    assert lines["GR2S"][:2] == [".7500 ± .1179*", ".3750 ± .0589*"]
    assert lines["MLE"][0] == ".6667 ± .0000"
    assert lines["BM25"][0] == ".5000 ± .0000"
    assert lines["GR2S"][3:] == ["1.5", "30.25", "55", "5.5"]
    over, rough = table.splitlines()[-2:]
    assert over.startswith("measures are mean ± standard deviation over the seeds 3, 8; the tests pair queries")
    assert rough == rough_means(6)
    assert Workdir(tmp_path).report.joinpath("test.md").read_text() == f"{table}\n"


def _split(table):
    return [line.split("|") for line in table.splitlines() if line.startswith("| ")]


def test_the_summary_holds_mean_deviation_and_each_seeds_value(table, tmp_path):
    summary = read_json(tmp_path / "metrics" / "summary.json")
    row = summary["GR2S"]
    assert row["Hits@1"] == pytest.approx(3 / 4)
    assert row["sd"] == pytest.approx({"Hits@1": 1 / 6 / 2**0.5, "P@2": 1 / 12 / 2**0.5})
    assert row["seeds"]["3"] == pytest.approx({"Hits@1": 5 / 6, "P@2": 5 / 12})
    assert row["seeds"]["8"] == pytest.approx({"Hits@1": 4 / 6, "P@2": 4 / 12})
    assert row["train s"] == 55.0
    assert summary["BM25"]["sd"] == {"Hits@1": 0.0, "P@2": 0.0}  # not nearly: its lists are the same
    assert {measure: summary["BM25"][measure] for measure in ("Hits@1", "P@2")} == summary["BM25"]["seeds"]["3"]
    about = summary["provenance"]
    assert (about["seeds"], about["queries"]) == ([3, 8], 6)
    assert "seed" not in about
    assert "for each the mean over the seeds of both rows" in about["conventions"]


def test_the_tests_pair_the_queries_means_over_the_seeds(table, tmp_path):
    summary = read_json(tmp_path / "metrics" / "summary.json")
    means = {
        "GR2S": [1, 1, 1, 1, 0.5, 0],  # of yyyyy- and yyyy--
        "MLE": [0.5, 0.5, 1, 1, 0.5, 0.5],
        "BM25": [1, 1, 1, 0, 0, 0],
    }
    by_query = {name: {f"q{i}": value for i, value in enumerate(values)} for name, values in means.items()}
    assert read_json(tmp_path / "metrics" / "test" / "GR2S.json")["Hits@1"] == by_query["GR2S"]
    raw = {name: paired_t_test(by_query[name], by_query["BM25"]) for name in ("GR2S", "MLE")}
    smaller, larger = sorted(raw, key=raw.get)
    assert summary[smaller]["p Hits@1"] == pytest.approx(2 * raw[smaller])  # Holm, over two rows
    assert summary[larger]["p Hits@1"] == pytest.approx(max(raw[larger], 2 * raw[smaller]))


def test_the_mean_of_equal_values_is_that_value():
    """0.675 + 0.675 + 0.675 divided by 3 is not."""
    assert _mean_values([{"m": 0.675}] * 3) == {"m": 0.675}


def test_a_row_that_a_seed_leaves_out_is_left_out_with_the_seed(seeds, tmp_path):
    directory = seeds[8].paths.runs / "MLE"
    (directory / "test.trec").unlink()
    write_json(directory / "left_out.json", {"why": "it has no words"})
    table = report_seeds(Run(EXPERIMENT, tmp_path), seeds)
    assert table.endswith("MLE: it has no words (seed 8)")
    assert read_json(tmp_path / "metrics" / "summary.json")["MLE"] == {"note": "it has no words (seed 8)"}


def test_one_seed_has_no_standard_deviation(seeds, tmp_path):
    table = report_seeds(Run(EXPERIMENT, tmp_path), {8: seeds[8]})
    assert "±" not in table
    assert "\nmeasures are of the seed 8 alone: a standard deviation needs two\n" in table
    assert "sd" not in read_json(tmp_path / "metrics" / "summary.json")["GR2S"]
