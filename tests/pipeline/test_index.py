"""`gr2 index`: a retriever over any documents, with queries and judgements or without."""

import json

import pytest
from tiny_encoder import write_encoder

import gr2_jax
from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, open_collection, read_run, write_collection
from gr2_jax.errors import UserError
from gr2_jax.recipes.index import index_experiment, surveyed_experiment
from gr2_jax.search import traced_programs

ANIMALS = ["otter", "heron", "badger", "falcon", "lynx", "marten", "osprey", "weasel", "beaver", "plover"]
TINY = {"retrieval.optimiser.steps": 3, "vocabulary.size": 200, "retrieval.batch.queries": 8}
TINY |= {"retrieval.batch.indexing_texts": 10}
WEIGHTS = {"evaluation.weights": (1.0, 2.0)}
WORDS = [word for name, value in TINY.items() for word in (f"--{name}", str(value))]


def text_of(animal):
    return (
        f"The {animal} is an animal of our river. At night the {animal} sleeps below a tall tree. "
        f"In spring every {animal} looks for something to eat. Nobody hears it."
    )


@pytest.fixture(scope="module")
def texts():
    return [text_of(animal) for animal in ANIMALS]


@pytest.fixture(scope="module")
def indexed(texts, tmp_path_factory):
    """A retriever over ten texts without queries, and its run's folder."""
    workdir = tmp_path_factory.mktemp("indexed") / "run"
    return gr2_jax.index(texts, workdir, settings=TINY | WEIGHTS, known_items=4), workdir


def test_texts_alone_become_a_retriever_with_queries_that_documents_lend(indexed):
    retriever, workdir = indexed
    split = json.loads((workdir / "corpus/split.json").read_text())
    assert split["train"] == []
    assert (len(split["validation"]), len(split["test"])) == (2, 2)
    assert len(read_run(workdir / "runs/GR2S/test.trec")) == 2
    summary = json.loads((workdir / "metrics/summary.json").read_text())
    assert set(summary) == {"GR2S", "BM25", "GR2S+BM25", "provenance"}
    assert "MRR@10" in summary["BM25"]
    assert repr(retriever) == f"<GR2S over 10 documents, {workdir}>"


def test_a_document_that_lent_a_sentence_is_still_the_same(indexed, texts):
    retriever, _ = indexed
    records = [{"id": str(i), "text": text} for i, text in enumerate(texts, start=1)]
    assert retriever.changed(records).changes[2:6] == (10, 0, 0, 0)
    records[4]["text"] += " But for this one."
    assert retriever.changed(records).changes[2:6] == (9, 0, 1, 0)


def test_a_string_is_one_query_and_several_give_lists_with_titles_and_texts(indexed, texts):
    retriever, _ = indexed
    hits = retriever.search("otter", k=3)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    for hit in hits:  # but for the sentence that a document may have lent
        assert set(hit.text.split()) <= set(texts[int(hit.doc_id) - 1].split())
    weight = retriever.searcher.options.weight / 0.02
    assert hits[0].score == pytest.approx(hits[0].log_likelihood + weight * hits[0].similarity, rel=1e-4)
    both = retriever.search(["otter", "lynx"], k=3)
    assert [hit.doc_id for hit in both[0]] == [hit.doc_id for hit in hits]
    assert retriever.document("1").text.startswith("The otter")
    with pytest.raises(UserError, match="no document 'x'"):
        retriever.document("x")
    assert "doc_id" in repr(hits[0])
    assert len(repr(hits[0])) < 100


def test_every_row_can_be_opened_and_options_changed(indexed):
    _, workdir = indexed
    (hit, *_) = gr2_jax.open_retriever(workdir, "BM25").search("heron", k=1)
    assert (hit.doc_id, hit.rank) == ("2", 1)
    exact = gr2_jax.open_retriever(workdir, exact="exhaustive").search("heron", k=3)
    assert all(hit.proven for hit in exact)
    with pytest.raises(UserError, match="did you mean 'beams'"):
        gr2_jax.open_retriever(workdir, beam=3)


def test_the_same_call_again_trains_nothing(indexed, texts, monkeypatch):
    _, workdir = indexed
    monkeypatch.setattr("gr2_jax.pipeline.rows.system.train", None)  # training would call it
    again = gr2_jax.index(texts, workdir, settings=TINY | WEIGHTS, known_items=4)
    assert again.search("lynx", k=1)


def test_few_queries_share_a_program_however_many(indexed, monkeypatch):
    retriever, _ = indexed
    shapes = []  # each is looked up once
    looked_up = traced_programs._read
    monkeypatch.setattr(traced_programs, "_read", lambda path: shapes.append(path) or looked_up(path))
    searcher = retriever.searcher.with_options()
    searcher._kept.clear()
    for count in (1, 2, 3, 5, 8):
        searcher.search(["otter"] * count, k=count)
    assert len(shapes) == 1


def test_records_need_text_and_unknown_settings_name_the_nearest(tmp_path):
    with pytest.raises(UserError, match="document 2: a document needs one of the fields"):
        gr2_jax.index([{"text": "x"}, {"words": "y"}], tmp_path)
    with pytest.raises(UserError, match="steps"):
        gr2_jax.index(["x"], tmp_path, settings={"retrieval.optimiser.step": 3})


def test_one_document_is_enough_and_no_table_is_made(tmp_path, capsys):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/one.md").write_text("# Only one\n\nIt says little.")
    workdir = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        main(["index", str(tmp_path / "notes"), "--workdir", str(workdir), *WORDS])
    assert stop.value.code == 0
    assert "gr2 search" in capsys.readouterr().out
    (hit,) = gr2_jax.open_retriever(workdir).search("anything")
    assert (hit.doc_id, hit.title) == ("one.md", "Only one")


def judged(folder, queries, qrels, documents=20):
    texts = tuple(Document(f"d{i}", f"Animal {i}", text_of(f"{ANIMALS[i % 10]}{i}")) for i in range(documents))
    write_collection(Collection("judged", texts, queries, qrels, {}), folder)
    return str(folder)


def test_the_queries_of_a_collection_are_split_by_shares(tmp_path):
    queries = {f"q{i}": f"query {i}" for i in range(12)} | {"unjudged": "x", "unknown": "y"}
    qrels = {f"q{i}": {f"d{i}": 1 + i % 2} for i in range(12)} | {"unknown": {"d99": 0}}
    source = judged(tmp_path / "c", queries, qrels)
    corpus = surveyed_experiment(source).corpus
    assert (corpus.test_queries, corpus.validation_queries, corpus.known_items) == (2, 1, None)
    assert (corpus.empty_documents, corpus.unjudged_queries, corpus.unknown) == ("drop", "drop", "drop")
    assert surveyed_experiment(source, strict=True).corpus.unknown == "error"


@pytest.mark.parametrize(("known_items", "joined"), [(4, ["GR2S+BM25", "GR2S+Encoder"]), (0, [])])
def test_an_encoder_is_a_row_and_is_joined_where_something_can_weigh_it(known_items, joined):
    about = {"documents": 100, "queries": 0, "known_items": known_items}
    rows = index_experiment("x", "x", **about, encoder="some").rows
    assert [row.name for row in rows] == ["GR2S", "BM25", "Encoder", *joined]


def test_an_encoder_that_is_none_is_refused_before_the_source_is_read(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["index", str(tmp_path), "--encoder", str(tmp_path / "none")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "there is no folder" in error
    assert "looking through" not in error


def test_a_folder_with_an_encoder_beside(texts, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    retriever = gr2_jax.index(texts, tmp_path / "run", settings=TINY, known_items=4, encoder=encoder)
    assert retriever.row == "GR2S"
    assert len(gr2_jax.open_retriever(tmp_path / "run", row="GR2S+Encoder").search("otter", k=3)) == 3
    summary = json.loads((tmp_path / "run/metrics/summary.json").read_text())
    assert set(summary) == {"GR2S", "BM25", "Encoder", "GR2S+BM25", "GR2S+Encoder", "provenance"}


@pytest.mark.parametrize(("queries", "test", "validation"), [(2, 1, 0), (5, 1, 0), (15, 3, 1), (5000, 300, 150)])
def test_shares_leave_a_query_for_training_where_they_can(queries, test, validation):
    experiment = index_experiment("x", "x", documents=100, queries=queries, known_items=None)
    assert (experiment.corpus.test_queries, experiment.corpus.validation_queries) == (test, validation)
    assert bool(experiment.evaluation.weights) == bool(validation)


def test_five_queries_train_with_the_judged_ones_alone(tmp_path, capsys):
    queries = {f"q{i}": f"what is the {ANIMALS[i]}" for i in range(5)} | {"none": "no judgement"}
    qrels = {f"q{i}": {f"d{i}": 2, "missing": 1} for i in range(5)}
    source = judged(tmp_path / "five", queries, qrels)
    with pytest.raises(SystemExit) as stop:
        main(["run", source, "--rows", "GR2S,BM25", "--workdir", str(tmp_path / "run"), *WORDS])
    assert stop.value.code == 0
    printed = capsys.readouterr()
    assert "positive judgements of missing documents" in printed.err
    assert "| GR2S" in printed.out
    assert "| BM25" in printed.out
    assert "LSA" not in printed.out
    split = json.loads((tmp_path / "run/corpus/split.json").read_text())
    assert [len(split[part]) for part in ("train", "validation", "test")] == [4, 0, 1]


def test_only_the_docids_are_made_that_the_named_rows_write(tmp_path, capsys):
    queries = {f"q{i}": f"what is the {ANIMALS[i]}" for i in range(5)}
    source = judged(tmp_path / "five", queries, {f"q{i}": {f"d{i}": 1} for i in range(5)})
    with pytest.raises(SystemExit) as stop:
        main(["run", source, "--rows", "BM25", "--workdir", str(tmp_path / "run"), *WORDS])
    assert stop.value.code == 0
    assert "| BM25" in capsys.readouterr().out
    assert not (tmp_path / "run" / "docids").exists()


def test_queries_without_judgements_are_as_none(tmp_path):
    source = judged(tmp_path / "c", {"q": "otter", "p": "lynx"}, {"q": {"d1": 0}})
    corpus = surveyed_experiment(source).corpus
    assert (corpus.known_items, corpus.validates) == (4, True)
    gone = judged(tmp_path / "gone", {"q": "otter", "p": "lynx"}, {"q": {"x": 1}, "p": {"d1": 1}})
    assert surveyed_experiment(gone).corpus.known_items == 4  # one query alone cannot be split
    gr2_jax.index(source, tmp_path / "run", settings=TINY)
    split = json.loads((tmp_path / "run/corpus/split.json").read_text())
    assert {query.partition(":")[0] for part in split.values() for query in part} == {"item"}


def test_another_source_does_not_replace_a_run(indexed, texts, tmp_path, capsys):
    _, workdir = indexed
    (tmp_path / "notes.txt").write_text("\n".join(texts))
    with pytest.raises(SystemExit) as stop:
        main(["index", str(tmp_path / "notes.txt"), "--workdir", str(workdir)])
    assert stop.value.code == 2
    assert "holds a run over" in capsys.readouterr().err
    queries = {f"q{i}": "x" for i in range(3)}
    with pytest.raises(UserError, match="known-items is for a collection without"):
        surveyed_experiment(judged(tmp_path / "c", queries, {q: {"d1": 1} for q in queries}), known_items=4)


def test_rows_are_named_with_the_nearest(tmp_path, capsys):
    source = judged(tmp_path / "c", {"q": "x", "p": "y"}, {"q": {"d1": 1}, "p": {"d2": 1}})
    with pytest.raises(SystemExit) as stop:
        main(["index", source, "--rows", "GR2S,BM52"])
    assert stop.value.code == 2
    assert "did you mean 'BM25'" in capsys.readouterr().err


def test_texts_of_other_scripts_are_found_by_both_rows(tmp_path):
    japanese = ["川に住むカワウソは夜に寝ます。", "青いサギは魚を食べます。"]
    arabic = ["القطة الصغيرة تنام", "يأكل الطائر السمك كل يوم"]
    retriever = gr2_jax.index(japanese + arabic, tmp_path, settings=TINY, known_items=0)
    assert retriever.search("カワウソ", k=4)
    words = gr2_jax.open_retriever(tmp_path, "BM25")
    assert words.search("カワウソ", k=1)[0].doc_id == "1"
    assert words.search("السمك", k=1)[0].doc_id == "4"


def test_the_run_keeps_what_the_index_was_made_of(indexed, texts):
    _, workdir = indexed
    assert [document.text for document in open_collection(str(workdir / "source")).documents()] == texts
