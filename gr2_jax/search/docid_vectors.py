"""The docids' vectors f_id as a table: made once with a trained model, kept on disk, compared with f_q in a search."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jaxtyping import Float, Int

from gr2_jax.array_files import growing_array, map_array
from gr2_jax.decoding.devices import on_each_device
from gr2_jax.decoding.nearest import Vectors
from gr2_jax.errors import UserError
from gr2_jax.files import read_json, reading, write_json
from gr2_jax.models import GR2
from gr2_jax.search.placement import WHOLE, Placement
from gr2_jax.search.searcher import VectorType

Similarity = Literal["cosine", "dot"]
_DOCIDS = 4096  # read at once


@dataclasses.dataclass(frozen=True)
class VectorSettings:
    """How a model compares a query with a docid: the settings of Eq. 4 that it was trained with."""

    docid_reader: Literal["encoder", "decoder"]
    temperature: float
    similarity: Similarity


@dataclasses.dataclass(frozen=True, eq=False)
class DocidVectors:
    """f_id of every document, of unit length where similarity is the cosine.

    values    [N, F], float32, bfloat16, or int8 with a scale for each row
    scales    [N], for int8
    """

    values: np.ndarray
    scales: Float[np.ndarray, "N"] | None = None

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)

    @property
    def arrays(self) -> Vectors:
        return Vectors(self.values, self.scales)

    def of(self, rows: Int[np.ndarray, " n"] | slice) -> Float[np.ndarray, "n F"]:
        """Those of some documents, in float32."""
        values = np.asarray(self.values[rows], np.float32)
        return values if self.scales is None else values * self.scales[rows][:, None]

    def longest(self) -> float:
        """The length of the longest vector, which bounds every similarity with a query of unit length."""
        most = 0.0
        for start in range(0, len(self.values), _DOCIDS):
            rows = slice(start, start + _DOCIDS)
            lengths = np.linalg.norm(self.values[rows].astype(np.float32), axis=1)
            most = max(most, float((lengths if self.scales is None else lengths * self.scales[rows]).max()))
        return most

    def save(self, directory: Path) -> None:
        write_vectors(directory, [self], self.values.dtype.name, self.values.shape[1])

    @classmethod
    def load(cls, directory: Path) -> "DocidVectors":
        """Memory-mapped; `UserError` for files that are damaged."""
        with reading(directory):
            dtype = read_json(directory / "vectors.json")["dtype"]
            if dtype not in get_args(VectorType):
                raise UserError(f"{directory / 'vectors.json'} is damaged: {dtype!r} is no type of vectors")
            values = map_array(directory / "vectors.npy", ndim=2).view(np.dtype(dtype))
            scales = map_array(directory / "scales.npy", ndim=1) if dtype == "int8" else None
            if scales is not None and len(scales) != len(values):
                raise UserError(f"{directory} is damaged: {len(values)} vectors have {len(scales)} scales")
        return cls(values, scales)


VectorProgram = Callable[[Any, Int[np.ndarray, "n T"]], Float[jax.Array, "n F"]]
"""(parameters, docids with their ends, 0-padded) -> their vectors."""


def vector_program(model: GR2, settings: VectorSettings, placement: Placement = WHOLE) -> VectorProgram:
    """The compiled program that reads docids, as many on each device of this process."""

    def read(params: Any, docids: Int[jax.Array, "n T"]) -> Float[jax.Array, "n F"]:
        vectors = placement.applied(model, params)(docids, settings.docid_reader, method="docid_vectors")
        vectors = vectors.astype(jnp.float32)
        return unit_length(vectors) if settings.similarity == "cosine" else vectors

    return on_each_device(read, (placement.params_split, True))


def vectors_in_parts(
    read: VectorProgram,
    params: Any,
    docids: Int[np.ndarray, "N T"],
    dtype: VectorType,
    rows: range,
    advance: Callable[[int], None] = lambda docids: None,
) -> Iterator[DocidVectors]:
    """Reads the docids of the rows, in their order, a few thousand at a time on each device: as many as if all were
    read. `advance` is called with how many more are done."""
    size = min(_DOCIDS, len(docids)) * jax.local_device_count()
    for start in rows[::size]:
        some = docids[start : min(start + size, rows.stop)]
        filled = np.pad(some.astype(np.int32), [(0, size - len(some)), (0, 0)])
        yield quantised(np.asarray(read(params, filled))[: len(some)], dtype)
        advance(len(some))


def joined(parts: Iterable[DocidVectors], count: int, dtype: VectorType, width: int) -> DocidVectors:
    """Parts of `count` rows together as one table, in memory; beside it there is one part at a time."""
    values = np.zeros((count, width), dtype)
    scales, start = np.zeros(count, np.float32) if dtype == "int8" else None, 0
    for part in parts:
        rows = slice(start, start + len(part.values))
        values[rows], start = part.values, rows.stop
        if scales is not None:
            scales[rows] = part.scales
    return DocidVectors(values, scales)


def write_vectors(directory: Path, parts: Iterable[DocidVectors], dtype: VectorType, width: int) -> None:
    """Writes the parts, of which one is in memory at a time, as one table, which `DocidVectors.load` opens."""
    on_disk = np.uint16 if dtype == "bfloat16" else np.dtype(dtype)  # numpy's format does not know bfloat16
    scaled = growing_array(directory / "scales.npy", np.float32) if dtype == "int8" else nullcontext()
    with growing_array(directory / "vectors.npy", on_disk, (width,)) as values, scaled as scales:
        for part in parts:
            values.append(part.values.view(on_disk))
            if scales is not None:
                scales.append(part.scales)
    write_json(directory / "vectors.json", {"dtype": dtype})


def unit_length(vectors: Float[jax.Array, "n F"]) -> Float[jax.Array, "n F"]:
    """The vectors divided by their lengths; one of length 1e-12 or less becomes 0, as in `similarity_matrix`."""
    squared = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    usable = squared > 1e-24
    return jnp.where(usable, vectors * jax.lax.rsqrt(jnp.where(usable, squared, 1.0)), 0.0)


def quantised(vectors: Float[np.ndarray, "N F"], dtype: VectorType) -> DocidVectors:
    """int8: each row divided by its largest entry's 127th part, and rounded."""
    if dtype == "float32":
        return DocidVectors(vectors)
    if dtype == "bfloat16":
        return DocidVectors(vectors.astype(ml_dtypes.bfloat16))
    scales = np.maximum(np.abs(vectors).max(axis=1) / 127, np.float32(1e-30)).astype(np.float32)
    return DocidVectors(np.rint(vectors / scales[:, None]).astype(np.int8), scales)
