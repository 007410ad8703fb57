"""A folder in TREC's own formats: `documents/` (tagged text, TRECWEB or WARC), `topics*` and `qrels*`."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from gr2_jax.corpus import _files
from gr2_jax.corpus._trec_documents import read_documents
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.judgement_files import JudgementFiles
from gr2_jax.corpus.qrels import read_qrels
from gr2_jax.corpus.topics import read_topics
from gr2_jax.errors import UserError, install


def is_trec(directory: Path) -> bool:
    """Whether the folder is in TREC's layout: a subfolder `documents`, and topics or judgements."""
    return (directory / "documents").is_dir() and bool(_named(directory, "topics") or _named(directory, "qrels"))


def open_trec(directory: Path, selection: str) -> CollectionStream:
    """Opens the folder: all topics, and the judgement files that `selection` names, as in `web.101-150` ("": all).

    Topics and judgements are the files `topics*` and `qrels*`, or the files in folders of these names. Documents are
    all files at any depth under `documents`, in the order of their paths. With a selection, only queries judged in its
    files are kept. Raises UserError with the place for anything malformed.
    """
    topics, judgements = topic_files(directory), judgement_files(directory, selection)
    paths = document_files(directory)
    qrels = read_qrels(*judgements.paths)
    return CollectionStream(
        name=directory.name,
        documents=_files.passes(paths, _read_documents),
        queries=judgements.queries_of(read_topics(*topics), qrels),
        qrels=qrels,
        provenance={"source": f"{directory} (TREC)", "judgements": judgements.names},
    )


def topic_files(directory: Path) -> list[Path]:
    """Returns the topic files, sorted; raises UserError if there are none."""
    found = _named(directory, "topics")
    if not found:
        raise UserError(f"{directory} has no topics: expected files topics* or a folder topics")
    return found


def judgement_files(directory: Path, selection: str) -> JudgementFiles:
    """Returns the selected judgement files."""
    return JudgementFiles.among(directory, _named(directory, "qrels"), selection)


def document_files(directory: Path) -> list[Path]:
    """Returns the files under `documents`, sorted by path; raises UserError if there are none."""
    found = sorted(
        Path(folder) / name
        for folder, _, names in os.walk(directory / "documents", followlinks=True)
        for name in names
        if not name.startswith(".")
    )
    if not found:
        raise UserError(f"{directory / 'documents'} holds no files")
    return found


def document_sizes(directory: Path) -> bytes:
    """Returns a SHA-256 over the paths, sizes and modification times of the document files; reading them can take
    hours."""
    digest = hashlib.sha256()
    for path in document_files(directory):
        about = path.stat()
        digest.update(f"{path.relative_to(directory)}\t{about.st_size}\t{about.st_mtime_ns}\n".encode())
    return digest.digest()


def _named(directory: Path, beginning: str) -> list[Path]:
    entries = sorted(directory.glob(f"{beginning}*"))
    inside = (sorted(entry.iterdir()) if entry.is_dir() else [entry] for entry in entries)
    return [path for paths in inside for path in paths if _files.is_there(path) and not path.name.startswith(".")]


def _read_documents(path: Path) -> Iterator[Document]:
    _require_ir_datasets()
    yield from read_documents(path)


def _require_ir_datasets() -> None:
    try:
        import ir_datasets  # noqa: F401
    except ImportError as error:
        raise UserError(f"TREC's document files need ir_datasets: {install('data')}") from error
