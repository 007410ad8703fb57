import dataclasses
import gzip
import json

import pytest

from gr2_jax.corpus import Collection, Document, read_collection, validate, write_collection
from gr2_jax.errors import UserError


def small() -> Collection:
    return Collection(
        name="small",
        documents=(
            Document("d1", "Title", "One.\n\nTwo é."),
            Document("d2", "", "three"),
            Document("d3", "", "four", "http://x.org/é"),
        ),
        queries={"q1": "first query", "q2": "second"},
        qrels={"q1": {"d1": 4, "d2": -1}, "q2": {"d2": 1}},
        provenance={"source": "hand"},
        entities={"d1": ("a name",)},
    )


def changed(**fields) -> Collection:
    return dataclasses.replace(small(), **fields)


def test_contents_and_max_grade():
    assert [document.contents for document in small().documents] == ["Title\nOne.\n\nTwo é.", "three", "four"]
    assert [document.url for document in small().documents] == ["", "", "http://x.org/é"]
    assert small().max_grade == 4
    assert changed(qrels={}).max_grade == 0


def test_written_files_have_the_documented_format_and_read_back_equal(tmp_path):
    write_collection(small(), tmp_path / "new" / "a")
    lines = (tmp_path / "new" / "a" / "documents.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0]) == {"doc_id": "d1", "title": "Title", "text": "One.\n\nTwo é."}
    assert lines[1:] == [
        '{"doc_id": "d2", "title": "", "text": "three"}',  # no `url` field without a URL
        '{"doc_id": "d3", "title": "", "text": "four", "url": "http://x.org/é"}',
    ]
    assert (tmp_path / "new" / "a" / "queries.tsv").read_bytes() == b"q1\tfirst query\nq2\tsecond\n"
    assert (tmp_path / "new" / "a" / "qrels.txt").read_bytes() == b"q1 0 d1 4\nq1 0 d2 -1\nq2 0 d2 1\n"
    assert read_collection(tmp_path / "new" / "a") == small()
    write_collection(read_collection(tmp_path / "new" / "a"), tmp_path / "b")
    for file in (tmp_path / "b").iterdir():
        assert file.read_bytes() == (tmp_path / "new" / "a" / file.name).read_bytes()
    assert len(list((tmp_path / "b").iterdir())) == 4  # nothing partial is left behind


def write_folder(folder, *, documents='{"doc_id": "d1", "text": "t"}\n', queries="q1\ttext\n", qrels="q1 0 d1 1\n"):
    folder.mkdir(exist_ok=True)
    (folder / "documents.jsonl").write_bytes(documents.encode())
    (folder / "queries.tsv").write_bytes(queries.encode())
    (folder / "qrels.txt").write_bytes(qrels.encode())
    return folder


def test_reader_survives_crlf_blank_lines_negative_grades_gzip_and_missing_titles(tmp_path):
    folder = write_folder(
        tmp_path / "data",
        queries="\ufeffq1\ta query\r\n\r\nq2\tanother\twith a tab\r\n",
        qrels="q1 0 d1 -2\r\n\r\nq1\t0\td2\t16\r\n",
    )
    (folder / "documents.jsonl").unlink()
    with gzip.open(folder / "documents.jsonl.gz", "wt") as file:
        file.write('{"doc_id": 1, "text": "x", "title": null, "author": "y", "url": null}\n\n')
        file.write('{"doc_id": "d2", "text": null, "url": "u"}\n')
    collection = read_collection(folder)
    assert collection.documents == (Document("1", "", "x"), Document("d2", "", "", "u"))
    assert collection.queries == {"q1": "a query", "q2": "another\twith a tab"}
    assert collection.qrels == {"q1": {"d1": -2, "d2": 16}}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"documents": '{"doc_id": "d1", "text": "t"}\n{"doc_id": \n'}, ["documents.jsonl, line 2", "not JSON"]),
        ({"documents": "[1]\n"}, ["documents.jsonl, line 1", "JSON object"]),
        (
            {"documents": '{"doc_id": "a", "text": ""}\n{"doc_id": "b", "text": ' + "[" * 100_000 + "\n"},
            ["documents.jsonl, line 2", "not JSON", "too deep"],
        ),
        ({"documents": f'{{"doc_id": {"9" * 5000}, "text": ""}}\n'}, ["documents.jsonl, line 1", "digits"]),
        ({"documents": '{"doc_id": "a", "text": "", "x": NaN}\n'}, ["documents.jsonl, line 1", "not JSON", "NaN"]),
        ({"documents": '{"doc_id": "a\\u0000b", "text": ""}\n'}, ["documents.jsonl, line 1", "a control character"]),
        ({"queries": "q1\ttext\nq\x1b[2J\ttext\n"}, ["queries.tsv, line 2", r"'q\x1b[2J' contains a control"]),
        ({"documents": '{"id": "d1", "text": "t"}\n'}, ["documents.jsonl, line 1", "'doc_id'", "found: id, text"]),
        ({"documents": '{"doc_id": "d1"}\n'}, ["documents.jsonl, line 1", "'text'", "found: doc_id"]),
        ({"documents": '{"doc_id": "d1", "text": ["t"]}\n'}, ["documents.jsonl, line 1", "'text' must be a string"]),
        (
            {"documents": '{"doc_id": "d1", "text": "", "title": 0}\n'},
            ["line 1", "'title' must be a string, found '0'"],
        ),
        (
            {"documents": '{"doc_id": "d1", "text": ""}\n{"doc_id": "d2", "text": "", "url": ["u"]}\n'},
            ["documents.jsonl, line 2", "'url' must be a string, found"],
        ),
        ({"documents": '{"doc_id": null, "text": "t"}\n'}, ["documents.jsonl, line 1", "'doc_id' must be a string"]),
        ({"documents": '\n{"doc_id": "", "text": "t"}\n'}, ["documents.jsonl, line 2", "document id '' is empty"]),
        ({"documents": '{"doc_id": "d 1", "text": "t"}\n'}, ["line 1", "document id 'd 1' contains white space"]),
        ({"queries": "q1\ttext\nq 2\ttext\n"}, ["queries.tsv, line 2", "query id 'q 2' contains white space"]),
        ({"queries": "\ttext\n"}, ["queries.tsv, line 1", "query id '' is empty"]),
        ({"queries": "q1\ttext\nq2\t \n"}, ["queries.tsv, line 2", "query 'q2' has no text"]),
        ({"queries": "q1\ttext\n\nq2 text\n"}, ["queries.tsv, line 3", "tab"]),
        ({"queries": "q1\ttext\nq1\tother\n"}, ["queries.tsv, line 2", "'q1' is used twice"]),
        ({"qrels": "q1 0 d1 1\nq1 d1 1\n"}, ["qrels.txt, line 2", "4 fields", "found 3"]),
        ({"qrels": "q1 0 d1 1\nq1 0 d1 1\nq1 0 d1 2\n"}, ["qrels.txt, line 3", "'d1' as 2, but as 1"]),
        ({"qrels": "q1 0 d1 high\n"}, ["qrels.txt, line 1", "whole number", "'high'"]),
    ],
)
def test_malformed_files_are_named_with_their_line(tmp_path, files, words):
    with pytest.raises(UserError) as error:
        read_collection(write_folder(tmp_path / "data", **files))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (b'{"entities": []}', r": 'entities' must be an object of lists of strings, found '\[\]'"),
        (b'{"entities": {"d1": "name"}}', ": 'entities.d1' must be a list of strings"),
        (b'{"entities": {"d1": [1]}}', ": 'entities.d1' must be a list of strings"),
        (b'{"name": null}', ": 'name' must be a string, found 'null'"),
        (b'{"provenance": "x"}', ": 'provenance' must be an object"),
        (b'{"name": "\xe9"}', " is not UTF-8 text: .* at byte 10"),
        (b"{", " is not JSON"),
    ],
)
def test_a_malformed_provenance_is_named(tmp_path, about, message):
    folder = write_folder(tmp_path / "data")
    (folder / "provenance.json").write_bytes(about)
    with pytest.raises(UserError, match=rf"provenance\.json{message}"):
        read_collection(folder)


def test_errors_name_the_nearest_folder_and_the_files_in_the_folder(tmp_path):
    folder = write_folder(tmp_path / "cranfield")
    with pytest.raises(UserError, match=r"did you mean 'cranfield'"):
        read_collection(tmp_path / "cranfeild")
    with pytest.raises(UserError, match=r"its subfolder does not|did you mean|valid here"):
        read_collection(tmp_path / "none" / "such")
    (folder / "qrels.txt").unlink()
    with pytest.raises(UserError, match=r"no qrels.txt in .*it holds: documents.jsonl, queries.tsv"):
        read_collection(folder)


def test_validate_leaves_a_sound_collection_as_it_is():
    assert validate(small()) == small()


EMPTY = (Document("d1", "", "text"), Document("d2", "", " "), Document("d3", "", ""))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"documents": (), "qrels": {}}, "small has no documents"),
        ({"queries": {}, "qrels": {}}, "small has no queries"),
        ({"documents": EMPTY}, r"'d2'.*has no text \(and 1 more\).*--corpus.empty_documents drop"),
        ({"qrels": {"q1": {"d1": 1}, "q2": {"d1": 0}}}, r"'q2'.*no positive.*--corpus.unjudged_queries drop"),
        ({"qrels": {"q1": {"d1": 1, "d9": 2}, "q2": {"d1": 1}}}, r"unknown document 'd9' \(query 'q1'\)"),
        ({"qrels": {"q1": {"d1": 1}, "q2": {"d1": 1}, "q3": {"d1": 1}}}, "unknown query 'q3'"),
        ({"documents": (*small().documents, small().documents[0])}, "two documents .* the id 'd1'"),
        ({"documents": (*small().documents, Document("d\u00a04", "", "x"))}, "small: the document id .* white space"),
        ({"documents": (*small().documents, Document("", "", "x"))}, "small: the document id '' is empty"),
        ({"queries": {**small().queries, "q 3": "x"}}, "small: the query id 'q 3' contains white space"),
        ({"queries": {**small().queries, "": "x"}}, "small: the query id '' is empty"),
        ({"queries": {**small().queries, "q3": " "}}, "small: the query 'q3' has no text"),
    ],
)
def test_validate_names_the_first_offender(fields, message):
    with pytest.raises(UserError, match=message):
        validate(changed(**fields))


def test_an_empty_corpus_is_refused_even_when_everything_may_be_dropped():
    with pytest.raises(UserError, match="has no documents"):
        validate(changed(documents=(), qrels={}), empty_documents="drop", unjudged_queries="drop")


def test_judgements_queries_and_entities_of_dropped_documents_are_dropped():
    start = changed(
        documents=(Document("d1", "", ""), *small().documents[1:]),
        qrels={"q1": {"d1": 4, "d3": 0, "stranger": 0}, "q2": {"d1": 1, "d2": 1}},
    )
    kept = validate(start, empty_documents="drop", unjudged_queries="drop")
    assert [document.doc_id for document in kept.documents] == ["d2", "d3"]
    assert kept.queries == {"q2": "second"}
    assert kept.qrels == {"q2": {"d2": 1}}
    assert kept.entities == {}


def test_an_unknown_treatment_gets_a_hint():
    with pytest.raises(UserError, match=r"empty_documents.*'dropp': did you mean 'drop'"):
        validate(small(), empty_documents="dropp")
