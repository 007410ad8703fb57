"""What a request asks for, checked: every fault is one sentence that names the field and what would be right."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from gr2_jax.errors import UserError, nearest

MOST_QUERIES = 200  # of one request
LONGEST_QUERY, LONGEST_PATTERN = 10_000, 200  # characters
DEEPEST = 1_000  # documents of a list
MOST_EXPLAINED = 100  # documents of one request

_SEARCH = ("q", "queries", "k", "row", "characters", "only")
_EXPLAIN = ("q", "doc_ids", "row")
_JUDGED = ("contains", "from")


class SearchRequest(NamedTuple):
    """characters    of each text that is returned; None: all
    only          an id, or a pattern of ids, of the documents that may be found; None: all
    """

    queries: list[str]
    k: int
    row: str | None
    characters: int | None
    only: str | None = None


class ExplainRequest(NamedTuple):
    query: str
    doc_ids: list[str]
    row: str | None


def search_request(fields: Mapping[str, Any]) -> SearchRequest:
    """From the fields `q`, a text, or `queries`, a list of them; `k`, `row`, `characters` and `only`."""
    _known(fields, _SEARCH)
    if ("q" in fields) == ("queries" in fields):
        raise UserError("give either 'q', one query, or 'queries', a list of them")
    queries = fields["queries"] if "queries" in fields else [fields["q"]]
    if not isinstance(queries, list) or not 1 <= len(queries) <= MOST_QUERIES:
        raise UserError(f"'queries' must be a list of 1 to {MOST_QUERIES} texts")
    characters = None if fields.get("characters") is None else _number(fields, "characters", 0, 10**9, 0)
    only = fields.get("only")
    if only is not None and (not isinstance(only, str) or not 1 <= len(only) <= LONGEST_PATTERN):
        raise UserError(f"'only' must be a text of 1 to {LONGEST_PATTERN:,} characters")
    k = _number(fields, "k", 1, DEEPEST, 10)
    return SearchRequest([_query(query) for query in queries], k, _row(fields), characters, only)


def explain_request(fields: Mapping[str, Any]) -> ExplainRequest:
    """From the fields `q`, `doc_ids` and `row`."""
    _known(fields, _EXPLAIN)
    doc_ids = fields.get("doc_ids")
    if not isinstance(doc_ids, list) or not 1 <= len(doc_ids) <= MOST_EXPLAINED:
        raise UserError(f"'doc_ids' must be a list of 1 to {MOST_EXPLAINED} document ids")
    if not all(isinstance(doc_id, str) for doc_id in doc_ids):
        raise UserError("'doc_ids' must hold texts")
    return ExplainRequest(_query(fields.get("q")), doc_ids, _row(fields))


def judged_request(fields: Mapping[str, Any]) -> tuple[str, int]:
    """The words that judged queries are to contain, and the place of the first of these queries: `contains`, `from`."""
    _known(fields, _JUDGED)
    return str(fields.get("contains", ""))[:LONGEST_PATTERN], _number(fields, "from", 0, 10**9, 0)


def fields_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError("the body is not JSON in UTF-8") from error
    if not isinstance(fields, dict):
        raise UserError('the body must be a JSON object, such as {"q": "a query"}')
    return fields


def _known(fields: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := next((name for name in fields if name not in known), None):
        raise UserError(f"there is no field '{unknown[:100]}': {nearest(unknown[:100], known)}")


def _query(query: Any) -> str:
    if not isinstance(query, str) or not query.strip():
        raise UserError("a query must be a text with words in it")
    if len(query) > LONGEST_QUERY:
        raise UserError(f"a query has at most {LONGEST_QUERY:,} characters, not {len(query):,}")
    if query != query.encode("utf-8", "replace").decode():
        raise UserError("a query must be Unicode text: this one holds half of a surrogate pair")
    return query


def _row(fields: Mapping[str, Any]) -> str | None:
    row = fields.get("row")
    if row is not None and not isinstance(row, str):
        raise UserError("'row' must be the name of a row")
    return row


def _number(fields: Mapping[str, Any], name: str, least: int, most: int, default: int) -> int:
    """A whole number, as JSON has it or as text of a URL."""
    value = fields.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"'{name}' must be a whole number from {least:,} to {most:,}")
    return value
