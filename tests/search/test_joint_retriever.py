"""Joint ranking with a model, against log P + w cosine / tau of every document in float64."""

import dataclasses

import jax
import numpy as np
import pytest

from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.search.docid_vectors import DocidVectors, VectorSettings, quantised
from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import SearchOptions

CONFIG = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_encoder_layers=0, num_decoder_layers=1)
DOCIDS = [(4,), (4, 9), (9, 4, 4), (13, 4), (9,), (13, 13, 13), (4, 9, 13), (13,), (9, 9, 4)]
QUERIES = np.array([[2, 3, 5, 1], [14, 2, 1, 0], [7, 7, 8, 1], [3, 1, 0, 0], [12, 10, 1, 0]], np.int32)
TAU, K = 0.2, 3


@pytest.fixture(scope="module")
def retriever():
    trie = DocidTrie.from_sequences(DOCIDS)
    model = GR2(CONFIG, tuple(trie.tokens.tolist()))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]
    rng, columns = np.random.default_rng(5), np.full(16, -1)
    columns[trie.tokens] = np.arange(len(trie.tokens))
    names = [f"doc{i}" for i in range(len(DOCIDS))]
    return Retriever(
        model=model,
        params=jax.tree.map(lambda x: rng.normal(scale=0.7, size=x.shape).astype(np.float32), shapes),
        trie=trie,
        columns=columns,
        encode=lambda texts: QUERIES[[int(text) for text in texts]],
        doc_ids=names,
        docid_texts=names,
        options=SearchOptions(beams=3, batch=2, nearest=3),
        compares=VectorSettings("encoder", TAU, "cosine"),
    )


@pytest.fixture(scope="module")
def parts(retriever):
    """(log P [Q, N], cosine [Q, N]), float64, of float32 outputs."""
    docids = np.array([[*docid, 1, 0, 0, 0][:4] for docid in DOCIDS])
    outputs = jax.jit(retriever.model.apply)({"params": retriever.params}, QUERIES, np.stack([docids] * len(QUERIES)))
    log_probs = np.asarray(jax.nn.log_softmax(outputs.logits, axis=-1), np.float64)
    likelihoods = np.zeros((len(QUERIES), len(DOCIDS)))
    for q, n, t in np.ndindex(len(QUERIES), *docids.shape):
        if docids[n, t]:
            likelihoods[q, n] += log_probs[q, n, t, [1, 4, 9, 13].index(docids[n, t])]
    queries, vectors = np.float64(outputs.query_embeddings), np.float64(outputs.docid_embeddings[0])
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, vectors)]
    return likelihoods, unit[0] @ unit[1].T


def assert_right(result, parts, weight, smoothing=0.0):
    """Scores and their parts; what is proven has its true rank."""
    likelihoods, cosines = parts
    joint = np.log(np.exp(likelihoods) + smoothing / len(DOCIDS)) + weight * cosines / TAU
    for q, (rows, scores) in enumerate(zip(result.rows, result.scores, strict=True)):
        np.testing.assert_allclose(scores, joint[q, rows], rtol=1e-4)
        np.testing.assert_allclose(result.log_likelihoods[q], likelihoods[q, rows], rtol=1e-4)
        np.testing.assert_allclose(result.similarities[q], cosines[q, rows], rtol=1e-4)
        proven = int(result.proven[q].sum())
        assert rows[:proven].tolist() == np.argsort(-joint[q])[:proven].tolist()


@pytest.mark.parametrize("candidates", ["both", "beams", "nearest"])
@pytest.mark.parametrize("weight", [0.3, 4.0])
def test_each_road_scores_what_it_finds(retriever, parts, candidates, weight):
    result = retriever.with_options(candidates=candidates, weight=weight).search_tokens(QUERIES, K)
    assert_right(result, parts, weight)
    assert result.valid.all()


@pytest.mark.parametrize(
    "options",
    [
        {"exact": "exhaustive"},
        {"exact": "adaptive", "beams": 1, "nearest": 1, "max_beams": 16, "exhaustive_limit": 0},
        {"exact": "adaptive", "beams": 1, "max_beams": 2},
        {"beams": 20, "candidates": "beams"},
        {"nearest": 20, "candidates": "nearest"},
    ],
)
def test_a_whole_road_an_adaptive_and_an_exhaustive_search_are_brute_force(retriever, parts, options):
    result = retriever.with_options(**options).search_tokens(QUERIES, K)
    assert_right(result, parts, 1.0)
    assert result.all_proven.all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"exact": "exhaustive"},
        {"exact": "adaptive", "beams": 1, "nearest": 1, "max_beams": 16, "exhaustive_limit": 0},
        {"beams": 20, "table": "sharded"},
    ],
    ids=str,
)
@pytest.mark.parametrize("smoothing", [1.0, 0.01])
def test_no_docid_is_less_likely_than_the_smoothing_of_one_in_n(retriever, parts, options, smoothing):
    searching = retriever.with_options(smoothing=smoothing, **options)
    result = searching.search_tokens(QUERIES, K)
    assert_right(result, parts, 1.0, smoothing)
    if "exact" in options or "table" in options:
        assert result.all_proven.all()


@pytest.mark.parametrize("chosen", [(0, 2, 5, 8), (3,), (1, 2, 3, 4, 5, 6, 7), ()])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"candidates": "beams"},
        {"candidates": "nearest"},
        {"exact": "exhaustive"},
        {"exact": "adaptive", "beams": 1, "nearest": 1, "max_beams": 16, "exhaustive_limit": 0},
        {"ranking": "likelihood"},
        {"beams": 20, "table": "sharded"},
    ],
    ids=str,
)
def test_only_chosen_documents_are_found_and_proofs_are_about_them(retriever, parts, options, chosen):
    ids = [retriever.doc_ids[row] for row in chosen]
    searching = retriever.with_options(**options)
    everything = searching.search_tokens(QUERIES, K)
    result = searching.only(ids).search_tokens(QUERIES, K)
    likelihoods, cosines = parts
    scores = likelihoods + (0 if "ranking" in options else cosines / TAU)
    for q, rows in enumerate(result.rows):
        found, proven = rows[result.valid[q]].tolist(), int(result.proven[q].sum())
        assert set(found) <= set(chosen)
        best = sorted(chosen, key=lambda row: -scores[q, row])
        assert found[:proven] == best[:proven]
        np.testing.assert_allclose(result.scores[q][: len(found)], scores[q, found], rtol=1e-4)
        if "exact" in options or options.get("beams") == 20:
            assert found == best[:K]
            assert result.all_proven[q]
    again = searching.search_tokens(QUERIES, K)  # the choice is not the retriever's
    np.testing.assert_array_equal(again.rows, everything.rows)


def test_two_choices_share_programs(retriever):
    first = retriever.only(["doc1", "doc2"])
    first.search_tokens(QUERIES, K)
    (name,) = [name for name in first._kept if name[0] == "joint" and name[1] == 3 and name[4] == "both"]
    second = first.only(["doc3", "doc4", "doc5"])
    assert set(second.search_tokens(QUERIES, K).rows.ravel()) <= {-1, 3, 4, 5}
    assert second._kept[name] is first._kept[name]


def test_the_likelihood_alone_ranks_where_asked(retriever, parts):
    best = np.argsort(-parts[0], axis=1)[:, :K]
    for options in ({"ranking": "likelihood"}, {"weight": 0.0}):
        result = retriever.with_options(exact="exhaustive", **options).search_tokens(QUERIES, K)
        np.testing.assert_array_equal(result.rows, best)
        assert result.similarities is None
    untrained = dataclasses.replace(retriever, compares=None).with_options(exact="exhaustive")
    np.testing.assert_array_equal(untrained.search_tokens(QUERIES, K).rows, best)


def test_a_hit_says_both_parts_of_its_score(retriever):
    hits = retriever.with_options(weight=2.0).search(["0", "3"], K)
    for hit in (hit for found in hits for hit in found):
        assert hit.score == pytest.approx(hit.log_likelihood + 2.0 * hit.similarity / TAU, rel=1e-5)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("bfloat16", 0.01), ("int8", 0.01)])
def test_the_table_survives_the_disk_and_each_type_keeps_the_cosines(retriever, parts, tmp_path, dtype, error):
    made = retriever.with_options(vectors=dtype).docid_vectors
    made.save(tmp_path)
    loaded = DocidVectors.load(tmp_path)
    assert isinstance(loaded.values.base, np.memmap) or isinstance(loaded.values, np.memmap)
    assert loaded.values.dtype == made.values.dtype
    np.testing.assert_array_equal(np.float32(loaded.values), np.float32(made.values))
    opened = dataclasses.replace(retriever, vectors=loaded).with_options(exact="exhaustive", vectors=dtype)
    result = opened.search_tokens(QUERIES, len(DOCIDS))
    expected = np.take_along_axis(parts[1], result.rows, axis=1)
    np.testing.assert_allclose(result.similarities, expected, atol=error)
    widths = {"float32": 4 * 8, "bfloat16": 2 * 8, "int8": 8 + 4}
    assert made.nbytes == len(DOCIDS) * widths[dtype]
    assert opened.index_bytes == retriever.trie.nbytes + made.nbytes


def test_rounded_vectors_may_be_longer_than_1_and_the_bound_knows(retriever):
    vectors = np.full((2, 3), 3**-0.5, np.float32)
    assert quantised(vectors, "bfloat16").longest() > 1


def test_other_parameters_make_other_vectors_by_the_compiled_programs(retriever, monkeypatch):
    before = retriever.search_tokens(QUERIES, K)
    for program in ("joint_program", "vector_program"):
        monkeypatch.setattr(f"gr2_jax.search.retriever.{program}", None)  # compiling again would call it
    turned = jax.tree.map(lambda x: -x, retriever.params)
    other = retriever.with_params(turned)
    assert np.abs(other.docid_vectors.values - retriever.docid_vectors.values).max() > 0.1
    assert np.abs(other.search_tokens(QUERIES, K).scores - before.scores).max() > 0.1


def test_a_table_is_not_that_of_other_parameters(retriever):
    turned = jax.tree.map(lambda x: -x, retriever.params)
    opened = dataclasses.replace(retriever, vectors=retriever.docid_vectors)
    found = opened.with_params(turned).docid_vectors
    np.testing.assert_array_equal(found.values, retriever.with_params(turned).docid_vectors.values)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_table_is_saved_alike_made_part_by_part_made_before_or_opened(retriever, tmp_path, dtype):
    options = {"vectors": dtype}
    fresh = dataclasses.replace(retriever).with_options(**options)
    fresh.save_docid_vectors(tmp_path / "parts")
    assert not [name for name in fresh._kept if name[0] == "vectors"]
    assert fresh.docid_vectors.values.dtype.name == dtype
    fresh.save_docid_vectors(tmp_path / "made")
    opened = dataclasses.replace(fresh, vectors=DocidVectors.load(tmp_path / "parts"))
    opened.save_docid_vectors(tmp_path / "opened")
    names = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert "vectors.npy" in names
    for other in ("made", "opened"):
        assert sorted(path.name for path in (tmp_path / other).iterdir()) == names
        assert all((tmp_path / other / name).read_bytes() == (tmp_path / "parts" / name).read_bytes() for name in names)
