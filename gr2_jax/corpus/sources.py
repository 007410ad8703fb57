"""Where a collection comes from: the built-in API documentation, a folder, or ir_datasets."""

import hashlib
import importlib.metadata
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gr2_jax.corpus import _files
from gr2_jax.corpus.apidocs import LIBRARIES, library_versions, read_apidocs
from gr2_jax.corpus.collection import Collection, Document, Treatment, read_collection, validate
from gr2_jax.errors import UserError, nearest


def load_collection(
    source: str, *, empty_documents: Treatment = "error", unjudged_queries: Treatment = "error"
) -> Collection:
    """Returns the collection that a source names, checked by `validate`.

    `apidocs` or `apidocs:numpy,scipy`: the documentation of installed libraries. `irds:<id>`: a data set of
    ir_datasets, which may download it. Anything else: a folder with documents.jsonl[.gz] (`doc_id`, `text`, optional
    `title` and `url`), queries.tsv and qrels.txt.

    Raises UserError for a source that is not there, is malformed (with file and line), cannot be downloaded or is not
    fit for use.
    """
    kind, _, rest = source.partition(":")
    if kind == "apidocs":
        collection = read_apidocs(_libraries(rest))
    elif kind == "irds":
        collection = _read_irds(rest)
    else:
        collection = read_collection(source)
    return validate(collection, empty_documents=empty_documents, unjudged_queries=unjudged_queries)


def source_fingerprint(source: str) -> str:
    """Returns a short string that changes when what the source names changes; nothing is parsed or downloaded.

    It holds the versions of the libraries, the id and the version of ir_datasets, or a SHA-256 over the bytes of a
    folder's files of documents, queries and judgements.

    Raises UserError for a library, folder or file that is not there, as `load_collection` does.
    """
    kind, _, rest = source.partition(":")
    if kind == "apidocs":
        return "apidocs:" + ",".join(
            f"{name}={version}" for name, version in library_versions(_libraries(rest)).items()
        )
    if kind == "irds":
        try:
            return f"irds:{rest},ir_datasets={importlib.metadata.version('ir_datasets')}"
        except importlib.metadata.PackageNotFoundError as error:
            raise _needs_ir_datasets(rest) from error
    # A digest of digests, so that moving bytes from the end of one file to the start of the next is a change.
    digest = hashlib.sha256()
    for path in _files.data_files(_files.existing_folder(Path(source))):
        with _files.existing_file(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def _libraries(names: str) -> Sequence[str]:
    return [name.strip() for name in names.split(",")] if names else LIBRARIES


def _needs_ir_datasets(dataset_id: str) -> UserError:
    return UserError(f"irds:{dataset_id} needs ir_datasets: pip install 'gr2_jax[data]'")


def _read_irds(dataset_id: str) -> Collection:
    try:
        import ir_datasets
    except ImportError as error:
        raise _needs_ir_datasets(dataset_id) from error
    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError:
        hint = nearest(dataset_id, list(ir_datasets.registry)) if dataset_id else "name one, as in irds:cranfield"
        raise UserError(f"ir_datasets has no {dataset_id!r}: {hint}") from None
    for part, present in (
        ("documents", dataset.has_docs()),
        ("queries", dataset.has_queries()),
        ("judgements", dataset.has_qrels()),
    ):
        if not present:
            raise UserError(f"irds:{dataset_id} has no {part}: choose one of its subsets that has")
    try:
        return _from_dataset(dataset_id, dataset, ir_datasets.__version__)
    # What its downloads raise: requests' and its own errors are OSErrors, a missing login or a bad archive the others.
    except (OSError, EOFError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"ir_datasets cannot download or read {dataset_id!r}: {reason}") from error


def _from_dataset(dataset_id: str, dataset: Any, version: str) -> Collection:
    grade = _GRADE_OF_LABEL.get(dataset_id, lambda label: label)
    qrels: dict[str, dict[str, int]] = {}
    for judgement in dataset.qrels_iter():
        qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = grade(judgement.relevance)
    return Collection(
        name=dataset_id.replace("/", "-"),
        documents=tuple(_document(doc) for doc in dataset.docs_iter()),
        queries={query.query_id: " ".join(query.default_text().split()) for query in dataset.queries_iter()},
        qrels=qrels,
        provenance={"source": f"irds:{dataset_id}", "ir_datasets": version, "notes": _NOTES.get(dataset_id, "")},
    )


def _document(doc: Any) -> Document:
    url = (getattr(doc, "url", "") or "").strip()
    if hasattr(doc, "text"):
        return Document(doc.doc_id, (getattr(doc, "title", "") or "").strip(), doc.text.strip(), url)
    return Document(doc.doc_id, "", doc.default_text().strip(), url)


def cranfield_grade(code: int) -> int:
    """Returns the grade of a Cranfield relevance code: 1 (a complete answer) is 4, 4 (minimum interest) is 1.

    Code -1, which every query has once and which behaves like the paper that the question came from, is 0.
    """
    return 5 - code if 1 <= code <= 5 else 0


_GRADE_OF_LABEL: dict[str, Callable[[int], int]] = {"cranfield": cranfield_grade}
_NOTES = {"cranfield": "grade = 5 - code as ir_datasets serves the raw codes; code -1 (the source paper) is grade 0"}
