"""The metric of a retrieval task for seqio's `Evaluator`: hits@1, hits@10 and MRR of predicted docids."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.data.seqio.libraries import libraries


def reciprocal_ranks(
    predicted: Int[np.ndarray, "E M T"], docids: list[Int[np.ndarray, "D Ti"]], grades: list[Int[np.ndarray, "D"]]
) -> Float[np.ndarray, "E"]:
    """1 / rank of the first of the M predictions (best first) that is a docid with a grade above 0; 0 if none is.
    Padding (0) is ignored."""
    found = np.zeros(len(predicted))
    for i, (beams, relevant, judged) in enumerate(zip(predicted, docids, grades, strict=True)):
        wanted = {_bare(docid) for docid, grade in zip(relevant, judged, strict=True) if grade > 0}
        ranks = (rank for rank, beam in enumerate(beams, 1) if _bare(beam) in wanted)
        found[i] = 1.0 / next(ranks, np.inf)
    return found


def _bare(tokens: np.ndarray) -> tuple[int, ...]:
    return tuple(int(token) for token in tokens if token != 0)


@functools.cache
def graded_retrieval() -> type:
    """Returns the class, a `seqio.metrics.Metric`.

    seqio hands `from_model_output` the task's examples as numpy dicts (`inputs`, before the converter: docid_tokens
    [D, Ti], grades [D]) and the predictions as one array in the same order, [E, M, T] from a search with M beams or
    [E, T]. A seqio metric function would get neither: seqio calls it with a feature "targets" and its decoded text.
    """
    import flax

    seqio = libraries().seqio

    @flax.struct.dataclass
    class GradedRetrieval(seqio.metrics.Metric):
        model_output_type: seqio.metrics.ModelOutputType = seqio.metrics.ModelOutputType.PREDICTION
        ranks: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

        @classmethod
        def empty(cls):
            return cls()

        @classmethod
        def from_model_output(
            cls, inputs, model_output, features, target_field_name="targets", mask=None, indices_2d=None
        ):
            examples, predicted = list(inputs), np.asarray(model_output)
            predicted = predicted if predicted.ndim == 3 else predicted[:, None]
            docids, grades = ([example[name] for example in examples] for name in ("docid_tokens", "grades"))
            ranks = reciprocal_ranks(predicted, docids, grades)
            return cls(ranks=ranks if mask is None else ranks[np.asarray(mask, bool)])

        def merge(self, other):
            return type(self)(ranks=np.concatenate([self.ranks, other.ranks]))

        def compute(self):
            hits = {f"hits@{k}": float((self.ranks >= 1 / k).mean()) for k in (1, 10)}
            return hits | {"mrr": float(self.ranks.mean())}

    return GradedRetrieval
