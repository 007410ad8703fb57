"""An endless walk through a source: the example at each place is a function of (seed, place) alone.

The batch of a step is the walk's places step*B .. step*B + B - 1; a host reads its share of them. So a run resumes at
any step, on any number of hosts, without iterator state.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Int

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.errors import UserError

_PERIOD = 1000  # places over which a mixture keeps its rates exactly
_PADDING = ExampleArrays(tokens=0, docid_rows=-1, grades=0, docid_tokens=0)
_SHUFFLE, _MIX = 2, 4  # the uses of a seed's random numbers: each has its own counter


class Examples(Protocol):
    """What can be walked: `ExampleArrays`, `ExampleFiles`, or several of them: `EndToEnd`, `Mixture`."""

    @property
    def size(self) -> int: ...

    def take(self, indices: Int[np.ndarray, "n"]) -> ExampleArrays: ...


class EndToEnd:
    """Several sources as one, each after the other, padded to the widest of them."""

    def __init__(self, *sources: Examples):
        self._sources = sources
        self._starts = np.cumsum([0, *(source.size for source in sources)])
        self._shapes = [_common_shape(columns) for columns in zip(*map(_nothing_of, sources), strict=True)]

    @property
    def size(self) -> int:
        """Examples of all sources."""
        return int(self._starts[-1])

    def take(self, indices: Int[np.ndarray, "n"]) -> ExampleArrays:
        """The examples of the sources laid end to end."""
        return _taken(self._sources, self._starts, self._shapes, indices)


class Mixture:
    """Several sources as one: of every 1000 places (from a multiple of 1000 on) source i has its rate's share.

    rates        in any unit
    first_rows   ascending; added to each source's document rows, so that the documents of different collections differ

    Each source is walked separately, in a new random order per epoch, so it loses and repeats no example within an
    epoch. Raises `UserError` for a rate that is not positive or is below a thousandth of the total, and for sources of
    which only some have docids as text.
    """

    def __init__(self, sources: Sequence[Examples], rates: Sequence[float], first_rows: Sequence[int] | None = None):
        self.sources, self.first_rows = tuple(sources), tuple(first_rows or [0] * len(sources))
        if not len(self.sources) == len(rates) == len(self.first_rows):
            raise UserError(f"a mixture of {len(self.sources)} sources needs as many rates, not {len(rates)}")
        if not all(source.size for source in self.sources):
            raise UserError("a source of the mixture holds no examples")
        self.quotas = _quotas(rates)
        # over all sources, not only those in a batch: hosts must see the same shapes
        self._shapes = [_common_shape(columns) for columns in zip(*map(_nothing_of, self.sources), strict=True)]
        self.starts = np.cumsum([0, *(source.size for source in self.sources)])

    @property
    def size(self) -> int:
        """Examples of all sources."""
        return int(self.starts[-1])

    def _shifted(self, rows: Int[np.ndarray, "n J"], source: int) -> Int[np.ndarray, "n J"]:
        room = np.diff([*self.first_rows, 1 << 31])[source] or 1 << 31
        if rows.max(initial=-1) >= room:
            raise UserError(f"source {source} of the mixture has a document of row {rows.max()}: only {room} fit")
        return np.where(rows >= 0, rows + self.first_rows[source], -1).astype(np.int32)

    def take(self, indices: Int[np.ndarray, "n"]) -> ExampleArrays:
        """The examples of the sources laid end to end, padded to the widest source."""
        return _taken(self.sources, self.starts, self._shapes, indices, self._shifted)


def _taken(
    sources: Sequence[Examples],
    starts: Int[np.ndarray, "S"],
    shapes: Sequence,
    indices: Int[np.ndarray, "n"],
    shifted: Callable[[np.ndarray, int], np.ndarray] = lambda rows, source: rows,
) -> ExampleArrays:
    """Takes examples from sources laid end to end. Source i begins at `starts[i]`; `shifted` changes its rows."""
    owner = np.searchsorted(starts, indices, side="right") - 1
    parts, places = [_nothing_of(sources[0])], []
    for i in np.unique(owner):
        here = np.flatnonzero(owner == i)
        part = sources[i].take(indices[here] - starts[i])
        parts.append(part._replace(docid_rows=shifted(part.docid_rows, i)))
        places.append(here)
    back = np.argsort(np.concatenate(places)) if places else []
    fields = zip(zip(*parts, strict=True), shapes, _PADDING, strict=True)
    return ExampleArrays(*(_stack(columns, shape, fill, back) for columns, shape, fill in fields))


def visit(source: Examples, places: Int[np.ndarray, "n"], seed: int, stream: int) -> Int[np.ndarray, "n"]:
    """The examples at these places of the walk; a source that is walked for two purposes has a `stream` for each.

    A plain source is reshuffled every epoch. The orders of the last two epochs of each walk stay in memory, 4 bytes per
    example (8 from 2^32 examples on).
    """
    if source.size == 0 and len(places):
        raise UserError("there are no examples to train on: the source is empty")
    if not isinstance(source, Mixture):
        return _shuffled(source.size, places, seed, (stream, 0))
    periods, within = np.divmod(places, _PERIOD)
    owner, before = _turns(source.quotas, seed, stream)
    chosen = np.empty(len(places), np.int64)
    for i, quota in enumerate(source.quotas):
        here = owner[within] == i
        own_places = periods[here] * quota + before[within[here]]
        chosen[here] = source.starts[i] + _shuffled(source.sources[i].size, own_places, seed, (stream, i + 1))
    return chosen


def _shuffled(size: int, places: np.ndarray, seed: int, stream: tuple[int, int]) -> np.ndarray:
    epochs, within = np.divmod(places, size)
    chosen = np.empty(len(places), np.int64)
    orders = _walk_orders(size, seed, stream)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = orders(int(epoch))[within[here]]
    return chosen


@functools.lru_cache(maxsize=64)
def _walk_orders(size: int, seed: int, stream: tuple[int, int]) -> Callable[[int], np.ndarray]:
    """The order of each epoch of one walk; a batch that spans the end of an epoch needs two."""

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        counter = [0, epoch, stream[0] + (stream[1] << 32), _SHUFFLE]
        rng = np.random.Generator(np.random.Philox(key=seed, counter=counter))
        return rng.permutation(size).astype(np.uint32 if size < 1 << 32 else np.int64)

    return order


@functools.lru_cache(maxsize=8)
def _turns(quotas: tuple[int, ...], seed: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """For each place of a period: the source whose turn it is, and the number of its earlier turns in the period."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, stream, _MIX]))
    owner = rng.permutation(np.repeat(np.arange(len(quotas)), quotas))
    before = np.empty(_PERIOD, np.int64)
    for i, quota in enumerate(quotas):
        before[owner == i] = np.arange(quota)
    return owner, before


def _quotas(rates: Sequence[float]) -> tuple[int, ...]:
    """Turns of each source per period, by largest remainders."""
    shares = np.asarray(rates, float)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise UserError(f"the rates of a mixture must be positive numbers, found {', '.join(map(str, rates))}")
    shares = shares / shares.sum() * _PERIOD
    quotas = np.floor(shares).astype(int)
    quotas[np.argsort(quotas - shares, kind="stable")[: _PERIOD - quotas.sum()]] += 1
    if quotas.min() == 0:
        raise UserError(f"a rate of {rates[int(quotas.argmin())]} is under a thousandth of the mixture: raise it")
    return tuple(int(quota) for quota in quotas)


def _nothing_of(source: Examples) -> ExampleArrays:
    """The source's fields without examples, for their shapes and types."""
    return source.take(np.zeros(0, np.int64))


def _common_shape(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [column for column in columns if column is not None]
    if len(there) not in (0, len(columns)):
        raise UserError("a mixture cannot combine sources with and without docids as text")
    return np.max([column.shape[1:] for column in there], axis=0) if there else None


def _stack(columns: Sequence[np.ndarray], shape: np.ndarray | None, fill: int, order) -> np.ndarray | None:
    """Rows of arrays padded to one shape, put in order."""
    if shape is None:
        return None
    pads = [[(0, 0), *((0, wide - now) for wide, now in zip(shape, c.shape[1:], strict=True))] for c in columns]
    padded = [np.pad(column, pad, constant_values=fill) for column, pad in zip(columns, pads, strict=True)]
    return np.concatenate(padded)[order]
