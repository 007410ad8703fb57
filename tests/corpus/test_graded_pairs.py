"""`gr2 pairs`: which documents and pairs of a source are written, and that nothing but the source decides the bytes."""

import json

import pytest

from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, open_collection, write_collection
from gr2_jax.corpus.graded_pairs import PairsOptions, _leading, build_pairs
from gr2_jax.corpus.wikipedia.examples import read_examples
from gr2_jax.corpus.wikipedia.reader import wikipedia_files, wikipedia_grades
from gr2_jax.errors import UserError

OPTIONS = PairsOptions(shards=2)
DOCUMENTS = (
    Document("a", "Green tea", "Leaves that were heated early.", "u"),
    Document("b", "green  TEA", "The same title in another case."),
    Document("c", "", "A text alone."),
    Document("d", "Black tea", "Leaves that were left in the air."),
    Document("e", "A title alone", ""),
    Document("f", "White tea", "Young leaves."),
)
QUERIES = {"q1": "leaves\nheated early", "q2": "a text", "q3": "nothing"}
QRELS = {
    "q1": {"a": 20, "b": 90, "c": 90, "d": 20, "f": 0, "none": 20},
    "q2": {"c": 20},
    "q3": {"f": -1},
}


def source(folder, documents=DOCUMENTS, queries=QUERIES, qrels=QRELS):
    write_collection(Collection("tea", tuple(documents), queries, qrels, {}), folder)
    return str(folder)


def records(output, name):
    made = []
    for path in wikipedia_files(output, name):
        with open(path, "rb") as file:
            made += read_examples(file, path, dict)
    return made


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_documents_have_a_title_and_a_text_and_the_first_of_a_title_is_kept(tmp_path):
    manifest = build_pairs(source(tmp_path / "tea"), tmp_path / "out", OPTIONS)
    documents = sorted(records(tmp_path / "out", "documents"), key=lambda record: record["doc_id"])
    assert [record["doc_id"] for record in documents] == [[1], [2], [3]]
    assert [record["title"] for record in documents] == [["Green tea"], ["Black tea"], ["White tea"]]
    assert documents[0]["text"] == ["Leaves that were heated early."]
    assert documents[0]["url"] == ["u"]
    left_out = manifest["left_out"]
    assert left_out["documents without a title"] == left_out["documents without a text"] == 1
    assert left_out["documents with the title of another"] == 1


def test_grades_are_numbered_once_and_a_title_has_the_highest_of_its_documents(tmp_path):
    manifest = build_pairs(source(tmp_path / "tea"), tmp_path / "out", OPTIONS)
    # 20 and 90 are 1 and 2; b, of grade 90, is a; c and the unknown document are left out, and so is q2 with c
    (pair,) = records(tmp_path / "out", "pairs")
    assert pair == {
        "query_id": [1],
        "query": ["leaves heated early"],
        "doc_ids": [1, 2],
        "titles": ["Green tea", "Black tea"],
        "grades": [2, 1],
    }
    assert manifest["counts"] == {"documents": 3, "queries": 1, "pairs": 2}
    assert manifest["pairs_by_grade"] == {"2": 1, "1": 1}
    assert manifest["left_out"]["pairs of documents that are left out or not there"] == 3
    assert manifest["left_out"]["pairs of one query with one title"] == 1
    assert manifest["left_out"]["queries without a graded document"] == 2
    assert manifest["grades"] == wikipedia_grades(tmp_path / "out") == 2
    assert open_collection(f"wikipedia:{tmp_path / 'out'}").qrels == {"1": {"1": 2, "2": 1}}


def test_the_grades_of_documentation_stay_though_some_are_missing(tmp_path):
    manifest = build_pairs("apidocs:json", tmp_path / "out", OPTIONS)  # its docstrings have no links
    assert manifest["grades"] == 4
    assert list(manifest["pairs_by_grade"]) == ["4"]


def test_of_many_documents_of_a_grade_a_sample_is_kept_that_the_seed_decides(tmp_path):
    documents = [Document(f"d{i}", f"Tea {i}", f"The text {i}.") for i in range(40)]
    qrels = {"q": {f"d{i}": 1 + i % 2 for i in range(40)}}
    given = source(tmp_path / "tea", documents, {"q": "tea"}, qrels)
    kept = {}
    for seed in (0, 1):
        build_pairs(given, tmp_path / f"out{seed}", PairsOptions(shards=2, seed=seed, documents_per_grade=3))
        (pair,) = records(tmp_path / f"out{seed}", "pairs")
        assert pair["grades"] == [2, 2, 2, 1, 1, 1]
        assert [(number - 1) % 2 + 1 for number in pair["doc_ids"]] == pair["grades"]
        kept[seed] = pair["doc_ids"]
    assert kept[0] != kept[1]
    assert kept[0][:3] != [2, 4, 6]  # not simply the first


def test_the_files_begin_with_a_sample_and_not_with_the_beginning_of_the_source(tmp_path):
    documents = [Document(f"d{i}", f"Tea {i}", f"The text {i}.") for i in range(200)]
    build_pairs(source(tmp_path / "tea", documents, {"q": "tea"}, {"q": {"d0": 1}}), tmp_path / "out", OPTIONS)
    first = [record["doc_id"][0] for record in records(tmp_path / "out", "documents")[:40]]
    assert 60 < sum(first) / 40 < 140


def test_the_same_command_writes_the_same_bytes_and_a_finished_build_is_left_alone(tmp_path):
    given = source(tmp_path / "tea")
    manifest = build_pairs(given, tmp_path / "one", OPTIONS)
    build_pairs(given, tmp_path / "two", OPTIONS)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    before = (tmp_path / "one" / "manifest.json").stat().st_mtime_ns
    assert build_pairs(given, tmp_path / "one", OPTIONS) == manifest
    assert (tmp_path / "one" / "manifest.json").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "tea", "two"]  # no lock, nothing partial


def test_what_cannot_work_is_refused_and_leaves_nothing(tmp_path):
    given, out = source(tmp_path / "tea"), tmp_path / "out"
    untitled = [Document("a", "", "A text."), Document("b", "A title", "")]
    for documents, queries, qrels, message in (
        (DOCUMENTS, {}, {}, "has documents and no queries"),
        (DOCUMENTS, {"q": "tea"}, {"q": {"a": 0}}, "has no query with a grade above 0"),
        (untitled, {"q": "tea"}, {"q": {"a": 1}}, "no document of tea has a title and a text"),
        (DOCUMENTS, {"q": "tea"}, {"q": {"c": 1}}, "no graded document of tea has a title"),
    ):
        with pytest.raises(UserError, match=message):
            build_pairs(source(tmp_path / "wrong", documents, queries, qrels), out, OPTIONS)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tea", "wrong"]
    with pytest.raises(UserError, match="there is no folder or file"):
        build_pairs(str(tmp_path / "nowhere"), out)
    with pytest.raises(UserError, match="exists and is not empty"):
        build_pairs(given, tmp_path / "tea")
    with pytest.raises(UserError, match="gs://b/d is in a bucket"):
        build_pairs(given, "gs://b/d")
    build_pairs(given, out, OPTIONS)
    with pytest.raises(UserError, match="made with other options"):
        build_pairs(given, out, PairsOptions(shards=3))
    with pytest.raises(UserError, match="shards is 0"):
        PairsOptions(shards=0)


def test_a_long_text_is_cut_before_the_word_that_does_not_fit():
    assert _leading(" one two\n\nthree ", 11) == "one two"
    assert _leading("one two\n\nthree", 14) == "one two\n\nthree"
    assert _leading("one two three", 7) == "one two"
    assert _leading("teateatea", 4) == "teat"


def test_the_command_prints_counts_and_where_they_are(tmp_path, capsys):
    words = ["pairs", source(tmp_path / "tea"), "--output", str(tmp_path / "out"), "--shards", "2"]
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, *more])
        assert ended.value.code == 0
    table, _, manifest = capsys.readouterr().out.rpartition("output ")
    rows = dict(line.rsplit(maxsplit=1) for line in table.splitlines() if line)
    assert list(rows)[:5] == ["documents", "queries", "pairs", "pairs of grade 2", "pairs of grade 1"]
    assert rows["left out: documents without a title"] == "1"
    assert json.loads(manifest.splitlines()[1])["counts"]["documents"] == 3
