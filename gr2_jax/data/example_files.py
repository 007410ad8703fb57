"""Tokenised examples on disk with random access (ArrayRecord), for collections that do not fit in memory.

`examples.array_record-00000-of-00008` ... and `fields.json` in one directory, which is complete or absent. Example i is
record i // shards of shard i % shards. A record is little-endian int32: tokens T, documents D, whether docids follow;
T tokens; D rows; D grades; then, with docids, D lengths and the docids' tokens one after the other. Nothing here needs
TensorFlow.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.dealing import deal, shard_paths
from gr2_jax.errors import UserError
from gr2_jax.files import read_json, reading, write_json, writing

FIELDS_FILE = "fields.json"
_FORMAT = 1
_INT = np.dtype("<i4")
_RATIO = 1000  # tokens for a byte of a file at most: records are compressed


class TokenisedExample(NamedTuple):
    """One example without padding: tokens [T], docid_rows [D], grades [D] and, where docids are text, D token lists."""

    tokens: Sequence[int]
    docid_rows: Sequence[int]
    grades: Sequence[int]
    docid_tokens: Sequence[Sequence[int]] | None = None


class ExampleFiles:
    """Examples in a directory; `files.take(indices)` equals `ExampleArrays.take` of the same examples in memory."""

    def __init__(self, directory: Path, source, starts: np.ndarray, examples: int, widths: tuple[int, int, int | None]):
        """Use `ExampleFiles.open`. `starts` [shards]: where each shard begins in `source`."""
        self._directory = directory
        self._source, self._starts, self._examples, self._widths = source, starts, examples, widths

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        length: int | None = None,
        judged: int | None = None,
        docid_length: int | None = None,
    ) -> "ExampleFiles":
        """Texts are cut or padded to `length` tokens, lists to their first `judged` documents, docids to `docid_length`
        tokens; each defaults to the longest in the files. `UserError` for an incomplete directory."""
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        directory = Path(directory)
        if not (directory / FIELDS_FILE).is_file():
            raise UserError(f"{directory} holds no tokenised examples: it has no {FIELDS_FILE}")
        counts, longest = _read_fields(directory)
        paths = shard_paths(_records(directory), len(counts))
        _check_shards(paths, counts)
        most = _RATIO * max(path.stat().st_size for path in paths)
        if too_long := [name for name, width in longest.items() if (width or 0) > most]:
            raise UserError(f"{directory / FIELDS_FILE} is damaged: no file holds {longest[too_long[0]]} {too_long[0]}")
        starts = np.cumsum([0, *counts[:-1]])
        given = {"tokens": length, "docid_rows": judged, "docid_tokens": docid_length}
        widths = tuple(longest[name] if given[name] is None else given[name] for name in given)
        if longest["docid_tokens"] is None:
            widths = (*widths[:2], None)
        return cls(directory, ArrayRecordDataSource([str(path) for path in paths]), starts, sum(counts), widths)

    def __len__(self) -> int:
        """Examples, E."""
        return self._examples

    @property
    def size(self) -> int:
        """Examples, E; the name that `ExampleArrays` has too."""
        return self._examples

    def take(self, indices: Int[np.ndarray, " n"]) -> ExampleArrays:
        """tokens [n, length], docid_rows [n, judged], grades [n, judged] and docid_tokens [n, judged, docid_length] or
        None, int32, in the order of `indices`; shards are read in parallel. `IndexError` past either end."""
        indices = np.asarray(indices, np.int64)
        taken = _empty(len(indices), *self._widths)
        if len(indices) == 0:
            return taken
        if indices.min() < 0 or indices.max() >= self._examples:
            raise IndexError(f"indices {indices.min()} to {indices.max()} leave the {self._examples} examples")
        turns, shards = np.divmod(indices, len(self._starts))
        with reading(self._directory):
            for place, record in enumerate(self._source.__getitems__((self._starts[shards] + turns).tolist())):
                _unpack(np.frombuffer(record, _INT), place, taken)
        return taken


def write_example_files(directory: Path, examples: Iterable[TokenisedExample], *, shards: int = 8) -> int:
    """Streams the examples to disk in constant memory and returns their number. `UserError` if `directory` exists; an
    interrupted write leaves nothing under its name."""
    from array_record.python.array_record_module import ArrayRecordWriter

    if directory.exists():
        raise UserError(f"{directory} exists already: remove it, or choose another place for the tokenised examples")
    partial = directory.with_name(directory.name + ".partial")
    longest: dict[str, int | None] = {"tokens": 0, "docid_rows": 0, "docid_tokens": None}
    with writing(directory):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        counts = deal(
            _packed(examples, longest),
            shard_paths(_records(partial), shards),
            # one record per group: any record is read without its neighbours
            lambda path: ArrayRecordWriter(path, "group_size:1"),
        )
        write_json(partial / FIELDS_FILE, {"format": _FORMAT, "shards": counts, "longest": longest})
        os.replace(partial, directory)
    return sum(counts)


def _read_fields(directory: Path) -> tuple[list[int], dict[str, int | None]]:
    """The examples of each shard, and the longest list of each field."""
    with reading(directory / FIELDS_FILE):
        fields = read_json(directory / FIELDS_FILE)
        if fields.get("format") != _FORMAT:
            raise UserError(
                f"the examples in {directory} have format {fields.get('format')}, not {_FORMAT}: write them again"
            )
        counts = fields["shards"]
        longest = {name: fields["longest"][name] for name in ("tokens", "docid_rows", "docid_tokens")}
        numbers = [*counts, *(width for width in longest.values() if width is not None)]
        known = longest["tokens"] is not None and longest["docid_rows"] is not None
        if not counts or not known or not all(type(number) is int and number >= 0 for number in numbers):
            raise UserError(f"{directory / FIELDS_FILE} is damaged: it does not describe examples")
        return counts, longest


def _records(directory: Path) -> Path:
    return directory / "examples.array_record"


def _check_shards(paths: Sequence[Path], counts: Sequence[int]) -> None:
    from array_record.python.array_record_module import ArrayRecordReader

    for path, count in zip(paths, counts, strict=True):
        if not path.is_file():
            raise UserError(f"{path} is missing: write these examples again")
        try:
            reader = ArrayRecordReader(str(path))
            found = reader.num_records()  # 0 for a file that is not an ArrayRecord
            reader.close()
        except RuntimeError:  # cut short
            found = 0
        if found != count:
            raise UserError(f"{path} is damaged, {found} of {count} examples can be read: write these examples again")


def _packed(examples: Iterable[TokenisedExample], longest: dict[str, int | None]) -> Iterator[bytes]:
    """The records; once all have passed, `longest` holds the longest length of each field."""
    for example in examples:
        docids = example.docid_tokens
        header = [len(example.tokens), len(example.docid_rows), int(docids is not None)]
        parts = [header, example.tokens, example.docid_rows, example.grades]
        seen = {"tokens": header[0], "docid_rows": header[1]}
        if docids is not None:
            lengths = [len(docid) for docid in docids]
            parts += [lengths, *docids]
            seen["docid_tokens"] = max(lengths, default=0)
        for name, width in seen.items():
            longest[name] = max(longest[name] or 0, width)
        yield np.concatenate([np.asarray(part, _INT) for part in parts]).tobytes()


def _empty(count: int, length: int, judged: int, docid_length: int | None) -> ExampleArrays:
    docids = None if docid_length is None else np.zeros((count, judged, docid_length), np.int32)
    rows = np.full((count, judged), -1, np.int32)
    return ExampleArrays(np.zeros((count, length), np.int32), rows, np.zeros((count, judged), np.int32), docids)


def _unpack(record: Int[np.ndarray, " size"], place: int, taken: ExampleArrays) -> None:
    """Fills row `place` of the padded arrays."""
    tokens, documents, has_docids = record[:3].tolist()
    rows, grades = 3 + tokens, 3 + tokens + documents
    width = min(tokens, taken.tokens.shape[1])
    judged = min(documents, taken.grades.shape[1])
    taken.tokens[place, :width] = record[3 : 3 + width]
    taken.docid_rows[place, :judged] = record[rows : rows + judged]
    taken.grades[place, :judged] = record[grades : grades + judged]
    if has_docids and taken.docid_tokens is not None:
        docids = _padded(record[grades + documents :], documents)[:judged, : taken.docid_tokens.shape[2]]
        taken.docid_tokens[place, :judged, : docids.shape[1]] = docids


def _padded(docids: Int[np.ndarray, " size"], count: int) -> Int[np.ndarray, "count longest"]:
    """`count` lengths, then all tokens one after the other -> one 0-padded row per length."""
    lengths = docids[:count, None]
    columns = np.arange(lengths.max(initial=0))
    padded = np.zeros((count, len(columns)), np.int32)
    padded[columns < lengths] = docids[count:]
    return padded
