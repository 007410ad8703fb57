"""Documents and queries of ir_datasets, a hundred shapes of namedtuples, as ours."""

import re
from typing import Any

from gr2_jax.corpus._markup import words_of_page
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError

_TITLES = ("title", "document_title", "page_title", "headline", "source_title")
_URLS = ("url", "document_url", "source_url", "history_url", "chatnoir_url")
# The shapes with words for which ir_datasets does not say what their text is.
_WORDS_OF = {
    "ClinicalTrialsDoc": ("condition", "summary", "detailed_description", "eligibility"),
    "CodeSearchNetDoc": ("func_name", "code"),
}


def document_of(record: Any) -> Document:
    """Returns the document: its title where it has one, and `default_text` without that title at its beginning.

    A page of a crawl is taken from its HTML. Raises UserError for a shape without text, such as images.
    """
    if hasattr(record, "http_headers"):
        return Document(record.doc_id, *words_of_page(record.body, record.http_headers), _first(record, _URLS))
    title = _first(record, _TITLES)
    text = _text_of(record, "document").strip()
    if title and hasattr(record, "default_text"):
        text = re.sub(rf"^{re.escape(title)}(?!\S)\s*", "", text)
    return Document(record.doc_id, title, text, _first(record, _URLS))


def query_text(record: Any) -> str:
    """Returns the text of a query on one line. Raises UserError for a shape without text, such as links to articles."""
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
