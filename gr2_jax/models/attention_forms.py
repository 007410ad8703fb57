"""The ways to compute attention, softmax(queries keys' + bias) values, and which of them serves where.

All have one contract. queries [B, H, T, F], keys and values [B, H, S, F]; bias [1, H, T, S] or None; mask [B, S], which
keys are real, or None. A form that reads distances takes, instead of the bias, its values [H, 2T - 1] for the distances
-(T-1), ..., T-1 of a key from a query, and never lays them out. Where no key of a row is real, its weights are 1 / S.
The result is [B, H, T, F] in the queries' type; products are summed, and the softmax computed, in float32. `xla` is the
specification of the others.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from gr2_jax.models.axes import mesh_axes

AttentionForm = Literal["auto", "cudnn", "pallas", "recompute", "xla"]
_MASKED = float(jnp.finfo(jnp.float32).min)


class Task(NamedTuple):
    """What decides whether a form can serve."""

    platform: str
    dtype: str
    queries: int
    keys: int
    width: int
    """Of a head."""
    biased: bool
    by_distance: bool = False
    """Whether the bias can be had as its values by distance."""
    on_mesh: bool = True
    """Whether the mesh that runs the program is known, as in a training step."""


class Form(NamedTuple):
    attend: Callable[..., Float[Array, "B H T F"]]
    why_not: Callable[[Task], str | None]
    """Why the form cannot serve a task; None if it can."""
    reads_distances: bool = False
    """Whether it takes a bias as its values by distance, and not otherwise."""


def form_for(wanted: AttentionForm, task: Task) -> tuple[str, Form]:
    """The form wanted if it can serve, else the first that can; "auto" wants none in particular."""
    first = [wanted] if wanted != "auto" else []
    name = next(name for name in [*first, *FORMS] if FORMS[name].why_not(task) is None)
    if (noted := _noted.get()) is not None:
        noted.setdefault(name, set()).add(f"{task.queries}x{task.keys}")
    return name, FORMS[name]


_noted: ContextVar[dict[str, set[str]] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting_forms() -> Iterator[dict[str, set[str]]]:
    """Yields what will hold the forms of the programs that are traced in the block: name -> the shapes that each
    attends over, queries x keys."""
    token = _noted.set({})
    try:
        yield _noted.get()
    finally:
        _noted.reset(token)


def is_on_mesh() -> bool:
    """Whether the program is traced for a mesh with rules for its axes."""
    return not jax.sharding.get_abstract_mesh().empty and bool(nn.get_logical_axis_rules())


def platform() -> str:
    """Where the program that is being traced will run: "cpu", "gpu" or "tpu"."""
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    return getattr(device, "platform", None) or jax.default_backend()


_NO_MESH = "no mesh is known: programs of searches are exported, and arrays may lie on several devices unseen"


def _not_for_cudnn(task: Task) -> str | None:
    if task.platform != "gpu":
        return f"cuDNN needs an NVIDIA GPU, not a {task.platform}"
    if not task.on_mesh:
        return _NO_MESH
    if jax.default_backend() != "gpu":
        return "cuDNN's programs are made on the GPU that runs them"
    capability = str(getattr(jax.local_devices()[0], "compute_capability", ""))  # "gfx942" on another maker's
    if not re.fullmatch(r"\d+\.\d+", capability) or float(capability) < 8:
        return "cuDNN's attention needs an NVIDIA GPU of compute capability 8.0 or later"
    if task.dtype != "bfloat16":
        return f"cuDNN's attention computes in bfloat16, not in {task.dtype}"
    if task.width % 8 or task.width > 128:
        return f"cuDNN's attention takes heads of 8, 16, ... 128 numbers, not of {task.width}"
    if task.biased and (task.queries % 2 or task.keys % 2):
        return f"cuDNN's attention with a bias takes even lengths, not {task.queries} by {task.keys}"
    if min(task.queries, task.keys) < _LEAST_FOR_CUDNN:
        return f"{task.queries} by {task.keys} positions are fewer than cuDNN's attention was measured with"
    return None


_LEAST_FOR_CUDNN = 64  # positions of each
_LEAST_BIAS = -(2.0**40)  # of what is masked: in bfloat16 the least float32 is -inf, and -inf - -inf is not a number


def cudnn_attention(queries, keys, values, bias, mask) -> Float[Array, "B H T F"]:
    """cuDNN's fused attention: nothing of size T x S is in the GPU's memory but the bias and its gradient, which are
    bfloat16. The real keys of a row come first: their number is all that cuDNN is given."""
    real = None if mask is None else mask.sum(axis=1, dtype=jnp.int32)
    if bias is not None:
        bias = jnp.maximum(bias, _LEAST_BIAS).astype(queries.dtype)
    mixed = _on_own_rows(queries, keys, values, bias, real)
    if real is None:
        return mixed
    alike = jnp.mean(values, axis=2, keepdims=True, dtype=jnp.float32).astype(mixed.dtype)
    return jnp.where((real > 0)[:, None, None, None], mixed, alike)


def _on_own_rows(queries, keys, values, bias, real) -> Float[Array, "B H T F"]:
    """Each device has its own sequences and heads: how the arrays lie is not left to the compiler."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.size == 1 or not mesh.auto_axes:
        return _by_cudnn(queries, keys, values, bias, real)

    rows, heads = mesh_axes("batch", queries.shape[0]) or None, mesh_axes("heads", queries.shape[1]) or None
    each = PartitionSpec(rows, heads)
    return jax.shard_map(
        _by_cudnn,
        in_specs=(each, each, each, PartitionSpec(None, heads), PartitionSpec(rows)),
        out_specs=each,
        check_vma=False,
    )(queries, keys, values, bias, real)


def _by_cudnn(queries, keys, values, bias, real) -> Float[Array, "B H T F"]:
    mixed = jax.nn.dot_product_attention(
        *(jnp.swapaxes(x, 1, 2) for x in (queries, keys, values)),
        bias=bias,
        key_value_seq_lengths=None if real is None else jnp.where(real > 0, real, keys.shape[2]),
        scale=1.0,
        implementation="cudnn",
    )
    return jnp.swapaxes(mixed, 1, 2)


def _not_for_pallas(task: Task) -> str | None:
    if task.platform != "tpu":
        return f"the Pallas kernels need a TPU, not a {task.platform}"
    if not task.on_mesh:
        return _NO_MESH
    if task.width % 8 or task.width > 256:
        return f"the Pallas kernels take heads of 8, 16, ... 256 numbers, not of {task.width}"
    if task.biased and not task.by_distance:
        return "the Pallas kernels take a bias by distance alone"
    if task.queries * task.keys < _LEAST_FOR_PALLAS:
        return f"{task.queries} by {task.keys} positions are less than one block"
    if max(task.queries, task.keys) * max(task.width, 128) > _MOST_FOR_PALLAS:
        return f"{task.queries} by {task.keys} positions are more than a TPU's vector memory takes"
    return None


_LEAST_FOR_PALLAS = 128 * 128  # positions
_MOST_FOR_PALLAS = 4096 * 128  # numbers of a head's keys, in lanes of 128


def pallas_attention(queries, keys, values, bias, mask) -> Float[Array, "B H T F"]:
    """A TPU's kernels: nothing of size T x S is outside its vector memory, the bias and its gradient neither."""
    from gr2_jax.models import attention_tpu  # imports Pallas, which only a TPU needs

    return attention_tpu.pallas_attention(queries, keys, values, bias, mask, interpret=platform() != "tpu")


def xla_attention(queries, keys, values, bias, mask) -> Float[Array, "B H T F"]:
    """Attention through `jax.nn.dot_product_attention`, which keeps the weights for the backward pass."""
    queries, keys, values = (jnp.swapaxes(x, 1, 2) for x in (queries, keys, values))
    mask = None if mask is None else mask[:, None, None, :]
    mixed = jax.nn.dot_product_attention(queries, keys, values, bias=bias, mask=mask, scale=1.0, implementation="xla")
    return jnp.swapaxes(mixed, 1, 2)


@jax.custom_vjp
def recompute_attention(
    queries: Float[Array, "B H T F"],
    keys: Float[Array, "B H S F"],
    values: Float[Array, "B H S F"],
    bias: Float[Array, "1 H T S"] | None,
    mask: Bool[Array, "B S"] | None,
) -> Float[Array, "B H T F"]:
    """softmax(queries keys' + bias) values, whose backward pass recomputes the weights from their normaliser.

    Nothing of size T x S per layer is kept between forward and backward (Dao et al. 2022, FlashAttention, 3.1). No
    product needs a transposed copy of such an array: where a product sums over its rows, it is the right operand.
    """
    return _attention_forward(queries, keys, values, bias, mask)[0]


def _attention_forward(queries, keys, values, bias, mask):
    logits = _logits(queries, keys, bias, mask)
    top = logits.max(-1, keepdims=True)
    weights = jnp.exp(logits - top)
    total = weights.sum(-1, keepdims=True)
    mixed = (_batched(weights.astype(values.dtype), values, 3, 2) / total).astype(queries.dtype)
    return mixed, (queries, keys, values, bias, mask, mixed, top, total)


def _attention_backward(saved, cotangent):
    # the barrier keeps XLA from recognising the forward pass's logits and keeping them
    queries, keys, values, bias, mask, mixed, top, total = lax.optimization_barrier(saved)
    weights = jnp.exp(_logits(queries, keys, bias, mask) - top) / total
    dot_with_mixed = jnp.sum(cotangent.astype(jnp.float32) * mixed, -1, keepdims=True)
    to_logits = weights * (_batched(cotangent, values, 3, 3) - dot_with_mixed)
    if mask is not None:  # matters for a query whose keys are all masked: its weights are not 0
        to_logits = jnp.where(mask[:, None, None, :], to_logits, 0.0)
    low = to_logits.astype(queries.dtype)
    to_queries = _batched(low, keys, 3, 2)
    to_keys = jnp.swapaxes(_batched(queries, low, 2, 2), 2, 3)
    to_values = jnp.swapaxes(_batched(cotangent, weights.astype(values.dtype), 2, 2), 2, 3)
    to_bias = None if bias is None else _sum_over_batch(to_logits).astype(bias.dtype)
    to_qkv = (to.astype(queries.dtype) for to in (to_queries, to_keys, to_values))
    return *to_qkv, to_bias, None


recompute_attention.defvjp(_attention_forward, _attention_backward)


def _logits(queries, keys, bias, mask) -> Float[Array, "B H T S"]:
    logits = _batched(queries, keys, 3, 3)
    if bias is not None:
        logits += bias
    return logits if mask is None else jnp.where(mask[:, None, None, :], logits, _MASKED)


def _batched(a: Array, b: Array, a_axis: int, b_axis: int) -> Array:
    """A product per sequence and head, in float32: [B, H, the other axis of a, the other axis of b]."""
    return lax.dot_general(a, b, ((((a_axis,), (b_axis,)), ((0, 1), (0, 1)))), preferred_element_type=jnp.float32)


def _sum_over_batch(x: Float[Array, "B H T S"]) -> Float[Array, "1 H T S"]:
    # as a product: XLA's reduction over a leading axis is several times slower on CPU
    ones = jnp.ones((1, len(x)), x.dtype)
    return lax.dot_general(ones, x, (((1,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)


def _always(task: Task) -> None:
    return None


FORMS = {
    "cudnn": Form(cudnn_attention, _not_for_cudnn),
    "pallas": Form(pallas_attention, _not_for_pallas, reads_distances=True),
    "recompute": Form(recompute_attention, _always),
    "xla": Form(xla_attention, _always),
}
