"""The JSON API: answers equal to the searcher's, every fault one sentence with its status, and nothing that runs."""

import dataclasses
import json
import threading

import jax
import numpy as np
import pytest
from served import DOCIDS, DOCUMENTS, HOSTILE, encode, generative, model_row, served, words
from starlette.testclient import TestClient

from gr2_jax.serving.app import LARGEST_BODY, make_app
from gr2_jax.serving.requests import MOST_QUERIES
from gr2_jax.serving.rows import ServedRows


@pytest.fixture(scope="module")
def client():
    with TestClient(make_app(served()), raise_server_exceptions=False) as client:
        yield client


def test_a_list_is_what_the_row_finds(client):
    answer = client.get("/api/search", params={"q": "sort an array", "k": 3, "row": "GR2S"}).json()
    assert [(hit["doc_id"], hit["score"], hit["rank"]) for hit in answer["hits"]] == [
        (hit.doc_id, hit.score, hit.rank) for hit in model_row().search("sort an array", 3)
    ]
    assert answer["row"] == "GR2S"
    assert answer["grades"] == {"d1": 4, "d2": 1, "a/../d 3": 0}
    by_words = client.post("/api/search", json={"queries": ["array", "cubic"], "row": "BM25"}).json()["results"]
    assert [[hit["doc_id"] for hit in one["hits"]] for one in by_words] == [
        [hit.doc_id for hit in hits] for hits in words().search(["array", "cubic"], 10)
    ]
    assert by_words[0]["grades"] is None
    assert by_words[0]["hits"][0]["text"] in {document.text for document in DOCUMENTS}


def test_only_some_documents_are_searched_where_asked(client):
    for row in ("GR2S", "BM25"):
        answer = client.get("/api/search", params={"q": "array", "row": row, "only": "d[12]"}).json()
        assert {hit["doc_id"] for hit in answer["hits"]} == {"d1", "d2"}
        assert all(hit["proven"] for hit in answer["hits"])
    both = client.post("/api/search", json={"queries": ["array", "sort"], "only": "a/*"}).json()["results"]
    assert [[hit["doc_id"] for hit in one["hits"]] for one in both] == [["a/../d 3"]] * 2
    assert len(client.get("/api/search", params={"q": "array"}).json()["hits"]) == 5


def test_texts_can_be_cut_and_the_first_row_is_the_default(client):
    answer = client.get("/api/search", params={"q": " Sort  AN array ", "characters": 4}).json()
    assert {hit["text"] for hit in answer["hits"]} <= {document.text[:4] for document in DOCUMENTS}
    assert answer["row"] == "GR2S"
    assert answer["grades"]  # case and blanks do not make another query


def test_the_tokens_of_a_docid_have_the_likelihoods_of_teacher_forcing(client):
    retriever, ids = generative(), [document.doc_id for document in DOCUMENTS]
    answer = client.post("/api/explain", json={"q": "roots", "doc_ids": ids[::-1]}).json()["docids"]
    assert [one["doc_id"] for one in answer] == ids[::-1]
    apply = jax.jit(retriever.model.apply)
    for one, docid in zip(answer, DOCIDS[::-1], strict=True):
        target = np.array([[[*docid, 1, 0, 0][:4]]])
        logits = np.asarray(apply({"params": retriever.params}, encode(["roots"]), target).logits, np.float64)[0, 0]
        log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        expected = [log_probs[place, [1, 4, 9, 13].index(token)] for place, token in enumerate((*docid, 1))]
        assert [token["log_likelihood"] for token in one["tokens"]] == pytest.approx(expected, abs=1e-4)
    assert [token["text"] for token in answer[2]["tokens"]] == ["sort", " array", " array", ""]
    assert [token["text"] for token in answer[1]["tokens"]] == ["ing", " array", ""]


def test_documents_judged_queries_and_what_there_is(client):
    assert client.get("/api/documents/d2").json()["title"] == HOSTILE
    assert client.get("/api/documents/a%2F..%2Fd%203").json()["text"].startswith("An array")
    about = client.get("/api/rows").json()
    assert (about["documents"], about["highest_grade"], about["judged_queries"]) == (5, 4, 2)
    assert [(row["name"], row["writes_docids"]) for row in about["rows"]] == [("GR2S", True), ("BM25", False)]
    assert client.get("/api/judged").json()["queries"] == [
        {"id": "q1", "query": "sort an array"},
        {"id": "q2", "query": "cubic roots"},
    ]
    assert client.get("/api/judged", params={"contains": "CUBIC"}).json()["queries"][0]["id"] == "q2"
    assert client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "what", "status", "told"),
    [
        ("GET", "/api/search", {}, 400, "'q'"),
        ("GET", "/api/search", {"params": {"q": " "}}, 400, "words in it"),
        ("GET", "/api/search", {"params": {"q": "a", "k": "0"}}, 400, "'k' must be a whole number from 1 to 1,000"),
        ("GET", "/api/search", {"params": {"q": "a", "k": "1e3"}}, 400, "'k'"),
        ("GET", "/api/search", {"params": {"q": "a", "row": "GR2"}}, 400, "did you mean 'GR2S'"),
        ("GET", "/api/search", {"params": {"q": "a", "only": "x*"}}, 400, "no document's id is or matches 'x*'"),
        ("POST", "/api/search", {"json": {"q": "a", "only": ["d1"]}}, 400, "'only'"),
        ("GET", "/api/search", {"params": {"query": "a"}}, 400, "no field 'query': did you mean 'queries'"),
        ("GET", "/api/search", {"params": {"q": "x" * 10_001}}, 400, "10,001"),
        ("POST", "/api/search", {"content": b"{"}, 400, "not JSON"),
        ("POST", "/api/search", {"content": b"\xff\xfe"}, 400, "not JSON"),
        ("POST", "/api/search", {"content": b"[" * 500_000}, 400, "not JSON"),
        ("POST", "/api/search", {"json": ["a"]}, 400, "JSON object"),
        ("POST", "/api/search", {"json": {"queries": []}}, 400, "1 to 200"),
        ("POST", "/api/search", {"json": {"queries": ["a"] * (MOST_QUERIES + 1)}}, 400, "1 to 200"),
        ("POST", "/api/search", {"json": {"queries": ["a", 3]}}, 400, "must be a text"),
        ("POST", "/api/search", {"json": {"q": "a", "k": True}}, 400, "'k'"),
        ("POST", "/api/search", {"json": {"q": "a", "k": 10**400}}, 400, "'k'"),
        ("POST", "/api/search", {"content": b'{"q": "\\ud800"}'}, 400, "surrogate"),
        ("POST", "/api/search", {"content": b" " * (LARGEST_BODY + 1)}, 413, "1,048,576 bytes"),
        ("POST", "/api/explain", {"json": {"q": "a", "doc_ids": ["nothing"]}}, 400, "'nothing'"),
        ("POST", "/api/explain", {"json": {"q": "a", "doc_ids": [3]}}, 400, "texts"),
        ("POST", "/api/explain", {"json": {"q": "a", "doc_ids": ["d1"], "row": "BM25"}}, 400, "writes no docids"),
        ("GET", "/api/explain", {}, 405, "does not take GET"),
        ("GET", "/api/documents/d9", {}, 404, "'d9'"),
        ("GET", "/nothing", {}, 404, "see /api"),
        ("GET", "/page/../served.py", {}, 404, "see /api"),
        ("GET", "/page/%2e%2e/app.py", {}, 404, "see /api"),
    ],
)
def test_a_wrong_request_gets_one_sentence(client, method, path, what, status, told):
    answer = client.request(method, path, **what)
    assert answer.status_code == status
    assert told in answer.json()["error"]


def test_odd_queries_are_answered(client):
    for query in ("\x00", "‮א", "🦖" * 2000, "'; DROP TABLE", "%s%n", "{}"):
        assert client.get("/api/search", params={"q": query}).status_code == 200


def test_pages_allow_no_script_but_their_own(client):
    for path in ("/", "/api", "/page/search.js", "/page/style.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text  # nothing is fetched from elsewhere


def test_a_name_that_is_not_this_computers_is_refused():
    with TestClient(make_app(served(), hosts=["localhost"]), base_url="http://elsewhere.example") as client:
        assert client.get("/api/rows").status_code == 400


def test_the_description_has_every_route_and_its_examples_hold(client):
    spec = client.get("/openapi.json").json()
    routes = {route.path.replace(":path", "") for route in client.app.routes if route.path.startswith("/api/")}
    assert set(spec["paths"]) == routes | {"/health"}
    jsonschema = pytest.importorskip("jsonschema")
    schemas = {"components": spec["components"]}
    for name, answer in {
        "Result": client.get("/api/search", params={"q": "array"}).json(),
        "Rows": client.get("/api/rows").json(),
        "Document": client.get("/api/documents/d1").json(),
        "Error": client.get("/nothing").json(),
    }.items():
        jsonschema.validate(answer, schemas | {"$ref": f"#/components/schemas/{name}"})


class Stuck:
    """Takes its time."""

    def __init__(self, searcher, until):
        self._searcher, self._until, self.options = searcher, until, searcher.options

    def only(self, doc_ids):
        return self

    def search(self, queries, k=20, *, whole_batches=False):
        if "the first query" not in queries:
            self._until.wait(20)
        return self._searcher.search(queries, k)


def test_a_search_that_takes_too_long_is_given_up_and_the_server_goes_on():
    until, row = threading.Event(), words()
    rows = ServedRows("small", [dataclasses.replace(row, searcher=Stuck(row.searcher, until))], served().judged)
    with TestClient(make_app(rows, seconds=0.2)) as client:
        answer = client.get("/api/search", params={"q": "array"})
        assert answer.status_code == 504
        assert "0.2 seconds" in answer.json()["error"]
        assert client.get("/health").status_code == 200
        until.set()
        assert client.get("/api/search", params={"q": "array"}).status_code == 200


def test_batches_of_an_accelerator_give_the_same_documents():
    with TestClient(make_app(served(together=8))) as client:
        answer = client.post("/api/search", json={"queries": ["sort", "roots", "array"], "k": 3}).json()["results"]
    for one, hits in zip(answer, model_row().search(["sort", "roots", "array"], 3), strict=True):
        assert [hit["doc_id"] for hit in one["hits"]] == [hit.doc_id for hit in hits]
        assert json.dumps(one)
