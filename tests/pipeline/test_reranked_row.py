"""A row that ranks another row's list by query likelihood: its scores are those of a loop over single pairs."""

import dataclasses
import itertools
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.cli import main
from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.evaluation.metrics import evaluate_run
from gr2_jax.experiment import DocidConfig, ModelConfig, OptimiserConfig
from gr2_jax.files import read_json
from gr2_jax.models import T5, unstack_layers
from gr2_jax.models.huggingface import save_hf_t5
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.clean import clean
from gr2_jax.pipeline.lending import lending
from gr2_jax.pipeline.open_run import open_row
from gr2_jax.pipeline.rows import BM25Row, RerankedRow
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import PlainQueries, Titles, pseudo_queries
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.training.checkpoints import checkpoint_steps

LONGEST_QUERY, LONGEST_DOCUMENT = 11, 8  # tokens; some queries and documents are longer
WRITER = PlainQueries(
    model=ModelConfig(num_encoder_layers=1, num_decoder_layers=1, dropout_rate=0.0),
    optimiser=OptimiserConfig(steps=4, warmup_steps=1, learning_rate=0.1),
    pairs=8,
    beams=2,
    document_length=LONGEST_DOCUMENT,
    max_length=LONGEST_QUERY,
)
ANEW = RerankedRow("BM25-reranked", "BM25", documents=6)
MIXED = RerankedRow("mixed", "BM25", documents=6, weights=(0.5,))
CHOSEN = RerankedRow("chosen", "BM25", documents=6, weights=(0.0, 0.5, 8.0))
ROWS = (BM25Row(), ANEW, MIXED, CHOSEN)
EXPERIMENT = small_experiment(rows=ROWS, docids=DocidConfig(schemes=(WRITER,), max_length=4))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = [f"{text} again and " * (i % 3) + text for i, text in enumerate(TEXTS)]
    write_folder(folder, [Document(f"d{i}", text, text) for i, text in enumerate(texts)], texts)
    return folder


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    run = Run(over(EXPERIMENT, corpus), tmp_path_factory.mktemp("run"))
    run_experiment(run.experiment, run.paths.root)
    return run


@pytest.fixture(scope="module")
def model(finished):
    """The trained T5 and its parameters."""
    writer = finished.scheme("qg").open_further(finished, finished.paths.docids("qg"))
    return writer.network.config, writer.params["t5"]


def tokens_of(run, text):
    return run.tokenizer.encode_batch([text])[0]


def pair(run, query, doc_id):
    """The tokens of a document and of a query, EOS included, as the model was trained to read and to write them."""
    document = tokens_of(run, run.documents[doc_id].contents)[:LONGEST_DOCUMENT]
    return document, [*tokens_of(run, query)[:LONGEST_QUERY], 1]


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def lists(run, row):
    return read_run(run.paths.runs / row / "test.trec")


def test_a_list_has_the_first_documents_by_a_plain_loop_s_likelihood(finished, model):
    """One pair at a time, with the logits of all tokens, and more padding than the row's batches have."""
    config, params = model
    network, scores = T5(config), {}
    for query, text in finished.queries("test").items():
        for doc_id, _ in lists(finished, "BM25")[query][: ANEW.documents]:
            document, target = pair(finished, text, doc_id)
            documents = np.array([document + [0] * (LONGEST_DOCUMENT + 3 - len(document))])
            inputs = np.array([[0, *target[:-1]] + [0] * (LONGEST_QUERY + 4 - len(target))])
            log_probs = log_softmax(network.apply({"params": params}, documents, inputs))[0]
            scores[query, doc_id] = sum(log_probs[i, token] for i, token in enumerate(target))
    assert len({len(pair(finished, text, "d0")[1]) for text in finished.queries("test").values()}) > 1
    assert len({len(pair(finished, "", doc_id)[0]) for _, doc_id in scores}) > 1
    for query, found in lists(finished, ANEW.name).items():
        first = [doc_id for doc_id, _ in lists(finished, "BM25")[query][: ANEW.documents]]
        assert sorted(doc_id for doc_id, _ in found) == sorted(first)
        own = [scores[query, doc_id] for doc_id, _ in found]
        np.testing.assert_allclose([score for _, score in found], own, rtol=1e-5)
        assert all(better > worse - 1e-4 for better, worse in itertools.pairwise(own))
    assert lists(finished, ANEW.name) != {q: found[: ANEW.documents] for q, found in lists(finished, "BM25").items()}


@pytest.mark.peers
def test_scores_are_torch_s_likelihoods(finished, model, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config, params = model
    save_hf_t5(tmp_path, config, unstack_layers(params))
    peer = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    for query, text in finished.queries("test").items():
        for doc_id, score in lists(finished, ANEW.name)[query]:
            document, target = pair(finished, text, doc_id)
            with torch.no_grad():
                mean = peer(input_ids=torch.tensor([document]), labels=torch.tensor([target])).loss
            assert score == pytest.approx(-float(mean) * len(target), rel=1e-4)


def test_a_weight_mixes_both_scores(finished):
    for query, found in lists(finished, "mixed").items():
        first, likelihood = dict(lists(finished, "BM25")[query]), dict(lists(finished, ANEW.name)[query])
        expected = {doc_id: score + 0.5 * first[doc_id] for doc_id, score in likelihood.items()}
        assert dict(found) == pytest.approx(expected, rel=1e-5)


def test_a_weight_is_chosen_on_the_validation_queries_and_read_when_the_row_is_opened(finished):
    chosen = read_json(finished.paths.weight("chosen") / "weight.json")
    searcher = open_row(finished.paths.root, "chosen").searcher
    assert searcher.weight == chosen["weight"]
    queries, qrels, scores = finished.queries("validation"), finished.qrels("validation"), {}
    for weight in CHOSEN.weights:
        found = dataclasses.replace(searcher, weight=weight).search(list(queries.values()), 20)
        hits = {query: [(hit.doc_id, hit.score) for hit in own] for query, own in zip(queries, found, strict=True)}
        scores[str(weight)] = evaluate_run(hits, qrels, (chosen["measure"],))[chosen["measure"]]
    assert chosen["scores"] == pytest.approx(scores)
    assert scores[str(chosen["weight"])] == max(scores.values())


def test_a_list_is_the_same_bytes_whatever_else_is_asked(finished):
    searcher = open_row(finished.paths.root, ANEW.name).searcher
    queries = list(finished.queries("test").values())
    together = searcher.search(queries, whole_batches=True)
    assert [searcher.search([query], whole_batches=True)[0] for query in queries] == together
    assert searcher.search(queries[::-1], whole_batches=True)[::-1] == together


def test_it_is_opened_from_its_folder(finished, tmp_path, capsys):
    opened = open_retriever(finished.paths.root, row=ANEW.name)
    text = finished.corpus.queries[finished.split.test[0]]
    hits = opened.search(text, 3)
    listed = lists(finished, ANEW.name)[finished.split.test[0]]
    assert [hit.doc_id for hit in hits] == [doc_id for doc_id, _ in listed[:3]]
    assert not any(hit.proven for hit in hits)
    with pytest.raises(SystemExit) as left:
        main(["search", text, "--workdir", str(finished.paths.root), "--row", ANEW.name, "-k", "3"])
    assert left.value.code in (0, None)
    printed = capsys.readouterr().out
    assert hits[0].doc_id in printed.splitlines()[0]
    assert "not proven: the row joins or reranks lists" in printed
    with pytest.raises(UserError, match="BM25 is not trained and has no checkpoints: leave --step out"):
        open_row(finished.paths.root, ANEW.name, step=4)
    with pytest.raises(SystemExit) as left:
        main(["export", str(finished.paths.root), str(tmp_path / "bundle"), "--row", ANEW.name])
    assert left.value.code == 2
    assert f"row {ANEW.name} cannot be exported" in capsys.readouterr().err


def test_what_it_costs_is_that_of_both(finished):
    cost, first = (read_json(finished.paths.runs / name / "cost.json") for name in (ANEW.name, "BM25"))
    searcher = open_row(finished.paths.root, ANEW.name).searcher
    assert cost["index_mb"] > first["index_mb"]
    assert cost["model_mb"] == searcher.look_bytes / 1e6 > 0
    assert "train_seconds" not in cost


def test_a_run_that_takes_over_the_docids_takes_over_their_model(finished, corpus, tmp_path, monkeypatch):
    train, steps = pseudo_queries.train, []

    def noted(job, params, directory):
        steps.append(job.steps - max(checkpoint_steps(directory), default=0))
        return train(job, params, directory)

    monkeypatch.setattr(pseudo_queries, "train", noted)
    with lending(tmp_path, [finished.paths.root]):
        run_experiment(over(EXPERIMENT, corpus), tmp_path)
    assert steps == [0]
    found = Run(finished.experiment, tmp_path)
    assert found.scheme("qg").open_further(found, found.paths.docids("qg")).params.keys() == {"t5"}


def test_cleaning_keeps_its_model_and_without_it_a_search_says_what_to_do(finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished.paths.root, root)
    clean(root, remove=True)
    open_row(root, ANEW.name)
    shutil.rmtree(root / "checkpoints")
    with pytest.raises(UserError, match=r"there is no checkpoint in .*: train first"):
        open_row(root, ANEW.name)


@pytest.mark.parametrize(
    ("rows", "schemes", "sentence"),
    [
        ((ANEW, BM25Row()), (WRITER,), "row BM25-reranked reads 'BM25', which is no row above it: there is none"),
        (
            (BM25Row(), ANEW),
            (Titles(),),
            r"no docid scheme that writes queries: add PlainQueries\(\) to docids.schemes",
        ),
        (
            (BM25Row(), dataclasses.replace(ANEW, scheme="gq")),
            (Titles(), WRITER),
            r"'gq', no docid scheme that writes queries: did you mean 'qg'\?",
        ),
        ((BM25Row(), dataclasses.replace(ANEW, documents=10_001)), (WRITER,), "1 to 10,000 documents, not 10001"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work_begins(tmp_path, rows, schemes, sentence):
    with pytest.raises(UserError, match=sentence):
        check(Run(small_experiment(rows=rows, docids=DocidConfig(schemes=schemes)), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_of_one_weight_nothing_is_chosen_and_measures_decide_nothing(finished):
    assert [path.name for path in (finished.paths.root / "weights").iterdir()] == ["chosen"]
    evaluation = dataclasses.replace(finished.experiment.evaluation, measures=("P@5",))
    other = Run(dataclasses.replace(finished.experiment, evaluation=evaluation), finished.paths.root)
    assert ANEW.fingerprint(other) == ANEW.fingerprint(finished)


def test_choosing_searches_once_and_looks_at_each_list_once(finished, tmp_path):
    searcher, asked = open_row(finished.paths.root, "chosen").searcher, []

    def noted(function, name):
        def call(*arguments, **options):
            asked.append(name)
            return function(*arguments, **options)

        return call

    first = SimpleNamespace(search=noted(searcher.first.search, "search"))
    watched = dataclasses.replace(searcher, first=first, look=noted(searcher.look, "look"))
    CHOSEN._choose(finished, watched, tmp_path)
    assert read_json(tmp_path / "weight.json") == read_json(finished.paths.weight("chosen") / "weight.json")
    assert (asked.count("search"), asked.count("look")) == (1, len(finished.split.validation))


def test_a_weight_that_was_not_chosen_is_said_to_be_missing(finished, tmp_path):
    root = tmp_path / "run"
    shutil.copytree(finished.paths.root, root)
    shutil.rmtree(root / "weights")
    with pytest.raises(UserError, match=r"chosen in .* has chosen no weight"):
        open_row(root, "chosen")


def test_without_validation_queries_one_weight_is_taken_and_several_are_refused(tmp_path):
    experiment = over(EXPERIMENT, tmp_path)
    corpus = dataclasses.replace(experiment.corpus, validation_queries=0)
    check(Run(dataclasses.replace(experiment, corpus=corpus, rows=(BM25Row(), MIXED)), tmp_path / "run"))
    with pytest.raises(UserError, match="row chosen chooses its weight on validation queries"):
        check(Run(dataclasses.replace(experiment, corpus=corpus, rows=(BM25Row(), CHOSEN)), tmp_path / "run"))


@pytest.mark.parametrize(
    ("field", "value"), [("documents", 0), ("weights", ()), ("weights", (0.5, -1.0)), ("weights", (float("nan"),))]
)
def test_settings_that_mean_nothing_are_refused(field, value):
    with pytest.raises(UserError, match=rf"RerankedRow\.{field} is {re.escape(str(value))}"):
        RerankedRow("a", "b", **{field: value})
