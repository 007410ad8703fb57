"""Attention on a TPU without an array of the size of the weights: a Pallas kernel for each direction.

A program of a kernel has one head, one sequence and one block of queries, and goes over the blocks of keys. Arrays are
[B, H, F, T] there, and blocks of weights [keys, queries]: positions fill the lanes of 128, which a head's 64 numbers
would not, and only arrays of a head's width are transposed. The forward pass keeps each query's log-sum-exp, from which
the backward pass makes the weights again (Dao et al. 2022, FlashAttention).

The relative bias comes as its values by distance. A block of it depends only on how far apart its blocks of queries and
keys are, so a head has few different ones: they are made on chip before the head's first sequence. So is the bias's
gradient: summed there over all sequences, and along the diagonals after the last.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.axes import mesh_axes

_LANES, _SUBLANES = 128, 8
_MASKED = float(jnp.finfo(jnp.float32).min)
_DEAD, _REAL, _ALIKE = 0.0, 1.0, 2.0
"""What a key is: of no weight; real; of the weight 1 / S, as are all keys of a sequence without a real one."""


class _How(NamedTuple):
    """batch, heads  mesh axes that split them
    manual       whether the kernels must be told apart from what the compiler splits
    interpret    whether the kernels are interpreted, where there is no TPU
    """

    batch: tuple[str, ...]
    heads: tuple[str, ...]
    manual: bool
    interpret: bool


def pallas_attention(
    queries: Float[Array, "B H T F"],
    keys: Float[Array, "B H S F"],
    values: Float[Array, "B H S F"],
    bias: Float[Array, "H N"] | None,
    mask: Bool[Array, "B S"] | None,
    interpret: bool = False,
) -> Float[Array, "B H T F"]:
    """softmax(queries keys' + bias) values; `bias` has the values of the distances -(T-1), ..., S-1 (key - query)."""
    kinds = None
    if mask is not None:
        kinds = jnp.where(mask, _REAL, jnp.where(mask.any(1, keepdims=True), _DEAD, _ALIKE))
    return _attention(queries, keys, values, bias, kinds, _how(queries.shape[0], queries.shape[1], interpret))


def _how(batch: int, heads: int, interpret: bool) -> _How:
    """How the current rules split the sequences and heads over the mesh; what does not divide is not split."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.size == 1 or not mesh.auto_axes:  # an empty mesh has size 1; within shard_map, axes are manual already
        return _How((), (), False, interpret)
    return _How(mesh_axes("batch", batch), mesh_axes("heads", heads), True, interpret)


def _on_each_device(function, how: _How, ins: str, outs: str):
    """`function` of each device's own sequences and heads. `ins` and `outs` have a letter for each array: x [B, H,
    ...], h [H, ...], b [B, ...]."""
    if not how.manual:
        return function
    specs = {
        "x": PartitionSpec(how.batch or None, how.heads or None),
        "h": PartitionSpec(how.heads or None),
        "b": PartitionSpec(how.batch or None),
    }
    # over every axis of the mesh: the compiler refuses a kernel where it may itself split along one
    return jax.shard_map(
        function, in_specs=tuple(specs[x] for x in ins), out_specs=tuple(specs[x] for x in outs), check_vma=False
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _attention(queries, keys, values, bias, kinds, how):
    return _attention_forward(queries, keys, values, bias, kinds, how)[0]


def _attention_forward(queries, keys, values, bias, kinds, how):
    run = functools.partial(_forward, interpret=how.interpret)
    mixed, normaliser = _on_each_device(run, how, "xxxhb", "xx")(queries, keys, values, bias, kinds)
    return mixed, (queries, keys, values, bias, kinds, mixed, normaliser)


def _attention_backward(how, saved, cotangent):
    def run(*arrays):
        *to_qkv, to_bias = _backward(*arrays, interpret=how.interpret)
        return *to_qkv, lax.psum(to_bias, how.batch) if how.batch and to_bias is not None else to_bias

    to_all = _on_each_device(run, how, "xxxhbxxx", "xxxh")(*saved, cotangent)
    return *to_all, None if saved[4] is None else jnp.zeros_like(saved[4])


_attention.defvjp(_attention_forward, _attention_backward)


class _Blocks(NamedTuple):
    """Lengths, and those of the blocks that they are cut into; the last block may be padded."""

    queries: int
    keys: int
    rows: int
    """Queries of a block."""
    columns: int
    """Keys of a block."""

    @classmethod
    def of(cls, queries: int, keys: int) -> "_Blocks":
        return cls(queries, keys, _block(queries), _block(keys))

    @property
    def down(self) -> int:
        return -(-self.queries // self.rows)

    @property
    def across(self) -> int:
        return -(-self.keys // self.columns)

    @property
    def offsets(self) -> int:
        """Different distances between a block of queries and one of keys."""
        return self.down + self.across - 1


def _block(length: int) -> int:
    """The positions of a block: those that leave the least padding, and of these the most. Several blocks of 512 would
    leave too little room for the biases between them."""
    sizes = (512, 256, 128) if length <= 512 else (256, 128)
    return min(sizes, key=lambda size: -(-length // size) * size)


def _positions_last(x: Float[Array, "B H N F"], block: int) -> Float[Array, "B H F M"]:
    """With zeros up to a multiple of `block` positions."""
    x = jnp.swapaxes(x, 2, 3)
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, -x.shape[3] % block)))


def _positions_first(x: Float[Array, "B H F M"], length: int) -> Float[Array, "B H N F"]:
    return jnp.swapaxes(x[..., :length], 2, 3)


def _laid_out(queries, keys, values, bias, kinds):
    """The blocks, and what both kernels read: queries, keys and values with their positions last, the bias in parts
    [H, P, 1, block], and the kinds [B, 1, S] of the keys, where any is not real."""
    blocks = _Blocks.of(queries.shape[2], keys.shape[2])
    if kinds is None and blocks.keys % blocks.columns:
        kinds = jnp.full((len(keys), blocks.keys), _REAL)
    if kinds is not None:
        kinds = jnp.pad(kinds, ((0, 0), (0, -blocks.keys % blocks.columns)), constant_values=_DEAD)[:, None]
    arrays = (
        _positions_last(queries, blocks.rows),
        _positions_last(keys, blocks.columns),
        _positions_last(values, blocks.columns),
    )
    return blocks, (*arrays, None if bias is None else _parts(bias, blocks), kinds)


def _parts(bias: Float[Array, "H N"], blocks: _Blocks) -> Float[Array, "H P 1 C"]:
    """The bias by query - key, so that block i of queries and block j of keys need the parts i - j + across - 1 and the
    next, of which the last number is never read."""
    before, after = _around(blocks)
    padded = jnp.pad(jnp.flip(bias.astype(jnp.float32), 1), ((0, 0), (before, after)))
    return padded.reshape(len(bias), blocks.offsets + 1, 1, blocks.columns)


def _from_parts(parts: Float[Array, "H P 1 C"], blocks: _Blocks) -> Float[Array, "H N"]:
    before, after = _around(blocks)
    flat = parts.reshape(len(parts), -1)
    return jnp.flip(flat[:, before : flat.shape[1] - after], 1)


def _around(blocks: _Blocks) -> tuple[int, int]:
    if blocks.rows != blocks.columns:
        raise ValueError("a relative bias needs as many queries as keys")
    return blocks.across * blocks.columns - blocks.keys, blocks.down * blocks.rows - blocks.queries + 1


def _call(kernel, blocks: _Blocks, arrays, outputs: list, scratch: list, interpret: bool):
    """Runs a kernel for every head, sequence and block of queries, in this order. `arrays` and `outputs` are pairs of
    an array or its shape, and the letter of what a program has of it: q its queries' part of [B, H, F, T], k all of
    [B, H, F, S], h its head's of [H, ...], b its sequence's of [B, ...]."""
    batch, heads = arrays[0][0].shape[:2]

    def spec(shape: tuple[int, ...], letter: str) -> pl.BlockSpec:
        rest = (0,) * (len(shape) - 1)
        if letter == "q":
            return pl.BlockSpec((1, 1, shape[2], blocks.rows), lambda h, b, i: (b, h, 0, i))
        if letter == "k":
            return pl.BlockSpec((1, 1, *shape[2:]), lambda h, b, i: (b, h, 0, 0))
        if letter == "h":
            return pl.BlockSpec((1, *shape[1:]), lambda h, b, i: (h, *rest))
        return pl.BlockSpec((1, *shape[1:]), lambda h, b, i: (b, *rest))

    return pl.pallas_call(
        kernel,
        grid=(heads, batch, blocks.down),
        in_specs=[spec(x.shape, letter) for x, letter in arrays],
        out_specs=[spec(x.shape, letter) for x, letter in outputs],
        out_shape=[x for x, _ in outputs],
        scratch_shapes=scratch,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary", "arbitrary"), vmem_limit_bytes=_vmem(blocks)
        ),
        interpret=interpret,
    )(*(x for x, _ in arrays))


def _vmem(blocks: _Blocks) -> int | None:
    return None if max(blocks.queries, blocks.keys) <= 1024 else 48 * 2**20


class _Read(NamedTuple):
    """What both kernels read; `tiles` are the blocks of the bias, which they make."""

    queries: Array
    keys: Array
    values: Array
    parts: Array | None
    kinds: Array | None
    tiles: Array | None


def _given(arrays: tuple) -> tuple[list, list[int]]:
    """The arrays that are there, with their letters, and their places in `_Read`."""
    there = [i for i, x in enumerate(arrays) if x is not None]
    return [(arrays[i], "qkkhb"[i]) for i in there], there


class _Place(NamedTuple):
    """Which block of which sequence a program has; asked for outside loops, where interpreted kernels know it too."""

    start: Array
    """Whether it is the first of the head, ..."""
    end: Array
    """... or the last."""
    block: Array

    @classmethod
    def here(cls, blocks: _Blocks) -> "_Place":
        sequence, block = pl.program_id(1), pl.program_id(2)
        last = pl.num_programs(1) - 1
        return cls((sequence == 0) & (block == 0), (sequence == last) & (block == blocks.down - 1), block)

    def offset(self, j: Array, blocks: _Blocks) -> Array:
        """Of its block of queries from block j of the keys: the number of the block of biases between them."""
        return self.block - j + blocks.across - 1


def _read(refs, there: list[int], tiles) -> _Read:
    of = dict(zip(there, refs, strict=True))
    return _Read(*(of.get(i) for i in range(5)), tiles)


def _forward(queries, keys, values, bias, kinds, interpret: bool):
    """Mixed values [B, H, T, F], and the log-sum-exps [B, H, 1, T] with padding."""
    blocks, arrays = _laid_out(queries, keys, values, bias, kinds)
    given, there = _given(arrays)

    def kernel(*refs):
        ins, (mixed, normaliser, *tiles) = refs[: len(there)], refs[len(there) :]
        _forward_block(_read(ins, there, *(tiles or [None])), mixed, normaliser, blocks)

    batch, heads, width, length = arrays[0].shape
    outputs = [
        (jax.ShapeDtypeStruct((batch, heads, width, length), queries.dtype), "q"),
        (jax.ShapeDtypeStruct((batch, heads, 1, length), jnp.float32), "q"),
    ]
    scratch = [] if bias is None else [_tiles(blocks)]
    mixed, normaliser = _call(kernel, blocks, given, outputs, scratch, interpret)
    return _positions_first(mixed, blocks.queries), normaliser


def _tiles(blocks: _Blocks):
    return pltpu.VMEM((blocks.offsets, blocks.columns, blocks.rows), jnp.float32)


def _forward_block(read: _Read, mixed, normaliser, blocks: _Blocks) -> None:
    """A block of queries: the softmax's top and total grow with every block of keys (Milakov & Gimelshein 2018)."""
    place = _Place.here(blocks)
    _make_tiles(read, blocks, place)
    queries = read.queries[0, 0]

    def step(j, carry):
        top, total, summed = carry
        at = _at(j, blocks)
        logits, _ = _logits(read, queries, place.offset(j, blocks), at, blocks)
        highest = jnp.maximum(top, logits.max(0, keepdims=True))
        weights, before = jnp.exp(logits - highest), jnp.exp(top - highest)
        values = read.values[0, 0, :, at]
        summed = summed * before + _product(values, weights.astype(values.dtype), 1, 0)
        return highest, total * before + weights.sum(0, keepdims=True), summed

    width, rows = queries.shape
    start = jnp.full((1, rows), _MASKED), jnp.zeros((1, rows)), jnp.zeros((width, rows))
    top, total, summed = lax.fori_loop(0, blocks.across, step, start)
    mixed[0, 0] = (summed / total).astype(mixed.dtype)
    normaliser[0, 0] = top + jnp.log(total)


def _at(j, blocks: _Blocks):
    """The positions of a block of keys."""
    return pl.ds(pl.multiple_of(j * blocks.columns, _LANES), blocks.columns)


def _logits(read: _Read, queries: Float[Array, "F Q"], offset, at, blocks: _Blocks):
    """[K, Q] of a block of queries and one of keys, and [K, 1]: which keys are real, None if all are."""
    logits = _product(read.keys[0, 0, :, at], queries, 0, 0)
    if read.tiles is not None:
        logits += read.tiles[offset]
    if read.kinds is None:
        return logits, None
    kinds = jnp.broadcast_to(read.kinds[0, :, at], (_SUBLANES, blocks.columns)).T[:, :1]
    real = kinds == _REAL
    return jnp.where(real, logits, jnp.where(kinds == _ALIKE, 0.0, _MASKED)), real


def _product(a: Array, b: Array, a_axis: int, b_axis: int) -> Array:
    return lax.dot_general(a, b, (((a_axis,), (b_axis,)), ((), ())), preferred_element_type=jnp.float32)


def _backward(queries, keys, values, bias, kinds, mixed, normaliser, cotangent, interpret: bool):
    """The gradients of queries, keys, values and bias."""
    blocks, arrays = _laid_out(queries, keys, values, bias, kinds)
    given, there = _given(arrays)
    with_mixed = jnp.sum(cotangent.astype(jnp.float32) * mixed.astype(jnp.float32), -1)
    with_mixed = jnp.pad(with_mixed, ((0, 0), (0, 0), (0, -blocks.queries % blocks.rows)))[:, :, None]
    cotangent = _positions_last(cotangent, blocks.rows)
    given += [(cotangent, "q"), (normaliser, "q"), (with_mixed, "q")]
    outputs = [(jax.ShapeDtypeStruct(x.shape, x.dtype), letter) for x, letter in zip(arrays[:3], "qkk", strict=True)]
    sums = pltpu.VMEM(arrays[1].shape[2:], jnp.float32)
    scratch = [sums, sums]
    if bias is not None:
        outputs.append((jax.ShapeDtypeStruct(arrays[3].shape, jnp.float32), "h"))
        scratch += [_tiles(blocks), _tiles(blocks)]

    def kernel(*refs):
        ins, rest = refs[: len(there)], list(refs[len(there) :])
        given, rest = _Given(*rest[:3]), rest[3:]
        outs, rest = rest[: len(outputs)], rest[len(outputs) :]
        tiles, to_tiles = rest[2:] or (None, None)
        to = _To(*outs[:3], outs[3] if bias is not None else None, *rest[:2], to_tiles)
        _backward_block(_read(ins, there, tiles), given, to, blocks)

    to_queries, to_keys, to_values, *to_parts = _call(kernel, blocks, given, outputs, scratch, interpret)
    lengths = blocks.queries, blocks.keys, blocks.keys
    to_qkv = (_positions_first(x, n) for x, n in zip((to_queries, to_keys, to_values), lengths, strict=True))
    return *to_qkv, _from_parts(to_parts[0], blocks).astype(bias.dtype) if to_parts else None


class _Given(NamedTuple):
    """Of a block of queries: the outputs' cotangents, the log-sum-exps, and cotangents and outputs multiplied."""

    cotangent: Array
    normaliser: Array
    with_mixed: Array


class _To(NamedTuple):
    """Gradients, and their sums in float32 over blocks of queries and, of the bias's blocks, over sequences too."""

    queries: Array
    keys: Array
    values: Array
    parts: Array | None
    key_sums: Array
    value_sums: Array
    tiles: Array | None


def _backward_block(read: _Read, given: _Given, to: _To, blocks: _Blocks) -> None:
    """A block of queries: its own gradient, and its part of the others'."""
    place = _Place.here(blocks)
    _make_tiles(read, blocks, place)
    _start_sums(to, place)
    queries, cotangent = read.queries[0, 0], given.cotangent[0, 0]
    normaliser, with_mixed = given.normaliser[0, 0], given.with_mixed[0, 0]

    def step(j, to_queries):
        at = _at(j, blocks)
        logits, real = _logits(read, queries, place.offset(j, blocks), at, blocks)
        weights = jnp.exp(logits - normaliser)
        to_logits = weights * (_product(read.values[0, 0, :, at], cotangent, 0, 0) - with_mixed)
        if real is not None:  # matters where all keys are alike: their weights are not 0
            to_logits = jnp.where(real, to_logits, 0.0)
        if to.tiles is not None:
            to.tiles[place.offset(j, blocks)] += to_logits
        low = to_logits.astype(queries.dtype)
        to.key_sums[:, at] += _product(queries, low, 1, 1)
        to.value_sums[:, at] += _product(cotangent, weights.astype(cotangent.dtype), 1, 1)
        return to_queries + _product(read.keys[0, 0, :, at], low, 1, 0)

    to_queries = lax.fori_loop(0, blocks.across, step, jnp.zeros(queries.shape, jnp.float32))
    to.queries[0, 0] = to_queries.astype(to.queries.dtype)
    _finish_sums(to, blocks, place)


def _start_sums(to: _To, place: _Place) -> None:
    @pl.when(place.block == 0)
    def _():
        to.key_sums[...] = jnp.zeros_like(to.key_sums)
        to.value_sums[...] = jnp.zeros_like(to.value_sums)

    if to.tiles is not None:

        @pl.when(place.start)
        def _():
            to.tiles[...] = jnp.zeros_like(to.tiles)


def _finish_sums(to: _To, blocks: _Blocks, place: _Place) -> None:
    @pl.when(place.block == blocks.down - 1)
    def _():
        to.keys[0, 0] = to.key_sums[...].astype(to.keys.dtype)
        to.values[0, 0] = to.value_sums[...].astype(to.values.dtype)

    if to.tiles is not None:

        @pl.when(place.end)
        def _():
            to.parts[...] = jnp.zeros_like(to.parts)

            def add(offset, _):
                sums = _diagonal_sums(to.tiles[offset])
                to.parts[0, offset] += sums[:, : blocks.rows]
                to.parts[0, offset + 1] += sums[:, blocks.rows :]

            lax.fori_loop(0, blocks.offsets, add, None)


def _make_tiles(read: _Read, blocks: _Blocks, place: _Place) -> None:
    """The blocks of the bias of a head, before its first sequence."""
    if read.tiles is None:
        return

    @pl.when(place.start)
    def _():
        def make(offset, _):
            read.tiles[offset] = _by_diagonal(jnp.concatenate([read.parts[0, offset], read.parts[0, offset + 1]], 1))

        lax.fori_loop(0, blocks.offsets, make, None)


def _by_diagonal(values: Float[Array, "1 2C"]) -> Float[Array, "C C"]:
    """[k, q] = values[q - k + C - 1]. Row k is row 0 rolled by k, so the rows that are there, rolled by their number,
    are as many more."""
    size = values.shape[1] // 2
    first = pltpu.roll(jnp.broadcast_to(values, (_SUBLANES, 2 * size)), size + 1, 1)
    rolled = _rolled(first, _row_numbers(first))
    while len(rolled) < size:
        rolled = jnp.concatenate([rolled, pltpu.roll(rolled, len(rolled), 1)])
    return rolled[:, :size]


def _diagonal_sums(tile: Float[Array, "C C"]) -> Float[Array, "1 2C"]:
    """[q - k + C - 1] = the sum of what `_by_diagonal` would have filled with it. Row k is to be rolled by C - 1 - k:
    the upper half by half of C more than the lower, and then as the lower."""
    size = len(tile)
    rows = jnp.concatenate([tile, jnp.zeros_like(tile)], 1)
    while len(rows) > _SUBLANES:
        half = len(rows) // 2
        rows = pltpu.roll(rows[:half], half, 1) + rows[half:]
    assert rows.shape == (_SUBLANES, 2 * size)
    return _rolled(rows, _SUBLANES - 1 - _row_numbers(rows)).sum(0, keepdims=True)


def _row_numbers(x: Float[Array, "R C"]) -> Int[Array, "R C"]:
    return lax.broadcasted_iota(jnp.int32, x.shape, 0)


def _rolled(x: Float[Array, "8 C"], by: Int[Array, "8 C"]) -> Float[Array, "8 C"]:
    """Each row rolled to the right by its number of `by`, less than 8."""
    for bit in (1, 2, 4):
        x = jnp.where(by & bit != 0, pltpu.roll(x, bit, 1), x)
    return x
