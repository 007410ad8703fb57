from gr2_jax.evaluation.table import Spread, format_table


def test_table():
    rows = {
        "GR2S": {"nDCG@20": 0.41026, "P(rel=2)@5": 1.0, "queries": 1400, "seconds": 12.34567},
        "BM25": {"nDCG@20": 0.4, "P(rel=2)@5": float("nan"), "queries": 225, "seconds": None},
        "MLE, 3 seeds": {"nDCG@20": 0.410261, "note": "not printed"},
    }
    assert format_table(rows, ["nDCG@20", "P(rel=2)@5", "queries", "seconds"]).splitlines() == [
        "| run          | nDCG@20 | P(rel=2)@5 | queries | seconds |",
        "| ------------ | ------: | ---------: | ------: | ------: |",
        "| GR2S         |  .4103* |     1.0000 |   1,400 |   12.35 |",
        "| BM25         |  .4000  |          - |     225 |       - |",
        "| MLE, 3 seeds |  .4103* |          - |       - |       - |",
    ]


def test_without_rows():
    assert format_table({}, ["nDCG@5"]) == "| run | nDCG@5 |\n| --- | -----: |"


def test_a_mean_over_runs_is_marked_by_the_mean():
    rows = {
        "GR2S": {"P@5": Spread(0.5, 0.125)},
        "MLE": {"P@5": Spread(0.50001, 1.0)},
        "BM25": {"P@5": Spread(0.4, 0.0)},
    }
    assert format_table(rows, ["P@5"]).splitlines()[2:] == [
        "| GR2S |  .5000 ± .1250* |",
        "| MLE  | .5000 ± 1.0000* |",
        "| BM25 |  .4000 ± .0000  |",
    ]
