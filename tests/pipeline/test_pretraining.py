"""Pre-training on graded pairs, from the files that a Wikipedia build leaves to weights that a run starts from."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gr2_jax.cli import main
from gr2_jax.corpus import Collection, Document, write_collection
from gr2_jax.corpus.graded_pairs import PairsOptions, build_pairs
from gr2_jax.corpus.wikipedia.examples import encode_example, frame
from gr2_jax.data.batches import GradedBatches
from gr2_jax.data.vocabulary import MODEL_NAME, Tokenizer
from gr2_jax.errors import UserError
from gr2_jax.experiment import (
    BatchConfig,
    DocidConfig,
    GradedPairs,
    ModelConfig,
    OptimiserConfig,
    PairsConfig,
    Pretraining,
    RetrievalConfig,
    VocabularyConfig,
)
from gr2_jax.models import EOS_ID, GR2, load_t5
from gr2_jax.pipeline.initial_weights import from_weights, random_params
from gr2_jax.pipeline.pretraining import PretrainingRun, pretrain
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.training import loop
from gr2_jax.training.loop_config import LoopConfig

WORDS = ["lake", "river", "hill", "tower", "bridge", "garden", "market", "harbour"]
TITLES = [f"{a.title()} {b}" for a in WORDS for b in WORDS[:4]]
FIRST_ID = 7001
CONFIG = Pretraining(
    name="small wiki",
    vocabulary=VocabularyConfig(size=80, characters=3000, extra_ids=10),
    pairs=PairsConfig(judged=4, document_length=24, shards=2),
    docids=DocidConfig(max_length=7),
    retrieval=RetrievalConfig(
        model=ModelConfig(lsa_start=False, dropout_rate=0.0, num_encoder_layers=1),
        optimiser=OptimiserConfig(steps=6, warmup_steps=2),
        batch=BatchConfig(
            queries=4, docids=3, indexing_texts=4, length=10, shortest_span=3, longest_span=8, pseudo_share=0.0
        ),
    ),
    loop=LoopConfig(checkpoint_seconds=0.0),
)


def with_pairs(config, **changes):
    return dataclasses.replace(config, pairs=dataclasses.replace(config.pairs, **changes))


def with_retrieval(config, **changes):
    return dataclasses.replace(config, retrieval=dataclasses.replace(config.retrieval, **changes))


def build(folder, titles, first_id):
    """Article i: a text about its title, and a query with grades for itself, the next three and the one after."""
    ids = [first_id + i for i in range(len(titles))]
    documents = [
        {"doc_id": i, "title": t, "text": f"The {t.lower()} is old. It stands near a {t.split()[1]}.", "url": "u"}
        for i, t in zip(ids, titles, strict=True)
    ]
    pairs = []
    for n, (i, title) in enumerate(zip(ids, titles, strict=True)):
        near = [(n + k) % len(titles) for k in (0, 1, 2, 3, 5)]
        pairs.append(
            {
                "query_id": i,
                "query": f"where the {title.lower()} stands",
                "doc_ids": [ids[k] for k in near],
                "titles": [titles[k] for k in near],
                "grades": [4, 3, 3, 2, 1],
            }
        )
    notes = {"documents": [], "pairs": []}
    for name, records in (("documents", documents), ("pairs", pairs)):
        directory = folder / name / "1.0.0"
        directory.mkdir(parents=True)
        for shard in range(2):
            path = directory / f"{name}-train.tfrecord-{shard:05d}-of-00002"
            size = path.write_bytes(b"".join(frame(encode_example(record)) for record in records[shard::2]))
            notes[name].append({"records": len(records[shard::2]), "bytes": size})
    site = {"dbname": "small", "base": ""}
    manifest = {"dumps": [], "site": site, "options": {}, "first": first_id, "shards": notes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wikipedia")
    one = build(folder / "one", TITLES, FIRST_ID)
    two = build(folder / "two", [f"Old {title}" for title in TITLES[:12]], 31)
    return GradedPairs(str(one), 3.0), GradedPairs(str(two), 1.0)


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    config, workdir = with_pairs(CONFIG, sources=sources), Workdir(tmp_path_factory.mktemp("pretraining"))
    return config, workdir, pretrain(config, workdir.root)


def test_batches_hold_queries_titles_and_grades_of_both_sources_at_their_rates(made):
    config, workdir, _ = made
    tokenizer = Tokenizer(workdir.vocabulary / MODEL_NAME, extra_ids=10)
    batches = PretrainingRun(config, workdir.root).batches()
    second = 1 << 27
    own = 0
    for step in range(50):
        batch = batches(step)
        assert batch["docid_tokens"].shape == (4, 3, 8)
        assert batch["judged_rows"].shape == (4, 4)  # the best 4 of 5
        for b in range(4):
            question = tokenizer.decode(batch["query_tokens"][b])
            for k in range(3):
                row, of_second = batch["docid_rows"][b, k] % second, batch["docid_rows"][b, k] >= second
                title = f"Old {TITLES[row - 31]}" if of_second else TITLES[row - FIRST_ID]
                docid = batch["docid_tokens"][b, k]
                docid = docid[docid != 0]
                assert docid.tolist() == [*tokenizer.encode(title)[:7], EOS_ID]
                if batch["grades"][b, k] == 4:
                    assert tokenizer.decode(tokenizer.encode(f"where the {title.lower()}")[:8]) in question
                    own += 1
            of_second = batch["judged_rows"][b, 0] >= second
            assert ((batch["judged_rows"][b] >= second) == of_second).all()
            assert batch["judged_grades"][b].tolist() == [4, 3, 3, 2]
        for row, docid in zip(batch["indexing_rows"], batch["indexing_docid_tokens"], strict=True):
            title = f"Old {TITLES[row - second - 31]}" if row >= second else TITLES[row - FIRST_ID]
            assert docid[docid != 0].tolist() == [*tokenizer.encode(title)[:7], EOS_ID]
    assert own == 200  # every query has a document of its best grade, itself
    walked = np.concatenate([batches(step)["docid_rows"][:, 0] for step in range(250)])
    assert (walked >= second).mean() == pytest.approx(0.25, abs=0.001)


def test_what_comes_out_is_a_t5_with_its_head_and_vocabulary_to_start_from(made):
    _, workdir, weights = made
    t5, params = load_t5(weights)
    first = random_params(GR2(t5, (0, 1, 2, 3)), 5)
    start = ModelConfig(weights=str(weights))
    started = from_weights(first, start, t5)
    jax.tree.map(np.testing.assert_array_equal, started["t5"], params)
    assert (weights / MODEL_NAME).read_bytes() == (workdir.vocabulary / MODEL_NAME).read_bytes()
    differences = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), started["head"], first["head"])
    assert max(jax.tree.leaves(differences)) > 0.01  # the head as it was trained
    assert start.input_end == EOS_ID


def test_asked_again_it_does_nothing_and_killed_it_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch):
    config, workdir, weights = made
    assert pretrain(config, workdir.root) == weights
    monkeypatch.setattr(loop, "_STEPS_BETWEEN_LOOKS", 2)  # a checkpoint every two steps
    calls, batches = [], GradedBatches.__call__

    def dying(self, step, **of_host):
        calls.append(step)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return batches(self, step, **of_host)

    monkeypatch.setattr(GradedBatches, "__call__", dying)
    other = Workdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, other.root)
    assert not (other.root / "model").exists()
    again = pretrain(config, other.root)
    assert calls == [0, 1, 2, 3, 4, 4, 5]
    assert (again / "head.npz").read_bytes() == (weights / "head.npz").read_bytes()
    jax.tree.map(np.testing.assert_array_equal, load_t5(again)[1], load_t5(weights)[1])


def test_the_command_says_where_the_weights_are(made, capsys):
    config, workdir, weights = made
    file = workdir.root / "wiki_config.py"
    file.write_text(f"from gr2_jax.experiment import *\nexperiment = {config!r}\n")
    with pytest.raises(SystemExit) as ended:
        main(["train", str(file), "--workdir", str(workdir.root), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"weights": str(weights), "vocabulary": str(weights / MODEL_NAME)}


def test_another_source_is_mixed_in_and_the_highest_grade_of_all_counts(sources, tmp_path):
    documents = tuple(Document(f"d{i}", f"New {title}", f"The new {title}.") for i, title in enumerate(TITLES[:8]))
    queries = {f"q{i}": f"which {title.lower()} is new" for i, title in enumerate(TITLES[:8])}
    qrels = {f"q{i}": {f"d{(i + k) % 8}": 10 * (5 - k) for k in range(5)} for i in range(8)}
    write_collection(Collection("new", documents, queries, qrels, {}), tmp_path / "new")
    build_pairs(str(tmp_path / "new"), tmp_path / "pairs", PairsOptions(shards=2))
    config = with_pairs(CONFIG, sources=(sources[1], GradedPairs(str(tmp_path / "pairs"), 1.0)))
    old = PretrainingRun(with_pairs(CONFIG, sources=sources), tmp_path / "old")
    assert old.num_grades == 4  # manifests that are older than the field
    run = PretrainingRun(config, tmp_path / "run")
    run.paths.create()
    run.prepare()
    assert run.step(GR2(config.retrieval.model.t5(run.tokenizer.size))).num_grades == run.num_grades == 5
    batches, second, seen = run.batches(), 1 << 27, set()
    for step in range(20):
        batch = batches(step)
        for rows, grades in zip(batch["judged_rows"], batch["judged_grades"], strict=True):
            of_second = rows[0] >= second
            assert grades.tolist() == ([5, 4, 3, 2] if of_second else [4, 3, 3, 2])
            seen.add(bool(of_second))
    assert seen == {False, True}
    indexed = run._source("titles", 24)
    assert set(indexed.take(np.arange(indexed.size)).grades[:, 0].tolist()) == {5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: with_pairs(c, sources=()), "needs sources"),
        (lambda c: with_pairs(c, sources=(GradedPairs("nowhere"),)), "nowhere holds no build"),
        (lambda c: with_retrieval(c, model=ModelConfig()), "no LSA start"),
        (lambda c: with_retrieval(c, model=ModelConfig(weights="t5")), "need --vocabulary.model"),
        (lambda c: with_pairs(c, judged=2), "docids is 3, and pairs.judged only 2"),
        (lambda c: with_retrieval(c, batch=dataclasses.replace(c.retrieval.batch, pseudo_share=0.5)), "pseudo_share"),
        (lambda c: with_retrieval(c, evaluate_every=2), "evaluate_every"),
    ],
)
def test_settings_that_cannot_work_are_refused(sources, tmp_path, change, message):
    config = with_pairs(CONFIG, sources=sources[:1])
    with pytest.raises(UserError, match=message):
        pretrain(change(config), tmp_path)


def test_a_rate_that_is_not_positive_is_refused_when_it_is_written(sources):
    with pytest.raises(UserError, match="rate is 0"):
        dataclasses.replace(sources[1], rate=0.0)
