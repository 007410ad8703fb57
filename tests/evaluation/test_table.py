from gr2_jax.evaluation.table import format_table


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
