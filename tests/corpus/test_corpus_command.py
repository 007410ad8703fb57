import pytest

from gr2_jax.corpus import Collection, Document, open_collection, read_collection, survey, write_collection
from gr2_jax.corpus.command import collection_command
from gr2_jax.errors import UserError


@pytest.fixture
def source(tmp_path):
    documents = tuple(Document(f"d{n}", "", f"text {n % 40}") for n in range(50))
    qrels = {"q1": {"d7": 3, "d8": 0}, "q2": {"d7": 1}}
    write_collection(Collection("small", documents, {"q1": "x", "q2": "y"}, qrels, {"source": "s"}), tmp_path / "in")
    return tmp_path / "in"


def test_a_survey_alone_writes_nothing(source):
    before = sorted(source.parent.rglob("*"))
    found = collection_command(str(source))
    assert found == survey(open_collection(str(source)))
    assert (found.documents, found.repeated_texts.count) == (50, 10)
    assert sorted(source.parent.rglob("*")) == before


def test_the_subset_is_surveyed_and_written_as_a_folder(source, tmp_path):
    found = collection_command(str(source), documents=20, seed=3, output=tmp_path / "out")
    written = read_collection(tmp_path / "out")
    assert found == survey(written.stream())
    assert found.documents == len(written.documents) == 20
    assert {"d7", "d8"} <= {document.doc_id for document in written.documents}
    assert written.qrels == read_collection(source).qrels
    assert written.provenance["source"] == "s"
    assert "seed 3" in written.provenance["subset"]
    names = ["documents.jsonl", "provenance.json", "qrels.txt", "queries.tsv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert len(collection_command(str(tmp_path / "out")).lines()) >= 5


def test_writing_over_the_source_is_refused(source):
    with pytest.raises(UserError, match="is the source itself"):
        collection_command(str(source), output=source / ".." / "in")


def test_a_source_that_breaks_off_leaves_no_folder_that_looks_whole(source, tmp_path):
    with (source / "documents.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(UserError, match=r"documents.jsonl, line 51"):
        collection_command(str(source), output=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["documents.jsonl.partial"]


def test_a_long_pass_says_how_far_it_is(source, monkeypatch, capsys):
    monkeypatch.setattr("gr2_jax.corpus.command._SECONDS_BETWEEN_LINES", -1)
    collection_command(str(source))
    assert "reading small: 50 documents" in capsys.readouterr().err
