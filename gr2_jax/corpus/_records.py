"""A document from a record with fields of any usual names, as JSON lines and tables have them."""

import math
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
"""Field of a document -> the names that it may have in a record, in any case; of several the first with a value."""


def fields_of(names: Iterable[Any]) -> dict[str, list[str]]:
    """Returns which of a record's fields may be which of a document's, those that count more first."""
    by_name = {name.strip().lower(): name for name in reversed(list(names)) if isinstance(name, str)}
    found = {field: [by_name[name] for name in usual if name in by_name] for field, usual in FIELDS.items()}
    return {field: named for field, named in found.items() if named}


def document_of(record: Document | Mapping[str, Any] | str, place: str, number: int) -> Document:
    """Returns the document of a record, or of a string, which is its text; one without an id gets its number, from 1.

    A number is its digits, a list of strings their paragraphs, null and NaN nothing. Raises UserError that names the
    place for what is no record, a record with neither text nor title, a field whose values are none of these, or an id
    that no run file can hold.
    """
    if isinstance(record, Document):
        return record
    if isinstance(record, str):
        return Document(str(number), "", _files.clean(record).strip())
    if not isinstance(record, Mapping):
        raise UserError(f"{place}: expected an object or a string, found {_files.shown(repr(record))}")
    fields = fields_of(record)
    if "text" not in fields and "title" not in fields:
        raise UserError(f"{place}: {lacks_text(map(str, record))}")
    values = {field: _first_value(record, names, place) for field, names in fields.items()}
    doc_id = _files.check_id("document", values.pop("doc_id", "") or str(number), place)
    return Document(doc_id, values.get("title", ""), values.get("text", ""), values.get("url", ""))


def lacks_text(names: Iterable[str]) -> str:
    """What is wrong with a record of these fields."""
    return f"a document needs one of the fields {', '.join(FIELDS['text'])}; found: {', '.join(names)}"


def _first_value(record: Mapping[str, Any], names: list[str], place: str) -> str:
    """The first value that is text; "" where all are missing values, UserError where all others are of another type."""
    values = [_text(record[name]) for name in names]
    if found := next((value for value in values if value), None):
        return found
    if None in values:
        name = names[values.index(None)]
        raise UserError(f"{place}: the field {name!r} must be a string, found {_files.shown(repr(record[name]))}")
    return ""


def _text(value: Any) -> str | None:
    """The value as text; None for one that is not."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n\n".join(value)
    return _files.clean(value).strip() if isinstance(value, str) else None
