"""Converts the documents and queries of ir_datasets, about a hundred namedtuple types, to ours."""

import re
from typing import Any

from gr2_jax.corpus._markup import words_of_page
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError

_TITLES = ("title", "document_title", "page_title", "headline", "source_title")
_URLS = ("url", "document_url", "source_url", "history_url", "chatnoir_url")
# The types with text fields for which ir_datasets does not define one text.
_WORDS_OF = {
    "ClinicalTrialsDoc": ("condition", "summary", "detailed_description", "eligibility"),
    "CodeSearchNetDoc": ("func_name", "code"),
}


def document_of(record: Any) -> Document:
    """Returns the document with its title, if any, and its `default_text` without the title at the beginning.

    The title and text of a crawled page come from its HTML. Raises UserError for a type without text, such as images.
    """
    if hasattr(record, "http_headers"):
        return Document(record.doc_id, *words_of_page(record.body, record.http_headers), _first(record, _URLS))
    title = _first(record, _TITLES)
    text = _text_of(record, "document").strip()
    if title and hasattr(record, "default_text"):
        text = re.sub(rf"^{re.escape(title)}(?!\S)\s*", "", text)
    return Document(record.doc_id, title, text, _first(record, _URLS))


def query_text(record: Any) -> str:
    """Returns the text of a query on one line. Raises UserError for a type without text, such as links to articles."""
    return " ".join(_text_of(record, "query").split())


def _text_of(record: Any, kind: str) -> str:
    if hasattr(record, "default_text"):
        return record.default_text() or ""
    if hasattr(record, "text"):
        return record.text
    shape = type(record).__name__
    if shape not in _WORDS_OF:
        raise UserError(f"a {kind} of this data set ({shape}: {', '.join(record._fields)}) has no text")
    return "\n\n".join(getattr(record, name) or "" for name in _WORDS_OF[shape])


def _first(record: Any, names: tuple[str, ...]) -> str:
    found = (getattr(record, name, None) for name in names)
    return next((value.strip() for value in found if isinstance(value, str) and value.strip()), "")
