import numpy as np
import pytest
import seqio

from gr2_jax.data.seqio.converters import graded_feature_converter
from gr2_jax.data.seqio.retrieval_metric import graded_retrieval, reciprocal_ranks
from gr2_jax.data.seqio.tasks import Example, TaskOptions, register_tasks, write_examples

TABLE = np.array([[3, 1, 0], [4, 1, 0], [4, 5, 1], [6, 1, 0]], np.int32)
EXAMPLES = [Example("sort", [2, 0], [4, 1]), Example("array", [1], [2]), Example("numbers", [3, 1], [0, 1])]
# three beams: third place; first place (padded otherwise); only a document of grade 0
BEAMS = np.array(
    [
        [[6, 1, 0, 0], [4, 1, 0, 0], [3, 1, 0, 0]],
        [[0, 4, 1, 0], [3, 1, 0, 0], [6, 1, 0, 0]],
        [[6, 1, 0, 0], [3, 1, 0, 0], [4, 5, 1, 0]],
    ]
)


def test_reciprocal_ranks_by_hand():
    docids = [TABLE[list(e.docid_rows)] for e in EXAMPLES]
    found = reciprocal_ranks(BEAMS, docids, [np.array(e.grades) for e in EXAMPLES])
    assert found == pytest.approx([1 / 3, 1, 0])


def test_seqios_evaluator_scores_the_task(tmp_path, vocabulary):
    write_examples(tmp_path / "x", EXAMPLES)
    register_tasks("scored", {"queries": str(tmp_path / "x")}, TaskOptions(vocabulary, 5, docid_table=TABLE))
    evaluator = seqio.Evaluator(
        "scored_queries",
        feature_converter=graded_feature_converter(docid_tokens=True),
        eval_split="train",
        sequence_length={"inputs": 8, "docid_rows": 2, "grades": 2, "docid_tokens": 2},
    )
    try:
        metrics, _ = evaluator.evaluate(
            compute_metrics=True,
            predict_fn=lambda dataset: [(i, BEAMS[i]) for i, _ in dataset.as_numpy_iterator()],
            score_fn=None,
        )
        found = metrics.result()["scored_queries"]
    finally:
        evaluator.close()
    values = {name: float(getattr(value, "value", value)) for name, value in found.items()}
    assert values == pytest.approx({"hits@1": 1 / 3, "hits@10": 2 / 3, "mrr": 4 / 9})


def test_parts_of_an_evaluation_merge():
    metric = graded_retrieval()
    examples = [{"docid_tokens": TABLE[list(e.docid_rows)], "grades": np.array(e.grades)} for e in EXAMPLES]
    parts = [metric.from_model_output(examples[i : i + 1], BEAMS[i : i + 1], {}) for i in range(3)]
    merged = metric.empty().merge(parts[0]).merge(parts[1]).merge(parts[2])
    assert merged.compute() == pytest.approx(metric.from_model_output(examples, BEAMS, {}).compute())
