"""Every docid scheme through the pipeline, on a small collection."""

import dataclasses
import json
import math

import numpy as np
import pytest
from small_collection import TEXTS as TITLES
from small_collection import over, retrieval, small_experiment, write_folder

from gr2_jax import open_retriever
from gr2_jax.cli import main
from gr2_jax.corpus import read_run
from gr2_jax.corpus.collection import Document
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.experiment import BatchConfig, DocidConfig, ModelConfig, OptimiserConfig, VocabularyConfig
from gr2_jax.models import EOS_ID
from gr2_jax.pipeline import docids as docids_stage
from gr2_jax.pipeline.rows import BASELINES, System, ViewsRow
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import (
    FusionQueries,
    HierarchicalCodes,
    Keywords,
    PlainQueries,
    ProductCodes,
    RandomNumbers,
    ResidualCodes,
    Titles,
    Urls,
)
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, scheme_fingerprint
from gr2_jax.pipeline.schemes.pseudo_queries import OpenQueries
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir

COUNT = len(TITLES)
MODEL = ModelConfig(dropout_rate=0.0)
WRITER = {"model": MODEL, "optimiser": OptimiserConfig(steps=30), "pairs": 16, "document_length": 16, "beams": 2}
FUSION = FusionQueries(**WRITER, radii=(0.0, 4.0), resamples=1)
ALL = (
    Titles(),
    Keywords(least=2, most=4),
    Urls(),
    RandomNumbers(),
    HierarchicalCodes(branches=3, leaf=4),
    ProductCodes(levels=2, codes=8),
    ResidualCodes(levels=2, codes=8),
    PlainQueries(**WRITER),
    FUSION,
)
SCHEMES = [scheme.name for scheme in ALL]
EXPERIMENT = small_experiment(
    name="schemes",
    vocabulary=VocabularyConfig(size=80, extra_ids=100),
    docids=DocidConfig(schemes=ALL, max_length=10),
    retrieval=retrieval(
        optimiser=OptimiserConfig(steps=3),
        batch=BatchConfig(queries=4, indexing_texts=4, length=8, shortest_span=2, longest_span=6),
    ),
    rows=(System("A", "title"), System("B", "rq"), ViewsRow("Both", ("A", "B")), *BASELINES),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sixty documents, the last six of which say the same."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [*TITLES[:-6], *[TITLES[-6]] * 6]
    documents = [
        Document(f"d{i}", text, f"how to {text}", f"https://sparse.root/{'/'.join(text.split())}.html")
        for i, text in enumerate(texts)
    ]
    write_folder(folder, documents, texts)
    return folder


def of(corpus, *schemes, max_length=10):
    """The experiment over `corpus`; with other schemes, one system on the first of them."""
    experiment = over(EXPERIMENT, corpus)
    if not schemes:
        return experiment
    docids = DocidConfig(schemes=schemes, max_length=max_length)
    return dataclasses.replace(experiment, docids=docids, rows=(System("A", schemes[0].name), *BASELINES))


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory):
    """The docids of all schemes: (run, workdir, the printed table)."""
    experiment, workdir = of(corpus), Workdir(tmp_path_factory.mktemp("schemes") / "run")
    return Run(experiment, workdir.root), workdir, run_experiment(experiment, workdir.root, until="docids")


@pytest.fixture(scope="module")
def tokenizer(made):
    return made[0].tokenizer


def table_of(made, scheme):
    """Document -> docid, as docids.tsv says."""
    lines = (made[1].docids(scheme) / "docids.tsv").read_text().splitlines()
    return dict(line.split("\t") for line in lines)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_document_has_a_docid_of_its_own(made, scheme):
    table = table_of(made, scheme)
    assert list(table) == [f"d{i}" for i in range(COUNT)]
    assert len(set(table.values())) == COUNT
    figures = json.loads((made[1].docids(scheme) / "figures.json").read_text())
    assert figures["documents"] == COUNT
    assert figures["unique_share"] == 1.0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_trie_table_and_text_agree(made, tokenizer, scheme):
    trie, table = made[0].docids(scheme).trie, made[0].docids(scheme).table
    assert table.max() < tokenizer.size
    for row, (docid, text) in enumerate(zip(table, table_of(made, scheme).values(), strict=True)):
        (end,) = np.flatnonzero(docid == 1)
        assert not docid[end + 1 :].any()
        assert tokenizer.decode(docid[:end]) == text
        assert trie.docids()[row, :end].tolist() == docid[:end].tolist()


def test_titles_and_urls_are_what_the_document_brings(made):
    titles, urls = table_of(made, "title"), table_of(made, "url")
    assert [titles[f"d{i}"] for i in range(3)] == TITLES[:3]
    assert urls["d0"] == " ".join([*reversed(TITLES[0].split()), "sparse root"])
    assert titles["d54"] == TITLES[54]  # the first of the six that say the same
    assert titles["d55"].startswith(TITLES[54] + " <extra_id_")  # a suffix


@pytest.mark.parametrize("scheme", [PlainQueries(**WRITER), FUSION], ids=["qg", "fusion"])
def test_candidates_ranked_by_how_much_likelier_their_document_makes_them(made, scheme):
    """log P(q|d) - mu log P(q), P(q) with a document that holds nothing but its end, by a loop over single queries.
    The model is that of the scheme with mu = 0: mu decides what is written and not what is learnt."""
    run = made[0]
    ranking = dataclasses.replace(scheme, mu=0.5)
    assert ranking.training_fingerprint(run) == scheme.training_fingerprint(run)
    assert scheme_fingerprint(run, ranking) != scheme_fingerprint(run, scheme)
    opened, plain = (each.open_further(run, run.paths.docids(scheme.name)) for each in (ranking, scheme))
    rows = np.array([0, 7, 54])
    found, before = opened.candidates(rows), plain.candidates(rows)
    empty = np.zeros((1, 16), np.int32)
    empty[0, 0] = EOS_ID

    def log_likelihood(document, docid):
        queries = np.array([[*docid, EOS_ID]])
        logits = np.asarray(scheme.logits(opened.network, opened.params, document, queries), np.float64)[0]
        log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return log_probs[np.arange(len(queries[0])), queries[0]].sum()

    for row, listed, others in zip(rows, found, before, strict=True):
        docids = [docid[docid > 0].tolist() for docid in listed]
        assert sorted(docids) == sorted(docid[docid > 0].tolist() for docid in others)
        document = run.document_tokens[[row]][:, :16]
        scores = [log_likelihood(document, docid) - 0.5 * log_likelihood(empty, docid) for docid in docids if docid]
        assert scores == sorted(scores, reverse=True)


def test_numbers_are_random_and_say_nothing(made, tokenizer):
    table = made[0].docids("number").table
    digits = table[:, :2] - tokenizer.sentinels.start
    assert sorted((digits @ [10, 1]).tolist()) == list(range(COUNT))
    assert (np.diff(digits @ [10, 1]) == 1).mean() < 0.2


@pytest.mark.parametrize("scheme", ["rq", "pq"])
def test_codes_are_spelled_level_by_level_and_bring_their_centroids(made, tokenizer, scheme):
    table = made[0].docids(scheme).table
    codes = table[:, :2] - tokenizer.sentinels.start
    assert (codes[:, 0] < 8).all()
    assert ((codes[:, 1] >= 8) & (codes[:, 1] < 16)).all()
    with np.load(made[1].docids(scheme) / "sentinel_vectors.npz") as file:
        assert file["ids"].tolist() == list(range(tokenizer.sentinels.start, tokenizer.sentinels.start + 16))
        assert np.abs(file["vectors"]).max() > 0


def test_documents_that_read_alike_go_down_the_tree_together(made):
    """For two of the four or five codes of three values: their vectors are the same but for rounding."""
    table = made[0].docids("hierarchical").table
    same = [row[row > 1].tolist() for row in table[54:60]]
    assert len({tuple(codes[:2]) for codes in same}) == 1
    assert len({tuple(codes) for codes in same}) == 6
    figures = json.loads((made[1].docids("hierarchical") / "figures.json").read_text())
    assert figures["needed_suffix"] == 0


@pytest.mark.parametrize("scheme", ["qg", "fusion"])
def test_pseudo_queries_are_words_and_suffixes_their_only_sentinels(made, tokenizer, scheme):
    table = made[0].docids(scheme).table
    used = np.unique(table[table > 1])
    digits = set(list(tokenizer.sentinels)[-SUFFIX_DIGITS:])
    assert not (set(used.tolist()) & set(tokenizer.sentinels)) - digits
    assert 2 not in used


def test_quality_of_every_scheme_is_reported(made):
    _, workdir, printed = made
    rows = [line.split("|")[1].strip() for line in printed.splitlines()[2:]]
    assert rows == SCHEMES
    assert (workdir.report / "docids.png").read_bytes().startswith(b"\x89PNG")
    for scheme in SCHEMES:
        quality = json.loads((workdir.quality(scheme) / "quality.json").read_text())
        textual = scheme in ("title", "keywords", "url", "qg", "fusion")
        assert (quality["own_rank"] is not None) == textual
        assert (quality["held_out"] is not None) == (scheme in ("qg", "fusion"))
        assert (quality["vector_similarity"] is not None) == (scheme not in ("hierarchical", "number"))


@pytest.mark.parametrize("name", ["qg", "fusion"])
def test_held_out_likelihood_is_that_of_the_validation_queries_token_by_token(made, corpus, name):
    run, workdir, _ = made
    scheme = run.scheme(name)
    opened = scheme.open(run)
    texts = dict(line.split("\t") for line in (corpus / "queries.tsv").read_text().splitlines())
    nll, tokens = 0.0, 0
    for query in json.loads((workdir.corpus / "split.json").read_text())["validation"]:
        ids = [*run.tokenizer.encode(texts[query])[:10], 1]
        document = run.examples["documents"].tokens[[int(query[1:])]][:, :16]  # query i is about document i
        logits = np.asarray(scheme.logits(opened.network, opened.params, document, np.array([ids])), np.float64)[0]
        for row, token in zip(logits, ids, strict=True):
            nll -= row[token] - np.log(np.exp(row).sum())
            tokens += 1
    held_out = json.loads((workdir.quality(name) / "quality.json").read_text())["held_out"]
    assert held_out["nll_per_token"] == pytest.approx(nll / tokens, rel=1e-5)
    assert held_out["perplexity"] == pytest.approx(math.exp(nll / tokens), rel=1e-4)


def test_other_settings_of_the_search_do_not_train_again(made):
    run = made[0]
    for before in (run.scheme("qg"), FUSION):
        changes = {"beams": 3} | ({"radii": (), "radius": 3.0, "latents": 2} if before is FUSION else {})
        after = dataclasses.replace(before, **changes)
        assert scheme_fingerprint(run, before) != scheme_fingerprint(run, after)
        assert before.training_fingerprint(run) == after.training_fingerprint(run)


@pytest.fixture
def command(made, tmp_path):
    """`gr2 docids` on the finished run."""
    config = tmp_path / "schemes.py"
    config.write_text(
        f"from gr2_jax.pipeline.open_run import open_run\nexperiment = open_run({str(made[1].root)!r}).experiment\n"
    )
    return ["docids", str(config), "--workdir", str(made[1].root)]


def test_the_command_prints_the_table_and_where_everything_is(made, command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(command)
    printed = capsys.readouterr().out
    assert made[2] in printed
    places = [line.split()[-1] for line in printed.splitlines() if line.startswith(("table", "picture"))]
    assert places == [str(made[1].report / name) for name in ("docids.md", "docids.png")]
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--json"])
    qualities = json.loads(capsys.readouterr().out)
    assert list(qualities) == SCHEMES
    assert qualities["title"]["assignment"]["needed_suffix"] == 5
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--validation"])
    assert "--validation is for commands that score" in capsys.readouterr().err


def test_a_trie_of_another_vocabulary_is_refused(made):
    with pytest.raises(UserError, match="was made with the vocabulary"):
        DocidTrie.load(made[1].docids("title") / "trie", vocabulary="0" * 64)


def test_killed_while_pseudo_queries_are_written_it_goes_on_with_the_same_result(made, corpus, tmp_path, monkeypatch):
    """Shards of 16 documents; the third is never written the first time."""
    experiment = of(corpus, FUSION)
    workdir = Workdir(tmp_path / "run")
    monkeypatch.setattr(docids_stage, "_SHARD", 16)
    asked, write = [], OpenQueries.candidates

    def killed(self, rows, sample=0):
        asked.append(rows.tolist())
        if len(asked) == 3:
            raise KeyboardInterrupt
        return write(self, rows, sample)

    monkeypatch.setattr(OpenQueries, "candidates", killed)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, workdir.root, until="docids")
    assert not workdir.docids("fusion").exists()
    stale = workdir.candidates("fusion") / "of-other-settings"
    stale.mkdir()
    asked.append("again")
    run_experiment(experiment, workdir.root, until="docids")
    assert asked[4] == list(range(32, 48))  # the first two shards are kept
    assert not list((workdir.root / "candidates").iterdir())
    for name in ("docids.tsv", "figures.json", "radius.json"):
        assert (workdir.docids("fusion") / name).read_bytes() == (made[1].docids("fusion") / name).read_bytes()


def test_two_views_of_each_document_are_read_together(corpus, tmp_path):
    two = DocidConfig(schemes=(Titles(), ResidualCodes(levels=2, codes=8)), max_length=10)
    experiment = of(corpus)
    by_likelihood = dataclasses.replace(experiment.evaluation, ranking="likelihood")  # which the mean is of, always
    experiment = dataclasses.replace(experiment, docids=two, evaluation=by_likelihood)
    workdir = Workdir(tmp_path / "run")
    table = run_experiment(experiment, workdir.root)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:5]] == ["A", "B", "Both"]
    runs = {name: read_run(workdir.runs / name / "test.trec") for name in ("A", "B", "Both")}
    for query, hits in runs["Both"].items():
        probability = {name: {d: math.exp(s) for d, s in runs[name][query]} for name in ("A", "B")}
        expected = {d: sum(p.get(d, 0.0) for p in probability.values()) / 2 for p in probability.values() for d in p}
        best = sorted(expected, key=lambda d: (-expected[d], d))[: len(hits)]
        assert [d for d, _ in hits] == best
        assert [math.exp(s) for _, s in hits] == pytest.approx([expected[d] for d in best], rel=1e-5)
    (found,) = open_retriever(workdir.root, "Both").search(["how to sort"], k=4)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("scheme", "max_length", "sentence"),
    [
        (RandomNumbers(), 1, "docids of 2 codes need --docids.max_length of 2 or more"),
        (ProductCodes(levels=2, codes=8), 1, "docids of 2 codes need --docids.max_length of 2 or more"),
        (
            ResidualCodes(levels=2, codes=50),
            10,
            "docids of 2 codes, 100 different ones, need --vocabulary.extra_ids of 110 or more, not 100",
        ),
        (ResidualCodes(levels=1, codes=61), 10, "codes is 61, and there are only 60 documents"),
        (ProductCodes(levels=150, codes=1), 200, "--vocabulary.extra_ids of 160"),
    ],
)
def test_schemes_that_make_no_docids_are_refused(made, corpus, scheme, max_length, sentence):
    with pytest.raises(UserError, match=sentence):
        run_experiment(of(corpus, scheme, max_length=max_length), made[1].root, until="docids")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: HierarchicalCodes(branches=1), "branches is 1: it must be at least 2"),
        (lambda: FusionQueries(radii=(1.0, -1.0)), "radii is .*radii of at least 0"),
        (lambda: FusionQueries(radii=(float("nan"),)), "radii is"),
        (lambda: PlainQueries(max_length=-3), "max_length is -3"),
        (lambda: Titles("../c"), "name is '../c'"),
        (lambda: PlainQueries(beams=0), "beams is 0"),
        (lambda: DocidConfig(schemes=(Titles(), Titles())), "two schemes named 'title'"),
    ],
)
def test_settings_that_no_scheme_could_use_are_refused_when_they_are_written(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_schemes_of_one_name_and_different_kinds_are_told_apart(made):
    run = made[0]
    for one, other in ((Titles("d"), Urls("d")), (ResidualCodes("c"), ProductCodes("c"))):
        assert scheme_fingerprint(run, one) != scheme_fingerprint(run, other)


def test_a_row_whose_scheme_is_missing_is_refused(corpus, tmp_path):
    experiment = dataclasses.replace(of(corpus, Titles()), rows=(System("A", "titel"),))
    with pytest.raises(UserError, match="no scheme 'titel': did you mean 'title'"):
        run_experiment(experiment, tmp_path / "run", until="docids")


def test_documents_without_a_url_are_named(corpus, tmp_path):
    lines = [json.loads(line) for line in (corpus / "documents.jsonl").read_text().splitlines()]
    del lines[7]["url"]
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("queries.tsv", "qrels.txt"):
        (folder / name).write_bytes((corpus / name).read_bytes())
    with pytest.raises(UserError, match=r"document d7 of .* has no URL \(and 0 more\), so URLs cannot be docids"):
        run_experiment(of(folder, Urls()), tmp_path / "run", until="docids")
