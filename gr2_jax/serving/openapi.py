"""The OpenAPI description of the server, and with it the limits that requests have."""

from typing import Any

from gr2_jax import __version__
from gr2_jax.serving.requests import DEEPEST, LONGEST_PATTERN, LONGEST_QUERY, MOST_EXPLAINED, MOST_QUERIES

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_QUERY = {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY}
_ROW = {"type": "string", "description": "a row of /api/rows; the first by default"}
_K = {"type": "integer", "minimum": 1, "maximum": DEEPEST, "default": 10, "description": "documents of the list"}
_ONLY = {
    "type": "string",
    "maxLength": LONGEST_PATTERN,
    "description": "an id, or a pattern of ids such as docs/*, of the documents that may be found; all by default",
}
_CHARACTERS = {"type": "integer", "minimum": 0, "description": "of each text that is returned; all by default"}


def description(name: str) -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"gr2_jax: {name}", "version": __version__},
        "paths": {
            "/api/search": {
                "get": {
                    "summary": "the best documents for one query",
                    "parameters": [
                        _parameter("q", _QUERY, required=True),
                        _parameter("k", _K),
                        _parameter("row", _ROW),
                        _parameter("characters", _CHARACTERS),
                        _parameter("only", _ONLY),
                    ],
                    "responses": _answers(_schema("Result")),
                },
                "post": {
                    "summary": "the best documents for each of several queries",
                    "requestBody": _body(
                        {
                            "queries": _list(_QUERY, MOST_QUERIES),
                            "k": _K,
                            "row": _ROW,
                            "characters": _CHARACTERS,
                            "only": _ONLY,
                        },
                        "queries",
                    ),
                    "responses": _answers(_object({"results": _list(_schema("Result"), MOST_QUERIES)})),
                },
            },
            "/api/explain": {
                "post": {
                    "summary": "the tokens of documents' docids, with the likelihood of each for a query",
                    "requestBody": _body(
                        {"q": _QUERY, "doc_ids": _list(_TEXT, MOST_EXPLAINED), "row": _ROW}, "q", "doc_ids"
                    ),
                    "responses": _answers(_object({"docids": _list(_schema("Docid"), MOST_EXPLAINED)})),
                }
            },
            "/api/documents/{doc_id}": {
                "get": {
                    "summary": "a document",
                    "parameters": [{"name": "doc_id", "in": "path", "required": True, "schema": _TEXT}],
                    "responses": _answers(_schema("Document"), missing=True),
                }
            },
            "/api/rows": {"get": {"summary": "what can be searched", "responses": _answers(_schema("Rows"))}},
            "/api/judged": {
                "get": {
                    "summary": "judged queries that contain some words, at most 50, from one of them on",
                    "parameters": [
                        _parameter("contains", _TEXT),
                        _parameter("from", {"type": "integer", "minimum": 0, "default": 0}),
                    ],
                    "responses": _answers(
                        _object({"queries": {"type": "array", "items": _object({"id": _TEXT, "query": _TEXT})}})
                    ),
                }
            },
            "/health": {
                "get": {
                    "summary": "whether the server answers",
                    "responses": _answers(_object({"status": _TEXT, "version": _TEXT})),
                }
            },
        },
        "components": {
            "schemas": {
                "Result": _object(
                    {
                        "query": _TEXT,
                        "row": _TEXT,
                        "milliseconds": _NUMBER,
                        "grades": {
                            "type": ["object", "null"],
                            "additionalProperties": {"type": "integer"},
                            "description": "of a judged query: document id -> grade",
                        },
                        "hits": {"type": "array", "items": _schema("Hit")},
                    }
                ),
                "Hit": _object(
                    {
                        "rank": {"type": "integer"},
                        "doc_id": _TEXT,
                        "docid": _TEXT,
                        "score": _NUMBER,
                        "proven": {
                            "type": "boolean",
                            "description": "no document that is missing above it scores more",
                        },
                        "log_likelihood": {"type": ["number", "null"]},
                        "similarity": {"type": ["number", "null"]},
                        "title": _TEXT,
                        "text": _TEXT,
                    }
                ),
                "Docid": _object(
                    {
                        "doc_id": _TEXT,
                        "tokens": {"type": "array", "items": _object({"text": _TEXT, "log_likelihood": _NUMBER})},
                    }
                ),
                "Document": _object({"doc_id": _TEXT, "title": _TEXT, "url": _TEXT, "text": _TEXT}),
                "Rows": _object(
                    {
                        "name": _TEXT,
                        "documents": {"type": "integer"},
                        "rows": {
                            "type": "array",
                            "items": _object(
                                {
                                    "name": _TEXT,
                                    "writes_docids": {"type": "boolean"},
                                    "proves": {"type": "boolean"},
                                    "ranks_jointly": {"type": "boolean"},
                                }
                            ),
                        },
                        "judged_queries": {"type": "integer"},
                        "highest_grade": {"type": "integer"},
                    }
                ),
                "Error": _object({"error": {"type": "string", "description": "what is wrong, in one sentence"}}),
            }
        },
    }


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _parameter(name: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _body(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answers(schema: dict[str, Any], *, missing: bool = False) -> dict[str, Any]:
    def answer(told: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"description": told, "content": {"application/json": {"schema": schema}}}

    faults = {
        "400": "a field is wrong",
        "404": "there is none",
        "408": "the request was sent too slowly",
        "413": "the request is too large",
        "503": "too many queries wait",
        "504": "the search took too long",
    }
    if not missing:
        del faults["404"]
    return {"200": answer("done", schema)} | {code: answer(told, _schema("Error")) for code, told in faults.items()}
