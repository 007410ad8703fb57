import dataclasses
import json

import pytest

from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, open_collection, read_collection, survey, write_collection
from gr2_jax.corpus.export import export_collection
from gr2_jax.errors import UserError


@pytest.fixture
def source(tmp_path):
    documents = tuple(Document(f"d{n}", "", f"text {n % 40}") for n in range(50))
    qrels = {"q1": {"d7": 3, "d8": 0}, "q2": {"d7": 1}}
    write_collection(Collection("small", documents, {"q1": "x", "q2": "y"}, qrels, {"source": "s"}), tmp_path / "in")
    return tmp_path / "in"


def test_a_survey_alone_writes_nothing(source):
    before = sorted(source.parent.rglob("*"))
    found = export_collection(str(source))
    assert found == survey(open_collection(str(source)))
    assert (found.documents, found.repeated_texts.count) == (50, 10)
    assert sorted(source.parent.rglob("*")) == before


def test_the_subset_is_surveyed_and_written_as_a_folder(source, tmp_path):
    found = export_collection(str(source), documents=20, seed=3, output=tmp_path / "out")
    written = read_collection(tmp_path / "out")
    assert found == survey(written.stream())
    assert found.documents == len(written.documents) == 20
    assert {"d7", "d8"} <= {document.doc_id for document in written.documents}
    assert written.qrels == read_collection(source).qrels
    assert written.provenance["source"] == "s"
    assert "seed 3" in written.provenance["subset"]
    names = ["documents.jsonl", "provenance.json", "qrels.txt", "queries.tsv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert len(export_collection(str(tmp_path / "out")).lines()) >= 5


def test_writing_over_the_source_is_refused(source):
    with pytest.raises(UserError, match="is the source itself"):
        export_collection(str(source), output=source / ".." / "in")


def test_a_source_that_breaks_off_leaves_no_folder_that_looks_whole(source, tmp_path):
    with (source / "documents.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(UserError, match=r"documents.jsonl, line 51"):
        export_collection(str(source), output=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"documents": (Document("d1", "", "x"), Document("d 2", "", "y"))}, "odd: the document id 'd 2' contains"),
        ({"queries": {"q1": "x", "q 2": "y"}}, "odd: the query id 'q 2' contains"),
        ({"queries": {"q1": " \n"}}, "odd: the query 'q1' has no text"),
        ({"qrels": {"q1": {"": 1}}}, "judgements of odd: the document id '' is empty"),
        ({"qrels": {"q\t1": {"d1": 1}}}, "judgements of odd: the query id .* contains"),
    ],
)
def test_what_our_reader_would_refuse_is_not_written_and_the_folder_stays_as_it_was(
    source, monkeypatch, fields, message
):
    sound = Collection("odd", (Document("d1", "", "x"),), {"q1": "x"}, {"q1": {"d1": 1}}, {})
    before = files(source)
    odd = dataclasses.replace(sound, **fields).stream()
    monkeypatch.setattr("gr2_jax.corpus.export.open_collection", lambda name: odd)
    export_collection("irds:odd")  # a survey alone counts them
    with pytest.raises(UserError, match=message):
        export_collection("irds:odd", output=source)
    assert files(source) == before


def test_a_folder_in_another_layout_is_not_written_into(source, tmp_path):
    for name in ("beir", "packed", "trec"):
        (tmp_path / name).mkdir()
    (tmp_path / "beir" / "corpus.jsonl").touch()
    (tmp_path / "packed" / "corpus.jsonl.gz").touch()
    (tmp_path / "trec" / "documents").mkdir()
    (tmp_path / "trec" / "topics.txt").touch()
    for name, layout in (("beir", "BEIR"), ("packed", "BEIR"), ("trec", "TREC")):
        with pytest.raises(UserError, match=f"{name} has .* {layout}'s layout"):
            export_collection(str(source), output=tmp_path / name)
        assert len(list((tmp_path / name).iterdir())) == (2 if name == "trec" else 1)


def test_a_long_pass_says_how_far_it_is(source, monkeypatch, capsys):
    monkeypatch.setattr("gr2_jax.corpus.export._SECONDS_BETWEEN_LINES", -1)
    export_collection(str(source))
    assert "reading small: 50 documents" in capsys.readouterr().err


def test_names_reach_the_terminal_without_escapes_and_no_other_folder(tmp_path, capsys):
    evil = "../\x1b[2J\x9b"
    documents = (Document("d1", evil, ""), Document("../../d2", "", evil))
    write_collection(
        Collection(evil, documents, {"../q": evil}, {"../q": {"../../d2": 1}}, {"source": evil}), tmp_path / "in"
    )
    for words in ([], ["--json"], ["--output", str(tmp_path / "out")]):
        with pytest.raises(SystemExit) as stop:
            main(["collection", str(tmp_path / "in"), *words])
        assert stop.value.code == 0
        printed = "".join(capsys.readouterr())
        assert not {"\x1b", "\x9b"} & set(printed)
        assert "../" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert read_collection(tmp_path / "out").documents == documents


def test_the_command_prints_what_the_survey_says_and_writes_the_folder(source, tmp_path, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main(["collection", str(source), *words])
        assert stop.value.code == 0
        return capsys.readouterr().out

    found = survey(open_collection(str(source)))
    assert call().splitlines() == found.lines()
    assert json.loads(call("--json")) == json.loads(json.dumps(dataclasses.asdict(found)))
    call("--documents", "20", "--seed", "3", "--output", str(tmp_path / "out"))
    export_collection(str(source), documents=20, seed=3, output=tmp_path / "same")
    assert files(tmp_path / "out") == files(tmp_path / "same")
