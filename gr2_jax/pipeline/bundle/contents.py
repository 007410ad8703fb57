"""bundle.json: what a bundle's files are, and everything else that a search needs to know."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gr2_jax.checksums import SEAL, crc32_of, sealed, unsealed
from gr2_jax.data.vocabulary import MODEL_NAME
from gr2_jax.decoding.trie_arrays import STORED
from gr2_jax.errors import SettingError, UserError, check_above_zero, check_choices, check_least, check_name, nearest
from gr2_jax.files import read_json, reading, write_json
from gr2_jax.models import T5Config
from gr2_jax.models.config import config_from
from gr2_jax.models.huggingface.reading import WEIGHTS
from gr2_jax.search.docid_vectors import VectorSettings
from gr2_jax.search.searcher import LATER, PLACES, SearchOptions

RECORD = "bundle.json"
VOCABULARY, TRIE, VECTORS = MODEL_NAME, "trie", "vectors"
DOCUMENTS, DOC_IDS = "documents.jsonl", "doc_ids.txt"
CARD = "README.md"
"""For people. It is the one file that bundle.json does not list: no search reads it, and a hub lets one edit it."""
FORMAT, VERSION = "gr2_jax bundle", 1
_HEADER = {"format", "version", "files", SEAL}
_MOST_TOKENS, _MOST_SENTINELS, _MOST_QUERIES = (
    4096,
    100_000,
    10_000,
)  # a stranger's bundle may not ask for a batch that no memory holds

Section = TypeVar("Section")


@dataclasses.dataclass(frozen=True)
class Contents:
    """What bundle.json says besides its files.

    experiment      the name of the run's experiment
    row             the name of the row
    models          the fingerprints of its training, vocabulary and docids, and the checkpoint's step
    model           the T5; the tokens that it can write are those of the trie
    extra_ids       sentinels of the vocabulary
    query_length    longest query, in tokens
    query_end       the token that ends a query; None: none does
    compares        how the model compares queries with docids; None: likelihood alone ranks, and there are no vectors
    search          how the run searched, with the weight that it chose
    documents       how many
    texts           whether the bundle has their titles and texts, or the ids alone
    """

    experiment: str
    row: str
    models: dict[str, Any]
    model: T5Config
    extra_ids: int
    query_length: int
    query_end: int | None
    compares: VectorSettings | None
    search: SearchOptions
    documents: int
    texts: bool

    def __post_init__(self):
        check_choices(self)
        check_name(self, "row", self.row)
        check_least(self, 1, "query_length", "documents")
        check_least(self, 0, "extra_ids")
        check_least(self.model, 1, "d_model", "d_kv", "d_ff", "num_heads")
        for field, most in (("query_length", _MOST_TOKENS), ("extra_ids", _MOST_SENTINELS)):
            if getattr(self, field) > most:
                raise SettingError(self, field, f"is {getattr(self, field)}: a bundle has at most {most:,}")
        if self.search.batch > _MOST_QUERIES:
            raise SettingError(self.search, "batch", f"is {self.search.batch}: a bundle has at most {_MOST_QUERIES:,}")
        if self.query_end is not None:
            check_least(self, 1, "query_end")
        if self.compares is not None:
            check_choices(self.compares)
            check_above_zero(self.compares, "temperature")

    @property
    def files(self) -> set[str]:
        """The names of all files of such a bundle, but for bundle.json and the card."""
        names = {WEIGHTS, VOCABULARY, DOCUMENTS if self.texts else DOC_IDS, f"{TRIE}/trie.json"}
        names |= {f"{TRIE}/{array}.npy" for array in STORED}
        if self.compares is not None:
            names |= {f"{VECTORS}/vectors.json", f"{VECTORS}/vectors.npy"}
            names |= {f"{VECTORS}/scales.npy"} if self.search.vectors == "int8" else set()
        return names


def is_bundle(directory: Path) -> bool:
    return (directory / RECORD).is_file()


def write_record(directory: Path, contents: Contents) -> None:
    """Writes bundle.json, with the sizes and checksums of the other files, which are there already."""
    files = {
        name: {"bytes": (directory / name).stat().st_size, "crc32": crc32_of(directory / name)}
        for name in sorted(contents.files)
    }
    # where a search keeps its arrays is the business of whoever opens the bundle
    search = {name: value for name, value in vars(contents.search).items() if name not in PLACES}
    record = {"format": FORMAT, "version": VERSION, "files": files} | vars(contents) | {"search": search}
    write_json(directory / RECORD, sealed(record))


def read_record(directory: Path) -> tuple[Contents, dict[str, dict[str, int]]]:
    """What bundle.json says, and file -> its "bytes" and "crc32"; the other files are not looked at.

    Raises:
        UserError: bundle.json is missing, damaged, of another version, or says something that no bundle does.
    """
    place = directory / RECORD
    record = read_json(place)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{place} is not the bundle.json of a bundle of gr2_jax")
    if record.get("version") != VERSION:
        raise UserError(f"{place} has version {record.get('version')!r}, and this gr2_jax reads version {VERSION}")
    if SEAL not in record:
        raise UserError(f"{place} is damaged: it has no checksum of itself")
    unsealed(record, place)
    contents = _contents({name: value for name, value in record.items() if name not in _HEADER}, place)
    return contents, _listed(record.get("files"), contents.files, place)


def check_listed(directory: Path, files: Mapping[str, Mapping[str, int]]) -> None:
    """Raises `UserError` that names the first file that is missing or has other bytes than bundle.json says."""
    for name, said in files.items():
        path = directory / name
        with reading(path):
            if not path.is_file():
                raise UserError(f"{directory} is damaged: {name} is missing")
            if (size := path.stat().st_size) != said["bytes"]:
                raise UserError(f"{path} is damaged: it has {size:,} bytes, and {RECORD} says {said['bytes']:,}")
            if crc32_of(path) != said["crc32"]:
                raise UserError(f"{path} is damaged: it was changed after it was written")


def _contents(record: dict[str, Any], place: Path) -> Contents:
    kinds = {"experiment": str, "models": dict}
    if wrong := next((name for name, kind in kinds.items() if not isinstance(record.get(name, kind()), kind)), None):
        raise UserError(f"{place}: {wrong} is {record[wrong]!r}")
    parts = {
        "model": lambda value: config_from(value, place),
        "compares": lambda value: None if value is None else _section(VectorSettings, value, place),
        "search": lambda value: _section(SearchOptions, value, place, left_out=(*PLACES, *LATER)),
    }
    return _section(
        Contents, record | {name: make(record[name]) for name, make in parts.items() if name in record}, place
    )


def _section(kind: type[Section], values: Any, place: Path, *, left_out: Collection[str] = ()) -> Section:
    """The dataclass with exactly these fields, but for those that may be left out; `UserError` that names `place` for
    others, or for what it refuses."""
    if not isinstance(values, dict):
        raise UserError(f"{place}: {kind.__name__} is {values!r}, not an object")
    known = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(values.keys() - known):
        raise UserError(f"{place} has the unknown setting {unknown[0]!r}: {nearest(unknown[0], known)}")
    if missing := sorted(known - values.keys() - set(left_out)):
        raise UserError(f"{place} lacks the setting {missing[0]!r}")
    try:
        return kind(**values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def _listed(files: Any, expected: set[str], place: Path) -> dict[str, dict[str, int]]:
    """The list of files, which has exactly the expected names: no other path is ever opened."""
    if not isinstance(files, dict):
        raise UserError(f"{place} lists no files")
    if unknown := sorted(files.keys() - expected):
        raise UserError(f"{place} lists {unknown[0]!r}, which is no file of such a bundle")
    if missing := sorted(expected - files.keys()):
        raise UserError(f"{place} does not list {missing[0]}")
    for name, said in files.items():
        if not isinstance(said, dict) or any(type(said.get(key)) is not int for key in ("bytes", "crc32")):
            raise UserError(f"{place} lists {name} without its bytes and its crc32")
    return files
