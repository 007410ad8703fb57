"""Reads a finished build, of `gr2 wikipedia` or of `gr2 pairs`, as a collection, without Beam or TensorFlow."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.wikipedia.examples import VERSION, read_examples, shard_name
from gr2_jax.corpus.wikipedia.pairs import ITSELF
from gr2_jax.errors import UserError
from gr2_jax.files import read_json

T = TypeVar("T")
_DATASETS = ("documents", "pairs")


def read_wikipedia(output: str | Path) -> CollectionStream:
    """Returns the documents (not held in memory), queries and judgements of a finished build in a local folder.

    The ids of documents and queries are page ids, or numbers, as text. Raises UserError if there is no finished build
    or it is damaged.
    """
    output = Path(output)
    manifest = _manifest(output)
    queries, qrels = {}, {}
    for query, text, grades in _read(output, "pairs", _judgements):
        queries[query] = text
        qrels[query] = grades
    about = {"source": f"wikipedia:{output}", **manifest.about}
    return CollectionStream(manifest.name, lambda: wikipedia_documents(output), queries, qrels, about)


def wikipedia_documents(output: str | Path) -> Iterator[Document]:
    """Yields the documents of a finished build in the order of its files; the order has no meaning."""
    return _read(Path(output), "documents", _document)


def wikipedia_files(output: str | Path, name: str) -> list[str]:
    """Returns the TFRecord files of `documents` or `pairs` that the manifest of a finished build lists.

    Raises UserError for a file that is missing or has another size.
    """
    output = Path(output)
    sizes = _manifest(output).sizes[name]
    paths = [output / name / VERSION / shard_name(name, shard, len(sizes)) for shard in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        if not path.is_file():
            raise UserError(f"{path}, a shard of the build, is missing: copy or build it again")
        if (held := path.stat().st_size) != size:
            raise UserError(f"{path} has {held} bytes, not the build's {size}: copy or build it again")
    return [str(path) for path in paths]


def wikipedia_fingerprint(output: str | Path) -> str:
    """Returns a hash of a finished build's manifest, which holds the size of every file and the build's inputs."""
    return "sha256:" + hashlib.sha256(_manifest_path(Path(output)).read_bytes()).hexdigest()


def wikipedia_grades(output: str | Path) -> int:
    """Returns L, where the grades of a finished build are 1 to L; 4 for one that is older than this field."""
    return _manifest(Path(output)).grades


@dataclass(frozen=True)
class _Manifest:
    """The fields of a build's manifest that a reader needs."""

    name: str
    about: dict[str, str]
    grades: int
    sizes: dict[str, list[int]]  # data set -> bytes of each shard, in order


def _manifest(output: Path) -> _Manifest:
    path = _manifest_path(output)
    try:
        given = read_json(path)
        if "dumps" in given:
            name = given["site"]["dbname"] or "wikipedia"
            about = {"dumps": ", ".join(dump["name"] for dump in given["dumps"]), "site": given["site"]["base"]}
        else:  # of `gr2 pairs`
            name, about = given["name"], {"of": given["source"]}
        about["options"] = json.dumps(given["options"], sort_keys=True)
        sizes = {data: [shard["bytes"] for shard in given["shards"][data]] for data in _DATASETS}
        return _Manifest(name, about, int(given.get("grades", ITSELF)), sizes)
    except (LookupError, TypeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is damaged or not a manifest of `gr2 wikipedia` or `gr2 pairs` ({fault})") from None


def _manifest_path(output: Path) -> Path:
    path = output / "manifest.json"
    if not path.is_file():
        begun = (output / "build.json").is_file()
        raise UserError(
            f"{output} holds a build that is not finished: run `gr2 wikipedia` again"
            if begun
            else f"{output} holds no build of `gr2 wikipedia` or `gr2 pairs`"
        )
    return path


def _document(record: dict) -> Document:
    return Document(str(record["doc_id"][0]), record["title"][0], record["text"][0], record["url"][0])


def _judgements(record: dict) -> tuple[str, str, dict[str, int]]:
    grades = {str(doc): grade for doc, grade in zip(record["doc_ids"], record["grades"], strict=True)}
    return str(record["query_id"][0]), record["query"][0], grades


def _read(output: Path, name: str, make: Callable[[dict], T]) -> Iterator[T]:
    for path in wikipedia_files(output, name):
        with open(path, "rb") as file:
            yield from read_examples(file, path, make)
