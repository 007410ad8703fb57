"""The OpenAPI description of the server, and with it the limits that requests have."""

from typing import Any

from gr2_jax import __version__
from gr2_jax.serving.requests import DEEPEST, LONGEST_PATTERN, LONGEST_QUERY, MOST_EXPLAINED, MOST_QUERIES

Schema = dict[str, Any]


def description(name: str) -> Schema:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"gr2_jax: {name}", "version": __version__},
        "paths": _paths(),
        "components": {"schemas": _schemas()},
    }


_TEXT, _NUMBER, _WHOLE, _YES_OR_NO = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
_QUERY = {"type": "string", "minLength": 1, "maxLength": LONGEST_QUERY}
_ROW = {"type": "string", "description": "a row of /api/rows; the first by default"}
_SEARCHED = {
    "k": {"type": "integer", "minimum": 1, "maximum": DEEPEST, "default": 10, "description": "documents of the list"},
    "row": _ROW,
    "characters": {"type": "integer", "minimum": 0, "description": "of each text that is returned; all by default"},
    "only": {
        "type": "string",
        "maxLength": LONGEST_PATTERN,
        "description": "an id, or a pattern of ids such as docs/*, of the documents that may be found; all by default",
    },
}


def _paths() -> Schema:
    judged = {"contains": _TEXT, "from": {"type": "integer", "minimum": 0, "default": 0}}
    explained = {"q": _QUERY, "doc_ids": _list(_TEXT, MOST_EXPLAINED), "row": _ROW}
    return {
        "/api/search": {
            "get": _get("the best documents for one query", _schema("Result"), {"q": _QUERY} | _SEARCHED, "q"),
            "post": _post(
                "the best documents for each of several queries",
                _object({"results": _list(_schema("Result"), MOST_QUERIES)}),
                {"queries": _list(_QUERY, MOST_QUERIES)} | _SEARCHED,
                "queries",
            ),
        },
        "/api/explain": {
            "post": _post(
                "the tokens of documents' docids, with the likelihood of each for a query",
                _object({"docids": _list(_schema("Docid"), MOST_EXPLAINED)}),
                explained,
                "q",
                "doc_ids",
            )
        },
        "/api/documents/{doc_id}": {"get": _get("a document", _schema("Document"), {"doc_id": _TEXT}, "doc_id")},
        "/api/rows": {"get": _get("what can be searched", _schema("Rows"))},
        "/api/judged": {
            "get": _get(
                "judged queries that contain some words, at most 50, from one of them on",
                _object({"queries": _any_number(_object({"id": _TEXT, "query": _TEXT}))}),
                judged,
            )
        },
        "/health": {"get": _get("whether the server answers", _object({"status": _TEXT, "version": _TEXT}))},
    }


def _schemas() -> Schema:
    grades = {
        "type": ["object", "null"],
        "additionalProperties": _WHOLE,
        "description": "of a judged query: document id -> grade",
    }
    hit = {
        "rank": _WHOLE,
        "doc_id": _TEXT,
        "docid": _TEXT,
        "score": _NUMBER,
        "proven": _YES_OR_NO | {"description": "no document that is missing above it scores more"},
        "log_likelihood": {"type": ["number", "null"]},
        "similarity": {"type": ["number", "null"]},
        "title": _TEXT,
        "text": _TEXT,
    }
    row = {"name": _TEXT, "writes_docids": _YES_OR_NO, "proves": _YES_OR_NO, "ranks_jointly": _YES_OR_NO}
    found = {
        "query": _TEXT,
        "row": _TEXT,
        "milliseconds": _NUMBER,
        "grades": grades,
        "hits": _any_number(_schema("Hit")),
    }
    rows = {
        "name": _TEXT,
        "documents": _WHOLE,
        "rows": _any_number(_object(row)),
        "judged_queries": _WHOLE,
        "highest_grade": _WHOLE,
    }
    tokens = _any_number(_object({"text": _TEXT, "log_likelihood": _NUMBER}))
    return {
        "Result": _object(found),
        "Hit": _object(hit),
        "Docid": _object({"doc_id": _TEXT, "tokens": tokens}),
        "Document": _object({"doc_id": _TEXT, "title": _TEXT, "url": _TEXT, "text": _TEXT}),
        "Rows": _object(rows),
        "Error": _object({"error": _TEXT | {"description": "what is wrong, in one sentence"}}),
    }


def _get(summary: str, answer: Schema, parameters: Schema | None = None, *required: str) -> Schema:
    """A parameter named doc_id is part of the path, the others follow the question mark."""
    given = [
        {
            "name": name,
            "in": "path" if name == "doc_id" else "query",
            "required": name in required,
            "schema": schema,
        }
        for name, schema in (parameters or {}).items()
    ]
    return {"summary": summary, "parameters": given, "responses": _answers(answer, missing="doc_id" in required)}


def _post(summary: str, answer: Schema, fields: Schema, *required: str) -> Schema:
    schema = _object(fields) | {"required": list(required), "additionalProperties": False}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "requestBody": body, "responses": _answers(answer)}


def _answers(schema: Schema, *, missing: bool = False) -> Schema:
    def answer(told: str, schema: Schema) -> Schema:
        return {"description": told, "content": {"application/json": {"schema": schema}}}

    faults = {
        "400": "a field is wrong",
        "408": "the body was sent too slowly",
        "413": "the body is too large",
        "503": "too many queries wait",
        "504": "the search took too long",
    } | ({"404": "there is none"} if missing else {})
    return {"200": answer("done", schema)} | {code: answer(told, _schema("Error")) for code, told in faults.items()}


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _any_number(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _list(items: Schema, most: int) -> Schema:
    return _any_number(items) | {"minItems": 1, "maxItems": most}
