"""NumPy's files, which may be damaged or a stranger's: no pickles, and no more memory than the file has bytes."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gr2_jax.errors import UserError
from gr2_jax.files import reading, replacing

_KINDS = "biuf"  # booleans, whole numbers and floats


class GrowingArray:
    """A .npy file that is written piece by piece along its first axis; `growing_array` makes one."""

    def __init__(self, file: BinaryIO, dtype: Any, row: tuple[int, ...]):
        self._file, self._dtype, self._row, self._length = file, np.dtype(dtype), row, 0
        self._write_header()

    def append(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def close(self) -> None:
        """Says in the header how long the array became."""
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        """NumPy leaves room in it for the first axis to grow."""
        shape = (self._length, *self._row)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def growing_array(path: Path, dtype: Any, row: tuple[int, ...] = ()) -> Iterator[GrowingArray]:
    """Yields an array to append to, [n, *row]; the file is there, whole, when the block has ended without an error."""
    with replacing(path) as partial, partial.open("wb") as file:
        array = GrowingArray(file, dtype, row)
        yield array
        array.close()


def map_array(path: Path, *, ndim: int) -> np.ndarray:
    """The array of a .npy file, mapped into memory, read only.

    Raises:
        UserError: The file is missing, damaged, shorter than its header says, or of another number of dimensions.
    """
    with reading(path), path.open("rb") as file:
        _check(file, path.stat().st_size, path, ndim)
        return np.load(path, mmap_mode="r", allow_pickle=False)


def parse_array(content: bytes, path: Path, *, ndim: int) -> np.ndarray:
    """The array of a .npy file that was read from `path`; raises as `map_array` does."""
    with reading(path):
        file = io.BytesIO(content)
        _check(file, len(content), path, ndim)
        file.seek(0)
        return np.load(file, allow_pickle=False)


def load_arrays(path: Path, ndims: dict[str, int]) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name; `ndims`: name -> the number of its dimensions.

    Raises:
        UserError: The file is missing, damaged or compressed, lacks an array, or has one of another number of
            dimensions or of more entries than bytes.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        if missing := sorted(name for name in ndims if f"{name}.npy" not in archive.namelist()):
            raise UserError(f"{path} is damaged: it has no array '{missing[0]}'")
        return {name: _member(archive, f"{name}.npy", path, ndim) for name, ndim in ndims.items()}


def load_all_arrays(path: Path, ndims: Sequence[int]) -> dict[str, np.ndarray]:
    """All arrays of a .npz file, whose numbers of dimensions are among `ndims`; raises as `load_arrays` does."""
    with reading(path), zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
            raise UserError(f"{path} is damaged: its arrays are longer than the file")
        return {name.removesuffix(".npy"): _member(archive, name, path, *ndims) for name in archive.namelist()}


def _member(archive: zipfile.ZipFile, name: str, path: Path, *ndims: int) -> np.ndarray:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise UserError(f"{path} is damaged: '{name}' is compressed, or longer than the file")
    with archive.open(info) as file:
        _check(file, info.file_size, path, *ndims)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check(file: BinaryIO | Any, size: int, path: Path, *ndims: int) -> None:
    """Raises `UserError` unless the .npy in `file`, of `size` bytes, has numbers in `ndims` dimensions, and as many of
    them as its header says."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = read_header[version](file)
    if dtype.kind not in _KINDS or dtype.hasobject or dtype.itemsize == 0:
        raise UserError(f"{path} is damaged: it holds {dtype}, not numbers")
    if len(shape) not in ndims or any(length < 0 for length in shape):
        raise UserError(f"{path} is damaged: an array has the shape {shape}, not {' or '.join(map(str, ndims))} axes")
    count = dtype.itemsize
    for length in shape:
        count *= int(length)
    if count > size - file.tell():
        raise UserError(f"{path} is damaged: its header promises {count} bytes, and {size - file.tell()} follow")
