"""Docids of codes of a row's vectors: those of a bi-encoder that the run trained, and of a sentence encoder."""

import dataclasses
import itertools

import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder
from tiny_encoder import write_encoder

from gr2_jax import open_retriever
from gr2_jax.corpus.collection import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import AugmentationConfig, DocidConfig, OptimiserConfig, VocabularyConfig
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.initial_weights import SENTINEL_VECTORS
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.rows import BM25Row, DenseRow, EncoderRow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import PlainQueries, ResidualCodes, RowCodes
from gr2_jax.pipeline.schemes.base import scheme_fingerprint
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.recipes.studies import by_likelihood, method_alone, own_rows
from gr2_jax.search.text_encoder import TextEncoder

LEVELS, CODES = 2, 6
SIZES = {"levels": LEVELS, "codes": CODES, "candidates": CODES**LEVELS}
SCHEMES = (
    RowCodes(**SIZES),
    RowCodes("of-encoder", **SIZES, rows=("Encoder",)),
    RowCodes("of-both", **SIZES, rows=("LSA", "Encoder")),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("row-codes")
    write_folder(folder, [Document(f"d{i}", text.title(), f"how to {text}") for i, text in enumerate(TEXTS)], TEXTS)
    encoder = EncoderRow(encoder=str(write_encoder(folder / "encoder")))
    small = small_experiment(
        vocabulary=VocabularyConfig(size=80, extra_ids=LEVELS * CODES + 10),
        docids=DocidConfig(schemes=SCHEMES),
        retrieval=retrieval(optimiser=OptimiserConfig(steps=3)),
        rows=(System("GR2S", "row-codes"), DenseRow(), encoder, BM25Row()),
    )
    return over(small, folder)


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    run_experiment(experiment, root)
    return open_run(root)


def unit(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def vectors_of(run, scheme):
    """What a scheme is to code, computed from the texts, or read from what the Dense row compares queries with."""
    lsa = unit(np.asarray(run.semantics.document_vectors))
    encoded = unit(TextEncoder.load(run.row("Encoder").encoder).encode([d.contents for d in run.corpus.documents]))
    if scheme.name == "row-codes":
        return unit(np.asarray(open_retriever(run.paths.root, row="Dense").searcher.vectors))
    return encoded if scheme.name == "of-encoder" else unit(np.concatenate([lsa, encoded], axis=1))


def codes_of(run, scheme):
    """Each document's codes, 0 .. CODES - 1 at every level, read off its docid."""
    tokens, first = run.docids(scheme.name).table[:, :LEVELS], run.tokenizer.sentinels
    places = {first[level * CODES + code]: code for level in range(LEVELS) for code in range(CODES)}
    return np.array([[places.get(token, -1) for token in row] for row in tokens.tolist()])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_document_has_the_nearest_tuple_that_no_earlier_one_has(run, scheme):
    vectors = vectors_of(run, scheme)
    centroids = np.load(run.paths.docids(scheme.name) / "centroids.npz")["vectors"].reshape(LEVELS, CODES, -1)
    tuples = list(itertools.product(range(CODES), repeat=LEVELS))
    sums = np.array([sum(centroids[level][code] for level, code in enumerate(own)) for own in tuples])
    taken, codes = set(), codes_of(run, scheme)
    for vector, own in zip(vectors, codes.tolist(), strict=True):
        free = [i for i, codes in enumerate(tuples) if codes not in taken]
        if not free:
            break  # 60 documents, 36 tuples: the others have suffixes
        far = np.square(vector.astype(np.float64) - sums[free]).sum(axis=1)
        got = tuples.index(tuple(own))
        assert far[free.index(got)] <= far.min() + 1e-5  # equally near tuples may change places
        taken.add(tuple(own))
    assert len(taken) == CODES**LEVELS


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_code_starts_as_what_it_means_in_the_corpus_s_own_space(run, scheme):
    """Level by level the mean of what is left of the LSA vectors of the documents that its code is nearest to."""
    vectors, left = vectors_of(run, scheme), unit(np.asarray(run.semantics.document_vectors, np.float64))
    centroids = np.load(run.paths.docids(scheme.name) / "centroids.npz")["vectors"].reshape(LEVELS, CODES, -1)
    starts = np.load(run.paths.docids(scheme.name) / SENTINEL_VECTORS)["vectors"].reshape(LEVELS, CODES, -1)
    rest = vectors
    for level in range(LEVELS):
        code = np.square(rest[:, None] - centroids[level]).sum(axis=-1).argmin(axis=1)
        rest = rest - centroids[level][code]
        means = np.array([left[code == c].mean(axis=0) if (code == c).any() else 0 * left[0] for c in range(CODES)])
        np.testing.assert_allclose(starts[level], means, atol=1e-5)
        left = left - means[code]


def test_another_training_of_the_row_is_other_docids(experiment, run):
    def fingerprints(rows):
        changed = Run(dataclasses.replace(experiment, rows=rows), run.paths.root)
        return [scheme_fingerprint(changed, scheme) for scheme in SCHEMES]

    first = fingerprints(experiment.rows)
    system, dense, encoder, bm25 = experiment.rows
    warmer = fingerprints((system, dataclasses.replace(dense, temperature=0.1), encoder, bm25))
    assert [a != b for a, b in zip(first, warmer, strict=True)] == [True, False, False]
    shorter = fingerprints((system, dense, dataclasses.replace(encoder, length=5), bm25))
    assert [a != b for a, b in zip(first, shorter, strict=True)] == [False, True, True]


def test_a_run_goes_on_without_training_the_row_again(experiment, run):
    before = {path: path.stat().st_mtime_ns for path in run.paths.root.rglob("*.npy")}
    run_experiment(experiment, run.paths.root)
    assert {path: path.stat().st_mtime_ns for path in run.paths.root.rglob("*.npy")} == before


@pytest.mark.parametrize("scheme", SCHEMES[:2], ids=lambda scheme: scheme.name)
def test_a_later_document_has_the_candidates_of_its_own_vector(run, scheme):
    from gr2_jax.pipeline.further_documents import ChangedRun

    copies = [dataclasses.replace(document, doc_id=f"c{i}") for i, document in enumerate(run.corpus.documents[:7])]
    larger = ChangedRun(run, [*run.corpus.documents, *copies])
    later = scheme.open_further(larger, run.paths.docids(scheme.name)).candidates(np.arange(60, 67))
    before = scheme.open(run).candidates(np.arange(7))
    centroids = np.load(run.paths.docids(scheme.name) / "centroids.npz")
    of_token = dict(zip(centroids["ids"].tolist(), centroids["vectors"], strict=True))

    def far(candidates):
        sums = np.array([[sum(of_token[token] for token in own) for own in rows] for rows in candidates.tolist()])
        return np.square(vectors_of(run, scheme)[:7, None] - sums).sum(axis=-1)

    # equally near tuples may change places
    np.testing.assert_allclose(far(later), far(before), atol=1e-5)


def test_a_changed_collection_is_searched(run):
    changed = open_retriever(run.paths.root).changed([Document("new", "Sort Root", "how to sort root")])
    (hits,) = changed.search(["how to sort root"], 61)
    assert "new" in [hit.doc_id for hit in hits]


@pytest.mark.parametrize(
    ("scheme", "sections", "sentence"),
    [
        (RowCodes(**SIZES, rows=("Dence",)), {}, "no dense or encoder row of the table.*'Dense'"),
        (RowCodes(**SIZES, rows=("GR2S",)), {}, "GR2S, which is no dense or encoder row"),
        (
            RowCodes(**SIZES),
            {"augmentation": AugmentationConfig(generated=1, generator=PlainQueries(beams=2))},
            "--augmentation.generated 0",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(experiment, scheme, sections, sentence, tmp_path):
    docids = DocidConfig(schemes=(scheme,))
    with pytest.raises(UserError, match=sentence):
        check(Run(dataclasses.replace(experiment, docids=docids, **sections), tmp_path))


@pytest.mark.parametrize("names", [["GR2S"], ["GR2S", "BM25"]])
def test_what_chooses_rows_keeps_those_that_docids_are_made_of(experiment, names, tmp_path):
    chosen = experiment.only(names)
    assert [scheme.name for scheme in chosen.docids.schemes] == ["row-codes"]
    assert [row.name for row in chosen.rows] == ["GR2S", "Dense", *names[1:]]
    for changed in (chosen, method_alone(experiment), own_rows(experiment), by_likelihood(experiment)):
        check(Run(changed, tmp_path))


def test_a_row_is_named_once():
    with pytest.raises(UserError, match="name one row or several different"):
        RowCodes(rows=("LSA", "LSA"))


def test_codes_of_the_corpus_s_own_vectors_alone_are_residual_codes(run):
    """The same tuples: vectors that are made unit twice differ by roundings, so equally near ones may change places."""
    own, plain = RowCodes(**SIZES, rows=("LSA",)), ResidualCodes(**SIZES)
    found, expected = (scheme.open(run).candidates(np.arange(60)) for scheme in (own, plain))
    assert [set(map(tuple, rows)) for rows in found.tolist()] == [set(map(tuple, rows)) for rows in expected.tolist()]
    assert np.mean(found[:, 0] == expected[:, 0]) > 0.9
