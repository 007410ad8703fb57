"""Where a collection comes from: the built-in API documentation, ir_datasets, a folder, or a file of documents."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gr2_jax.buckets import is_in_bucket, local_copy
from gr2_jax.corpus import _files
from gr2_jax.corpus.apidocs import LIBRARIES, library_versions, read_apidocs
from gr2_jax.corpus.beir import beir_files, is_beir, open_beir
from gr2_jax.corpus.checks import Treatment, validate
from gr2_jax.corpus.collection import Collection, CollectionStream
from gr2_jax.corpus.document_file import is_document_file, open_document_file
from gr2_jax.corpus.folder import folder_files, is_folder, open_folder
from gr2_jax.corpus.irds import needs_ir_datasets, open_irds
from gr2_jax.corpus.text_folder import open_text_folder, text_files
from gr2_jax.corpus.trec import document_files, document_sizes, is_trec, judgement_files, open_trec, topic_files
from gr2_jax.corpus.wikipedia.reader import read_wikipedia, wikipedia_fingerprint
from gr2_jax.errors import UserError


def open_collection(source: str) -> CollectionStream:
    """Opens the collection that a source names; only the syntax of its files is checked.

    apidocs, apidocs:numpy,scipy   the documentation of installed libraries, and of Python's own
    irds:<id>                      a data set of ir_datasets, downloaded if necessary
    irds:<id>+<id>                 the union of several over the same documents
    wikipedia:DIR                  the output of `gr2 wikipedia --output DIR`, or of `gr2 pairs`
    a folder                       ours (documents.jsonl[.gz], queries.tsv, qrels.txt), BEIR's (corpus.jsonl,
                                   queries.jsonl, qrels/*.tsv) or TREC's (documents/, topics*, qrels*)
    any other folder               its text files are the documents, see `gr2_jax.corpus.text_folder`
    a file                         of documents: .jsonl, .json, .csv, .tsv or .txt, see `gr2_jax.corpus.document_file`
    folder#test, folder#train+dev  the folder with some of its judgement files, and only the queries judged in them
    gs://..., s3://...             any of these folders and files in a bucket, of which a copy is made on this host

    A file, a folder of text files, and a folder of ours or BEIR's with documents alone have no queries.

    Raises UserError for a source that is missing, malformed (with file and line) or cannot be downloaded; errors in
    documents are raised when they are iterated.
    """
    kind, _, rest = source.partition(":")
    return KINDS[kind].open(rest) if kind in KINDS else _open_path(_on_disk(source))


def names_a_collection(source: str) -> bool:
    """Whether this is a source, rather than another file or nothing: the prefix of one, a folder, or a file of
    documents."""
    if source.partition(":")[0] in KINDS:
        return True
    path = Path(source) if source.endswith(".py") else Path(_on_disk(source).partition("#")[0])
    return path.is_dir() or is_document_file(path)


def is_text_folder(source: str) -> bool:
    """Whether the source is a folder of this machine in no known layout: its text files are the documents."""
    path = Path(source)
    return path.is_dir() and not (is_beir(path) or is_trec(path) or is_folder(path))


def load_collection(
    source: str, *, empty_documents: Treatment = "error", unjudged_queries: Treatment = "error"
) -> Collection:
    """Returns the collection that a source names (see `open_collection`), held in memory and checked by `validate`.

    Raises UserError for a source that cannot be read or a collection that is not fit for use.
    """
    collection = open_collection(source).hold()
    return validate(collection, empty_documents=empty_documents, unjudged_queries=unjudged_queries)


def source_fingerprint(source: str) -> str:
    """Returns a short string that changes when the source's contents change; parses and downloads nothing.

    It holds the versions of the libraries, the ids and the version of ir_datasets, or a SHA-256 over the bytes of a
    folder's documents, queries and judgements. The documents of a TREC folder, which may be terabytes, count by path,
    size and modification time.

    Raises UserError for a missing library, folder or file, as `load_collection` does.
    """
    kind, _, rest = source.partition(":")
    return KINDS[kind].fingerprint(rest) if kind in KINDS else _path_fingerprint(_on_disk(source))


def _on_disk(source: str) -> str:
    """The source or, of a bucket's folder or file, its copy on this host's disk."""
    if not is_in_bucket(source):
        return source
    url, mark, selection = source.partition("#")
    return f"{local_copy(url)}{mark}{selection}"


def _libraries(names: str) -> Sequence[str]:
    return [name.strip() for name in names.split(",")] if names else LIBRARIES


def _apidocs_fingerprint(names: str) -> str:
    return "apidocs:" + ",".join(f"{name}={version}" for name, version in library_versions(_libraries(names)).items())


def _irds_fingerprint(ids: str) -> str:
    try:
        return f"irds:{ids},ir_datasets={importlib.metadata.version('ir_datasets')}"
    except importlib.metadata.PackageNotFoundError as error:
        raise needs_ir_datasets(ids) from error


@dataclass(frozen=True)
class Kind:
    """The functions of a source's prefix; both take the text after the colon."""

    open: Callable[[str], CollectionStream]
    fingerprint: Callable[[str], str]


KINDS = {
    "apidocs": Kind(lambda names: read_apidocs(_libraries(names)).stream(), _apidocs_fingerprint),
    "irds": Kind(open_irds, _irds_fingerprint),
    "wikipedia": Kind(read_wikipedia, wikipedia_fingerprint),
}
"""The sources with a prefix; a source with none of these is a folder or a file."""


def _open_path(source: str) -> CollectionStream:
    if is_document_file(Path(source)):
        return open_document_file(Path(source))
    directory, selection = _folder_and_selection(source)
    if is_beir(directory):
        return open_beir(directory, selection)
    if is_trec(directory):
        return open_trec(directory, selection)
    return open_folder(directory) if is_folder(directory) else open_text_folder(directory)


def _path_fingerprint(source: str) -> str:
    if is_document_file(Path(source)):
        _files.refuse_pipes([Path(source)])
        with Path(source).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    directory, selection = _folder_and_selection(source)
    parts = [selection.encode()] if selection else []
    if is_beir(directory):
        corpus, queries, judgements = beir_files(directory, selection)
        contents = [corpus, *([] if judgements is None else [queries, *judgements.paths])]
    elif is_trec(directory):
        contents = [*topic_files(directory), *judgement_files(directory, selection).paths]
        parts.append(document_sizes(directory))
    elif is_folder(directory):
        contents = list(folder_files(directory))
    else:
        contents = text_files(directory)
        parts += [path.relative_to(directory).as_posix().encode("utf-8", "surrogateescape") for path in contents]
    _files.refuse_pipes([*contents, *(document_files(directory) if is_trec(directory) else [])])
    # A digest of digests, so that moving bytes from the end of one file to the start of the next changes it.
    digest = hashlib.sha256()
    for path in contents:
        with _files.existing_file(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return f"sha256:{digest.hexdigest()}"


def _folder_and_selection(source: str) -> tuple[Path, str]:
    if Path(source).is_dir():
        return Path(source), ""
    path, _, selection = source.partition("#")
    directory = _files.existing_folder(Path(path))
    if selection and not is_beir(directory) and not is_trec(directory):
        raise UserError(
            f"{source}: {directory} has one judgement file, qrels.txt; `#` is for the layouts of BEIR and TREC"
        )
    return directory, selection
