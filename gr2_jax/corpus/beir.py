"""A folder in BEIR's layout: corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv."""

from collections.abc import Iterator
from pathlib import Path

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.judgement_files import JudgementFiles
from gr2_jax.corpus.qrels import read_beir_qrels
from gr2_jax.errors import UserError


def is_beir(directory: Path) -> bool:
    """Whether the folder is in BEIR's layout: it has corpus.jsonl or corpus.jsonl.gz."""
    return _files.is_there(_files.plain_or_gzip(directory / "corpus.jsonl"))


def beir_files(directory: Path, selection: str) -> tuple[Path, Path | None, JudgementFiles | None]:
    """Returns the file of the documents, the file of the queries and the selected judgement files; the last two are
    None where the folder holds documents alone."""
    corpus, queries = (_files.plain_or_gzip(directory / name) for name in ("corpus.jsonl", "queries.jsonl"))
    present = sorted(directory.glob("qrels/*.tsv*"))
    if not _files.is_there(queries) and not present:
        return _files.existing_file(corpus), None, None
    return (
        _files.existing_file(corpus),
        _files.existing_file(queries),
        JudgementFiles.among(directory, present, selection),
    )


def open_beir(directory: Path, selection: str) -> CollectionStream:
    """Opens the folder with the judgement files that `selection` names, as in `test` or `train+dev`; "" selects all.

    With a selection, only queries judged in its files are kept. A document's URL is the `url` of its metadata.
    Raises UserError with file and line for anything malformed.
    """
    corpus, queries_path, judgements = beir_files(directory, selection)
    if judgements is None:
        about = {"source": f"{directory} (BEIR)"}
        return CollectionStream(directory.name, _files.passes([corpus], _read_corpus), {}, {}, about)
    qrels = read_beir_qrels(*judgements.paths)
    return CollectionStream(
        name=directory.name,
        documents=_files.passes([corpus], _read_corpus),
        queries=judgements.queries_of(_read_queries(queries_path), qrels),
        qrels=qrels,
        provenance={"source": f"{directory} (BEIR)", "judgements": judgements.names},
    )


def _read_corpus(path: Path) -> Iterator[Document]:
    for number, line in _files.lines(path):
        place = f"{path}, line {number}"
        record = _files.parse_object(line, place)
        doc_id = _files.id_field(record, "_id", "document", place)
        if "text" not in record:
            raise UserError(f"{place}: a document needs the field 'text'; found: {', '.join(record)}")
        title, text = (_files.optional_text(record, name, place) for name in ("title", "text"))
        metadata = record.get("metadata")
        url = metadata.get("url") if isinstance(metadata, dict) else None
        yield Document(doc_id, title, text, url if isinstance(url, str) else "")


def _read_queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, line in _files.lines(path):
        place = f"{path}, line {number}"
        record = _files.parse_object(line, place)
        query = _files.id_field(record, "_id", "query", place)
        if query in queries:
            raise UserError(f"{place}: the query id {query!r} is used twice")
        queries[query] = _files.check_query_text(query, _files.optional_text(record, "text", place), place)
    return queries
