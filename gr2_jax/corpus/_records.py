"""A document from a record with fields of any usual names, as JSON lines and tables have them."""

from collections.abc import Iterable, Mapping
from typing import Any

from gr2_jax.corpus import _files
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError

FIELDS = {
    "doc_id": ("doc_id", "_id", "id", "docno", "docid", "document_id", "pid", "key"),
    "title": ("title", "headline", "heading", "name", "subject", "question"),
    "text": ("text", "contents", "content", "body", "passage", "abstract", "description", "answer", "summary"),
    "url": ("url", "link", "href"),
}
"""Field of a document -> the names that it may have in a record, in any case; of several the first."""


def fields_of(names: Iterable[str]) -> dict[str, str]:
    """Returns which of a record's fields is which of a document's; the text may be missing where there is a title."""
    by_name = {name.strip().lower(): name for name in reversed(list(names)) if isinstance(name, str)}
    found = {}
    for field, usual in FIELDS.items():
        named = next((by_name[name] for name in usual if name in by_name), None)
        if named is not None:
            found[field] = named
    return found


def document_of(record: Mapping[str, Any] | str, place: str, number: int) -> Document:
    """Returns the document of a record, or of a string, which is its text; one without an id gets its number, from 1.

    A number is its digits, a list of strings their paragraphs, null "". Raises UserError that names the place for a
    record with neither text nor title, a field that is none of these, or an id that no run file can hold.
    """
    if isinstance(record, str):
        return Document(str(number), "", _files.clean(record).strip())
    fields = fields_of(record)
    if "text" not in fields and "title" not in fields:
        known = ", ".join(FIELDS["text"])
        raise UserError(f"{place}: a document needs one of the fields {known}; found: {', '.join(map(str, record))}")
    values = {field: _text(record[name], name, place) for field, name in fields.items()}
    doc_id = _files.check_id("document", values.pop("doc_id", "") or str(number), place)
    return Document(doc_id, values.get("title", ""), values.get("text", ""), values.get("url", ""))


def _text(value: Any, name: str, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return _files.clean("\n\n".join(value)).strip()
    if isinstance(value, str):
        return _files.clean(value).strip()
    raise UserError(f"{place}: the field {name!r} must be a string, found {_files.shown(repr(value))}")
