"""A row that cannot be opened, or that finds nothing, costs no other row its line of the table."""

import dataclasses
from types import SimpleNamespace

import pytest
from small_collection import TEXTS, over, retrieval, small_experiment

from gr2_jax.corpus import Collection, Document, read_run, write_collection
from gr2_jax.errors import UserError
from gr2_jax.experiment import BatchConfig, CorpusConfig, OptimiserConfig, Row, VocabularyConfig
from gr2_jax.files import read_json
from gr2_jax.pipeline.evaluate import evaluate_row, why_left_out
from gr2_jax.pipeline.rows import BASELINES, InterpolatedRow, QueryLikelihoodRow, System
from gr2_jax.pipeline.stage import Stage
from gr2_jax.pipeline.stages import _merge, run_experiment
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.search.bm25 import BM25


@dataclasses.dataclass(frozen=True)
class Words(Row):
    """BM25 over given texts; `fault` is raised when it is opened."""

    texts: tuple[str, ...] = ("sort an array", "solve a system")
    fault: Exception | None = None
    reads_text_alone = True

    def fingerprint(self, run):
        return "the same"

    def open(self, run, step=None):
        if self.fault is not None:
            raise self.fault
        return BM25([f"d{i}" for i in range(len(self.texts))], self.texts)


@pytest.fixture
def run(tmp_path):
    return SimpleNamespace(paths=Workdir(tmp_path), queries=lambda part: {"q": f"to sort {part}"})


def test_a_row_that_cannot_be_opened_is_tried_again(run, capsys):
    evaluate_row(run, Words("W", texts=("", "!")))
    directory = run.paths.runs / "W"
    assert "without a single word" in why_left_out(directory)
    assert "W is left out: BM25 cannot index 2 documents" in capsys.readouterr().err
    evaluate_row(run, Words("W", fault=UserError("another reason")))
    assert why_left_out(directory) == "another reason"
    evaluate_row(run, Words("W"))
    assert why_left_out(directory) is None
    assert [doc for doc, _ in read_run(directory / "test.trec")["q"]] == ["d0"]


def test_a_fault_of_the_program_is_no_reason_to_leave_a_row_out(run):
    with pytest.raises(ZeroDivisionError):
        evaluate_row(run, Words("W", fault=ZeroDivisionError()))
    assert not (run.paths.runs / "W").exists()


def test_a_row_that_finds_nothing_says_so_when_it_is_searched(run, capsys):
    evaluate_row(run, Words("W", texts=("cat", "dog")))
    assert "W found no document for any of the 1 queries: none shares a word" in capsys.readouterr().err
    assert read_run(run.paths.runs / "W" / "test.trec") == {}


def test_a_row_that_one_fold_leaves_out_is_left_out_with_the_fold(tmp_path):
    folds = [Workdir(tmp_path / name) for name in "ab"]
    for paths, row in zip(folds, (Words("W"), Words("W", fault=UserError("no words"))), strict=True):
        evaluate_row(SimpleNamespace(paths=paths, queries=lambda part: {"q": "sort"}), row)
    Stage(tmp_path / "W", "merged").build(lambda out: _merge(folds, "W", out))
    assert why_left_out(tmp_path / "W") == "no words (fold 2 of 2)"


# whole runs

WORDLESS = {"BM25", "BM25+queries", "LSA", "QL", "GR2S+BM25"}
"""The rows that documents without a word leave out."""


def zh(i):
    thing = f"{'苹香猫狗书车山水'[i % 8]}{'果蕉咪熊籍辆川流'[i // 8]}"
    text = f"这是一篇关于{thing}的文章。很多人喜欢{thing}。"
    return Document(f"d{i}", f"{thing}的介绍", text), f"我想知道{thing}是什么"


def emoji(i):
    own = f"{chr(0x1F600 + i)}{chr(0x1F600 + i * 7 % 60)}"
    return Document(f"d{i}", own, own * 3), own


def punctuation(i):
    own = "!?.,;:()"[i % 8] + "[]{}*&#@"[i // 8] * 2
    return Document(f"d{i}", own, own * 4), own


def identical(i):
    return Document(f"d{i}", "Same title", "The same text for all."), f"how to {TEXTS[i]}"


COLLECTIONS = {
    "zh": (zh, set(), set()),
    "emoji": (emoji, WORDLESS, set()),
    "punctuation": (punctuation, WORDLESS, set()),
    # the training queries share words with the test queries, the documents do not
    "identical": (identical, set(), {"BM25", "LSA", "QL"}),
    "one": (identical, set(), {"BM25", "LSA", "QL"}),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run over a collection, its documents as a function of their number, and what it printed on stderr."""

    def finish(name, capsys):
        folder, number = tmp_path_factory.mktemp(name), 40
        pairs = [COLLECTIONS[name][0](i) for i in range(number)]
        documents = tuple(document for document, _ in pairs)[: 1 if name == "one" else number]
        queries = {f"q{i}": query for i, (_, query) in enumerate(pairs)}
        qrels = {f"q{i}": {documents[i % len(documents)].doc_id: 1 + i % 2} for i in range(number)}
        write_collection(Collection(name, documents, queries, qrels, {}), folder / "corpus")
        experiment = small_experiment(
            corpus=CorpusConfig(validation_queries=4, test_queries=6),
            vocabulary=VocabularyConfig(size=300, extra_ids=64),
            retrieval=retrieval(
                optimiser=OptimiserConfig(steps=4, warmup_steps=1),
                batch=BatchConfig(queries=8, indexing_texts=4, length=12, shortest_span=2, longest_span=6),
            ),
            rows=(
                System("GR2S", "title"),
                *BASELINES,
                QueryLikelihoodRow(),
                InterpolatedRow("GR2S+BM25", ("GR2S", "BM25"), shares=(0.0, 0.5)),
            ),
        )
        table = run_experiment(over(experiment, folder / "corpus"), folder / "run")
        return Workdir(folder / "run"), table, capsys.readouterr().err

    return finish


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "emoji" else pytest.mark.slow) for name in COLLECTIONS]
)
def test_texts_of_every_kind_end_in_a_table_with_the_trained_rows(finished, capsys, name):
    workdir, table, said = finished(name, capsys)
    _, left_out, without = COLLECTIONS[name]
    rows = read_json(workdir.metrics / "summary.json")
    lines = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    assert rows["GR2S"]["nDCG@20"] > 0
    assert {row for row, values in rows.items() if "note" in values} == left_out | without
    for row in left_out:
        assert "without a single word" in rows[row]["note"]
        assert {cell.strip() for cell in lines[row].split("|")[2:-1]} == {"-"}
        assert not (workdir.metrics / "test" / f"{row}.json").exists()
    for row in without:
        assert rows[row]["nDCG@20"] == rows[row]["P@20"] == 0.0
        assert ".0000" in lines[row]
        assert "none shares a word" in rows[row]["note"]
    for row in left_out | without:
        assert f"\n{row}: {rows[row]['note']}" in table
        if row != "GR2S+BM25":  # that one reads a row which must be trained
            assert said.index(f"  {row} ") < said.index("training GR2S")
    if name == "zh":
        assert rows["BM25"]["nDCG@20"] > 0.9
        assert rows["QL"]["nDCG@20"] > 0.9
