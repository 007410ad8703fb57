import numpy as np
import pytest

from gr2_jax.corpus import Collection, Split
from gr2_jax.corpus.collection import Document
from gr2_jax.experiment import Experiment
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import radius as module
from gr2_jax.pipeline.schemes.radius import choose_radius

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig"]
DOCUMENTS = tuple(Document(f"d{i}", "", f"{word} tree") for i, word in enumerate(WORDS))
BEST = np.array([4, 1])


def write(rows, radius):
    """At 0 every document is a tree; at 2 each is itself but one, which passes for another; at 5 nobody knows."""
    own = [WORDS[row] for row in rows]
    if radius == 2.0:
        own[own.index("fig")] = "elder"
    return {0.0: ["tree"] * len(rows), 1.0: own, 2.0: own, 5.0: [f"stone {row}" for row in rows]}[radius]


def test_relevance_and_distinctness_by_hand():
    """BM25 finds each of six trees: their ranks are 1 to 6. A lone word finds its document alone. Stones find none."""
    choice = choose_radius([5.0, 2.0, 0.0], write, DOCUMENTS, BEST, seed=3)
    assert choice.documents == 6
    relevance = {r: f["relevance"] for r, f in choice.figures.items()}
    assert relevance == pytest.approx({0.0: sum(1 / rank for rank in range(1, 7)) / 6, 2.0: 5 / 6, 5.0: 0.0})
    distinctness = {r: f["distinctness"] for r, f in choice.figures.items()}
    assert distinctness == pytest.approx({0.0: 0.0, 2.0: 4 / 6, 5.0: 1.0})
    means = {r: f["mean"] for r, f in choice.figures.items()}
    assert means == pytest.approx({0.0: 0.0, 2.0: 2 * (5 / 6) * (4 / 6) / (9 / 6), 5.0: 0.0})
    assert choice.radius == 2.0


def test_of_equal_trade_offs_the_smallest_radius():
    same = lambda rows, radius: write(rows, 1.0)  # noqa: E731
    assert choose_radius([4.0, 3.0, 3.5], same, DOCUMENTS, BEST, seed=0).radius == 3.0


def test_the_best_documents_of_validation_queries_come_first(monkeypatch):
    monkeypatch.setattr(module, "DOCUMENTS", 3)
    seen = []

    def remember(rows, radius):
        seen.append(rows)
        return write(rows, 1.0)

    for seed in range(4):
        choose_radius([1.0], remember, DOCUMENTS, BEST, seed=seed)
    assert all(rows[:2].tolist() == [4, 1] and len(rows) == 3 for rows in seen)
    assert len({int(rows[2]) for rows in seen}) > 1
    np.testing.assert_equal(seen[0].dtype, np.int64)


def test_a_validation_querys_document_is_the_first_of_its_best_grade():
    qrels = {"q0": {"d3": 1, "d4": 2}, "q1": {"d5": 2, "d1": 2}, "q2": {"d0": 1}}
    collection = Collection("fruit", DOCUMENTS, dict.fromkeys(qrels, "fruit"), qrels, {})
    run = Run(Experiment(name="fruit"), "none")
    run.__dict__ |= {"corpus": collection, "split": Split(train=("q2",), validation=("q0", "q1"), test=())}
    assert run.validation_rows.tolist() == [4, 5]
