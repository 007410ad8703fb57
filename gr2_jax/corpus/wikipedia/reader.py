"""A finished build as a collection, read without Beam or TensorFlow."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.wikipedia.examples import decode_example, read_records
from gr2_jax.errors import UserError

_VERSION = "1.0.0"


def read_wikipedia(output: str | Path) -> CollectionStream:
    """Returns the documents (never held), queries and judgements of a finished build in a local folder.

    The ids of documents and queries are page ids as text. Raises UserError where there is no finished build.
    """
    output = Path(output)
    manifest = json.loads(_manifest(output).read_text("utf-8"))
    queries, qrels = {}, {}
    for record in _read(output, "pairs"):
        query = str(record["query_id"][0])
        queries[query] = record["query"][0]
        qrels[query] = {str(doc): grade for doc, grade in zip(record["doc_ids"], record["grades"], strict=True)}
    about = {
        "source": f"wikipedia:{output}",
        "dumps": ", ".join(dump["name"] for dump in manifest["dumps"]),
        "site": manifest["site"]["base"],
        "options": json.dumps(manifest["options"], sort_keys=True),
    }
    name = manifest["site"]["dbname"] or "wikipedia"
    return CollectionStream(name, lambda: wikipedia_documents(output), queries, qrels, about)


def wikipedia_documents(output: str | Path) -> Iterator[Document]:
    """Yields the documents of a finished build, in the order of its files, which is that of no property of theirs."""
    for record in _read(Path(output), "documents"):
        yield Document(str(record["doc_id"][0]), record["title"][0], record["text"][0], record["url"][0])


def wikipedia_files(output: str | Path, name: str) -> list[str]:
    """The TFRecord files of a finished build's `documents` or `pairs`."""
    _manifest(Path(output))
    return [str(path) for path in sorted((Path(output) / name / _VERSION).glob(f"{name}-train.tfrecord-*-of-?????"))]


def wikipedia_fingerprint(output: str | Path) -> str:
    """Of a finished build, by its manifest, which has the size of every file and what decided their bytes."""
    return "sha256:" + hashlib.sha256(_manifest(Path(output)).read_bytes()).hexdigest()


def _manifest(output: Path) -> Path:
    path = output / "manifest.json"
    if not path.is_file():
        begun = (output / "build.json").is_file()
        state = "a build that is not finished: run `gr2 wikipedia` again" if begun else "no build of `gr2 wikipedia`"
        raise UserError(f"{output} holds {state}")
    return path


def _read(output: Path, name: str) -> Iterator[dict]:
    for path in wikipedia_files(output, name):
        with open(path, "rb") as file:
            yield from map(decode_example, read_records(file, path))
