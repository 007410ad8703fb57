"""Every loss of embeddings and its gradients on one small graded batch, and, as a program, the same on more devices:

python sharded_losses.py devices OUTPUT.pkl                 eight devices, which XLA_FLAGS must give
python sharded_losses.py process OUTPUT.pkl ADDRESS INDEX   one of two processes, each with its half of the batch
"""

import functools
import pickle
import sys
import traceback
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gr2_jax import losses

B, N, D, J, L = 16, 32, 8, 5, 3
ARGUMENTS = ("queries", "docids", "docid_rows", "judged_rows", "judged_grades")


def batch() -> dict[str, np.ndarray]:
    """Repeated documents, padding on two devices, an unjudged query, judgements of other queries' docids."""
    rng = np.random.default_rng(0)
    docid_rows, judged_rows = rng.integers(0, 24, N), rng.integers(0, 30, (B, J))
    docid_rows[[5, N - 1]] = -1
    judged_rows[1], judged_rows[2, 3:] = -1, -1
    return {
        "queries": rng.normal(size=(B, D)).astype(np.float32),
        "docids": rng.normal(size=(N, D)).astype(np.float32),
        "docid_rows": docid_rows,
        "judged_rows": judged_rows,
        "judged_grades": rng.integers(0, L + 1, (B, J)),
    }


def _mgcc(queries, docids, *judgements, **options):
    grades, mask = losses.grade_matrix(*judgements)
    return losses.mgcc_loss(queries, docids, grades, num_grades=L, docid_mask=mask, **options)


def _contrastive(queries, docids, *judgements):
    grades, mask = losses.grade_matrix(*judgements)
    return losses.supervised_contrastive_loss(queries, docids, grades > 0, docid_mask=mask)


def _of_scores(loss, queries, docids, *judgements):
    grades, mask = losses.grade_matrix(*judgements)
    return loss(losses.scaled_similarities(queries, docids), grades, docid_mask=mask)


def _chunked(*arguments, chunk_size):
    return losses.chunked_mgcc_loss(*arguments, num_grades=L, chunk_size=chunk_size)


OTHER_OPTIONS = {
    "bound": "grade",
    "constraint": "literal",
    "denominator": "lower",
    "similarity": "dot",
    "reduction": "sum",
}


def _of_rows(loss):
    """A loss that compares each row of the queries with the docid of the same row."""

    def rowwise(queries, docids, *judgements):
        return loss(queries, docids[:B] * 0.5 + docids[B:], jax.numpy.abs(judgements[2]) % (L + 1))

    return rowwise


def _likelihoods(queries, docids, grades):
    nll = losses.label_smoothed_nll((queries + docids)[:, None], grades[:, :1], weights=grades[:, :1])
    own = losses.query_likelihood_loss(jax.numpy.square(queries[:, :J]), grades, num_grades=L)
    weighted = losses.graded_likelihood_loss(jax.numpy.square(docids[:, :J]), grades)
    against = losses.self_negative_loss(queries[:, :J], grades, docids[:, :3], docids[:, :3] > 0, num_grades=L)
    return own + weighted + against + losses.indexing_loss(nll, grades[:, 0] > 0)


def _regularisers(queries, docids, grades):
    ids = {"query_ids": grades[:, 0], "document_ids": grades[:, 1]}
    return losses.relevance_loss(docids, queries, **ids) + losses.distinctness_loss(docids, queries, **ids)


def _parts(queries, docids, *judgements):
    grades, mask = losses.grade_matrix(*judgements)
    return losses.mgcc_parts(queries, docids, grades, num_grades=L, docid_mask=mask).loss


LOSSES = {
    "mgcc": _mgcc,
    "mgcc_other_options": functools.partial(_mgcc, **OTHER_OPTIONS),
    "mgcc_max_positives": functools.partial(_mgcc, max_positives=J),
    "chunked_mgcc": functools.partial(_chunked, chunk_size=8),
    "chunked_mgcc_uneven": functools.partial(_chunked, chunk_size=5),
    "supervised_contrastive": _contrastive,
    "parts": _parts,
    "likelihoods": _of_rows(_likelihoods),
    "regularisers": _of_rows(_regularisers),
    "lambdarank": functools.partial(_of_scores, losses.lambdarank_loss),
    "graded_cross_entropy": functools.partial(_of_scores, losses.graded_cross_entropy_loss),
}


def loss_and_gradients(name: str, arrays: dict, gradient_shardings=None) -> tuple:
    """(value, (gradient of the queries, of the docids)), the gradients placed like `gradient_shardings` if given."""
    step = jax.value_and_grad(LOSSES[name], argnums=(0, 1))
    shardings = None if gradient_shardings is None else (None, (gradient_shardings,) * 2)
    return jax.jit(step, out_shardings=shardings)(*(arrays[argument] for argument in ARGUMENTS))


def judgements(arrays: dict) -> tuple:
    """(grades [B,N], docid_mask [N])."""
    return jax.jit(losses.grade_matrix)(*(arrays[argument] for argument in ARGUMENTS[2:]))


def _on_mesh(axis_type: AxisType) -> dict:
    """{name of a loss, or "grade_matrix": its results on all devices, or the error it raised}."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(axis_type,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    with jax.set_mesh(mesh):
        arrays = {name: jax.device_put(array, rows) for name, array in batch().items()}
        seen = {"grade_matrix": _result_or_error(lambda: jax.device_get(judgements(arrays)))}
        for name in LOSSES:
            seen[name] = _result_or_error(functools.partial(_sharded_result, name, arrays, rows))
    return seen


def _sharded_result(name: str, arrays: dict, rows: NamedSharding) -> dict:
    value, gradients = loss_and_gradients(name, arrays, gradient_shardings=rows)
    shards = [[len(shard.data) for shard in gradient.addressable_shards] for gradient in gradients]
    return {"value": np.asarray(value), "gradients": jax.device_get(gradients), "rows_per_device": shards}


def _result_or_error(function):
    try:
        return function()
    except Exception:
        return traceback.format_exc(limit=-8)


def on_eight_devices() -> dict:
    """Results in one process on one device ("one") and on eight devices with an Auto and an Explicit mesh axis."""
    one = {name: _result_or_error(functools.partial(loss_and_gradients, name, batch())) for name in LOSSES}
    one["grade_matrix"] = _result_or_error(lambda: judgements(batch()))
    one = jax.device_get(one)
    return {"devices": jax.device_count(), "one": one} | {
        kind: _on_mesh(getattr(AxisType, kind)) for kind in ("Auto", "Explicit")
    }


def in_one_of_two_processes(address: str, index: int) -> dict:
    """Per loss: the value, and the gradients for this process's half of the queries and docids."""
    jax.distributed.initialize(address, num_processes=2, process_id=index, initialization_timeout=60)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    halves = {name: np.split(array, 2)[index] for name, array in batch().items()}
    arrays = {name: jax.make_array_from_process_local_data(rows, half) for name, half in halves.items()}
    seen = {"processes": jax.process_count(), "devices": jax.device_count()}
    for name in LOSSES:
        seen[name] = _result_or_error(functools.partial(_own_result, name, arrays, rows))
    return seen


def _own_result(name: str, arrays: dict, rows: NamedSharding) -> tuple:
    value, gradients = loss_and_gradients(name, arrays, gradient_shardings=rows)
    return np.asarray(value), [_own_rows(gradient) for gradient in gradients]


def _own_rows(array: jax.Array) -> np.ndarray:
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start)
    return np.concatenate([shard.data for shard in shards])


if __name__ == "__main__":
    what, output, *rest = sys.argv[1:]
    result = on_eight_devices() if what == "devices" else in_one_of_two_processes(rest[0], int(rest[1]))
    Path(output).write_bytes(pickle.dumps(result))
