"""Training knows the different grades of the judgements, not how high they are."""

import jax
import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment

from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.errors import UserError
from gr2_jax.losses import grade_matrix, mgcc_from_scores
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.rows.training import graded_batches
from gr2_jax.pipeline.run import Run


def prepared(folder, grades):
    """Each query has a document of each grade."""
    documents = tuple(Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS))
    queries = {f"q{i}": f"how to {text}" for i, text in enumerate(TEXTS)}
    count = len(documents)
    qrels = {f"q{i}": {f"d{(i + j) % count}": grade for j, grade in enumerate(grades)} for i in range(count)}
    write_collection(Collection("small", documents, queries, qrels, {}), folder / "corpus")
    run = Run(over(small_experiment(), folder / "corpus"), folder / "run")
    prepare(run)
    return run


def loss_of(run):
    """MGCC of the run's first batch on fixed scores, as a program and as a number."""
    batch = graded_batches(run)(0)
    grades, mask = grade_matrix(batch["docid_rows"].reshape(-1), batch["judged_rows"], batch["judged_grades"])
    scores = np.random.default_rng(0).normal(size=grades.shape).astype(np.float32)
    program = jax.jit(lambda s, g, m: mgcc_from_scores(s, g, num_grades=run.num_grades, docid_mask=m))
    return program.lower(scores, grades, mask).as_text(), float(program(scores, grades, mask))


def test_the_highest_grade_changes_no_example_no_program_and_no_loss(tmp_path, capsys):
    scales = {"4": (4, 2, 1, 0, -1), "100": (100, 7, 3, 0, -2), "million": (10**6, 999, 1, 0, 0)}
    runs = {name: prepared(tmp_path / name, grades) for name, grades in scales.items()}
    first = runs["4"]
    assert first.num_grades == 3
    assert set(np.unique(first.examples["queries"].grades)) <= {0, 1, 2, 3}
    assert set(np.unique(first.examples["pseudo"].grades)) == {3}
    for name, run in runs.items():
        for task, arrays in run.examples.items():
            for found, expected in zip(arrays[:3], first.examples[task][:3], strict=True):
                np.testing.assert_array_equal(found[:], expected[:])
        assert loss_of(run) == loss_of(first)
        assert run.qrels("test") == {q: run.corpus.qrels[q] for q in run.split.test}  # as they were judged
        assert run.corpus.max_grade == scales[name][0]
    assert "numbers the 3 different grades above 0 from 1 to 3" in capsys.readouterr().err


def test_too_many_different_grades_are_refused_before_anything_is_made(tmp_path):
    documents = tuple(Document(f"d{i}", "", "a text") for i in range(1001))
    queries = {f"q{i}": "a query" for i in range(20)}
    qrels = {query: {f"d{i}": i + 1 for i in range(1001)} for query in queries}
    write_collection(Collection("small", documents, queries, qrels, {}), tmp_path / "corpus")
    run = Run(over(small_experiment(), tmp_path / "corpus"), tmp_path / "run")
    with pytest.raises(UserError, match="1,001 different grades above 0: training takes at most 1,000"):
        prepare(run)
    assert not (tmp_path / "run" / "corpus").exists()
