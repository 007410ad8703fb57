"""A record of Hugging Face files from which they can be written again byte for byte, whoever wrote them.

A safetensors file is 8 bytes that give the length of a JSON header, the header, and the tensors' bytes one after
another. The record keeps the headers verbatim (names, types, order, metadata, even padding), config.json, the index of
shards and the tensors that our model does not use; all other values are in the parameters.
"""

import base64
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from gr2_jax.errors import UserError
from gr2_jax.files import read_json, read_text
from gr2_jax.models.huggingface.config import CONFIG
from gr2_jax.models.huggingface.reading import INDEX, opened
from gr2_jax.models.huggingface.tensors import DTYPES, UNUSED

RECORD = "huggingface.json"


@dataclasses.dataclass(frozen=True)
class Record:
    """`config` and `index` are texts; `headers`: file -> its header; `unused`: tensor -> its bytes in base64."""

    config: str
    index: str | None
    headers: dict[str, str]
    unused: dict[str, str]

    @classmethod
    def of(cls, directory: Path) -> "Record":
        """The record of a Hugging Face directory; raises `UserError` as reading its weights does."""
        with opened(directory) as weights:
            index = read_text(weights.listing) if weights.listing.name == INDEX else None
            headers = {path.name: _header(path) for path in weights.files}
            unused = {name: weights.get(name).tobytes() for name in sorted(UNUSED & weights.places.keys())}
        encoded = {name: base64.b64encode(value).decode() for name, value in unused.items()}
        return cls(read_text(directory / CONFIG), index, headers, encoded)

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Raises `UserError` for a file that `save` did not write."""
        try:
            record = cls(**read_json(path))
            if not record.model_type or any(Path(file).name != file for file, _ in record.entries()):
                raise ValueError
            if not (record.index is None or isinstance(record.index, str)) or not set(record.unused) <= UNUSED:
                raise ValueError
            for value in record.unused.values():
                base64.b64decode(value, validate=True)
            if any(kind not in DTYPES for _, rows in record.entries() for name, kind, _ in rows if name not in UNUSED):
                raise ValueError
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise UserError(f"{path} is damaged: restore it, or delete it to write the weights in float32") from error
        return record

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @property
    def model_type(self) -> str:
        return json.loads(self.config)["model_type"]

    def entries(self) -> Iterator[tuple[str, list[tuple[str, str, tuple[int, ...]]]]]:
        """(file, its tensors as (name, type, shape) in the order of their bytes)."""
        for file, header in self.headers.items():
            rows = [(name, entry) for name, entry in json.loads(header).items() if name != "__metadata__"]
            rows.sort(key=lambda row: row[1]["data_offsets"])
            yield file, [(name, entry["dtype"], tuple(entry["shape"])) for name, entry in rows]

    def types(self) -> list[str]:
        """The types of the tensors that are read, such as ["bfloat16", "float32"]."""
        rows = (row for _, rows in self.entries() for row in rows)
        return sorted({DTYPES[kind].name for name, kind, _ in rows if name not in self.unused})


def record_of(directory: Path) -> Record | None:
    """The record in a checkpoint of ours, or made from a Hugging Face directory's files; None for neither."""
    if (directory / RECORD).is_file():
        return Record.load(directory / RECORD)
    return Record.of(directory) if (directory / CONFIG).is_file() else None


def _header(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(int.from_bytes(file.read(8), "little")).decode()
