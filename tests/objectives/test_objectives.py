"""Both objectives against plain loops over the model's own outputs; what they share, and what no gradient reaches."""

import collections
import dataclasses
import functools
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import plain_objectives as plain
import pytest
from flax import linen as nn

from gr2_jax.models import GR2, T5, Fusion, T5Config
from gr2_jax.objectives.docids import FusionObjective, fusion_loss, query_generation_loss
from gr2_jax.objectives.graded import others_first
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.optimiser import OptimiserConfig, make_optimiser

# Untied: an embedding row then has a gradient only if some text or decoder input of the batch holds its token.
CONFIG = T5Config(
    vocab_size=24,
    d_model=8,
    d_kv=4,
    d_ff=12,
    num_heads=2,
    num_encoder_layers=0,
    num_decoder_layers=1,
    tie_word_embeddings=False,
    dropout_rate=0.0,
)
DOCIDS = (0, 1, 4, 5, 6, 7, 8, 9)  # the tokens docids are made of
TABLE = np.array([[4, 5, 1], [6, 1, 0], [5, 5, 1], [9, 9, 1], [7, 1, 0], [8, 4, 1]])
ONLY_IN_ROW_3 = 9
COLUMNS = np.array([DOCIDS.index(token) if token in DOCIDS else 0 for token in range(24)])
BATCH = {
    "query_tokens": np.array([[10, 11, 12, 1], [13, 14, 1, 0], [15, 1, 0, 0]]),
    # document 2 comes twice; document 5 comes with query 1 and is judged for query 0 too; the third query's second
    # docid is judged not relevant (grade 0), its third is padding
    "docid_rows": np.array([[2, 4, -1], [5, 2, 0], [1, 3, -1]]),
    "grades": np.array([[3, 1, 0], [3, 2, 1], [2, 0, 0]]),
    "judged_rows": np.array([[2, 4, 5, -1], [5, 2, 0, 1], [1, 3, -1, -1]]),
    "judged_grades": np.array([[3, 1, 2, 0], [3, 2, 1, 0], [2, 0, 0, 0]]),
    "indexing_tokens": np.array([[16, 17, 18, 1], [19, 1, 0, 0]]),
    "indexing_rows": np.array([0, 4]),
}
# Mined: document 1 for two queries, before and after the one whose own it is; document 3, judged not relevant for the
# third query, for the second; document 4, the first query's own.
NEGATIVES = {"negative_rows": np.array([[1, 0], [3, 1], [4, -1]])}
OPTIMISER = make_optimiser(OptimiserConfig(steps=300, learning_rate=1e-2, warmup_steps=10, b2=0.98, weight_decay=0.0))
OBJECTIVE = RetrievalObjective(gamma=0.7, temperature=0.3, label_smoothing=0.1)
MODEL = GR2(CONFIG, DOCIDS)


def _loss(objective):
    return functools.partial(
        retrieval_loss,
        model=MODEL,
        objective=objective,
        docid_table=jnp.asarray(TABLE),
        target_columns=jnp.asarray(COLUMNS),
        num_grades=3,
    )


@pytest.fixture(scope="module")
def params(random_params):
    return random_params(MODEL, BATCH["query_tokens"], TABLE[:3, None])


@pytest.fixture(scope="module")
def graded():
    return jax.jit(jax.value_and_grad(_loss(OBJECTIVE), has_aux=True))


def expected_sums(params, batch, reader="encoder"):
    """The sums of Eq. 10, and of self-negative fine-tuning, from teacher-forced outputs."""
    grades, none = batch["grades"], np.zeros((3, 0), int)
    own, negatives = np.where(grades > 0, batch["docid_rows"], -1), batch.get("negative_rows", none)
    rows = np.concatenate([own, negatives], axis=1)
    docids = np.where(rows[..., None] >= 0, TABLE[rows], 0)
    indexed = TABLE[batch["indexing_rows"]][:, None]
    apply = jax.jit(functools.partial(MODEL.apply, {"params": params}, docid_reader=reader))
    queries, documents = apply(batch["query_tokens"], docids), apply(batch["indexing_tokens"], indexed)

    def nll(logits, docids, smoothing=0.1):
        return [
            [plain.sequence_nll(x, tokens, COLUMNS, smoothing) for x, tokens in zip(*row, strict=True)]
            for row in zip(logits, docids, strict=True)
        ]

    augmented = batch.get("indexing_grades", np.zeros(2, int))
    brought = [(rows[b, k], b, queries.docid_embeddings[b, k]) for b, k in np.argwhere(rows[:, :3] >= 0)]
    if "indexing_grades" in batch:
        brought += [(row, 3 + e, documents.docid_embeddings[e, 0]) for e, row in enumerate(batch["indexing_rows"])]
    brought += [(rows[b, 3 + k], b, queries.docid_embeddings[b, 3 + k]) for b, k in np.argwhere(rows[:, 3:] >= 0)]
    # the first occurrence of a document stands for it, a text's own before any negative; to the text that brought it,
    # a docid is what was read with this text
    vectors = []
    for text in range(5):
        seen = {}
        for row, of, vector in brought:
            if row not in seen or of == text:
                seen[row] = np.asarray(vector, np.float64)
        vectors.append(seen)
    judgements = []
    for judged, its_grades in zip(batch["judged_rows"], batch["judged_grades"], strict=True):
        judgements.append({row: grade for row, grade in zip(judged, its_grades, strict=True) if grade > 0})
    judgements += [{row: grade} if grade else {} for row, grade in zip(batch["indexing_rows"], augmented, strict=True)]
    embeddings = np.concatenate([queries.query_embeddings, documents.query_embeddings])
    smoothed, exact = (nll(queries.logits, docids, smoothing) for smoothing in (0.1, 0.0))
    wrong = [
        [x for x, row in zip(xs[3:], mined, strict=True) if row >= 0]
        for xs, mined in zip(exact, negatives, strict=True)
    ]
    lists = [[x for x, row in zip(xs, own, strict=True) if row >= 0] for xs, own in zip(exact, rows, strict=True)]
    return {
        "mgcc": plain.mgcc(embeddings, vectors, judgements, 3, 0.3),
        "likelihood_q": plain.query_likelihood([xs[:3] for xs in smoothed], grades),
        "likelihood_d": sum(x for (x,) in nll(documents.logits, indexed)),
        "self_negative": plain.self_negative([xs[:3] for xs in exact], grades, wrong),
        "lists": lists,
    }


@pytest.fixture(scope="module")
def expected(params):
    return expected_sums(params, BATCH)


def test_retrieval_loss_is_eq_10(params, graded, expected):
    """The paper's sums, over the number of texts in the batch; the parts are means over their own texts."""
    (loss, parts), _ = graded(params, BATCH, jax.random.key(0))
    total = 0.7 * expected["mgcc"] + expected["likelihood_q"] + expected["likelihood_d"]
    np.testing.assert_allclose(loss, total / 5, rtol=1e-5)
    for name, texts in {"mgcc": 3, "likelihood_q": 3, "likelihood_d": 2}.items():
        np.testing.assert_allclose(parts[name], expected[name] / texts, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("reader", ["decoder", "query"])
def test_each_reader_gives_mgcc_its_vectors(params, reader):
    """Vectors that have read a query differ from one occurrence of a docid to the next: each query has its own."""
    objective = dataclasses.replace(OBJECTIVE, docid_reader=reader)
    _, parts = jax.jit(_loss(objective))(params, BATCH | NEGATIVES, jax.random.key(0))
    expected = expected_sums(params, BATCH | NEGATIVES, reader)["mgcc"]
    np.testing.assert_allclose(parts["mgcc"], expected / 3, rtol=1e-5)


@pytest.mark.parametrize("reader", ["encoder", "query"])
def test_augmentation_texts_are_queries_with_one_docid(params, expected, reader):
    """They stay in the likelihood of indexing; in MGCC they are queries, and their docids are docids of the batch."""
    batch = BATCH | {"indexing_grades": np.array([3, 0])}
    sums = expected_sums(params, batch, reader)
    objective = dataclasses.replace(OBJECTIVE, docid_reader=reader)
    loss, parts = jax.jit(_loss(objective))(params, batch, jax.random.key(0))
    np.testing.assert_allclose(parts["mgcc"], sums["mgcc"] / 4, rtol=1e-5)
    total = 0.7 * sums["mgcc"] + expected["likelihood_q"] + expected["likelihood_d"]
    np.testing.assert_allclose(loss, total / 5, rtol=1e-5)


@pytest.mark.parametrize("reader", ["encoder", "decoder", "query"])
def test_the_leak_figure_is_the_loss_on_permuted_docids(params, reader):
    """A docid's place is taken by the first docid of another query; what a query reads of it, it reads anew."""
    batch = BATCH | {"grades": np.array([[3, 1, 0], [3, 0, 0], [2, 0, 0]])}
    objective = dataclasses.replace(OBJECTIVE, docid_reader=reader)
    _, parts = jax.jit(_loss(objective))(params, batch, jax.random.key(0))
    apply = jax.jit(functools.partial(MODEL.apply, {"params": params}, docid_reader=reader))
    queries = apply(BATCH["query_tokens"], np.stack([TABLE[[5, 1]], TABLE[[1, 2]], TABLE[[2, 5]]]))
    read = queries.docid_embeddings
    own = [{2: read[0, 0], 4: read[0, 1]}, {5: read[1, 0]}, {1: read[2, 0]}]
    everything = {row: vector for each in own for row, vector in each.items()}
    judgements = [{2: 3, 4: 1, 5: 2}, {5: 3, 2: 2}, {1: 2}]
    judgements[1] |= {1: 1} if 1 in BATCH["judged_rows"][1][BATCH["judged_grades"][1] > 0] else {}
    sees = [{row: np.asarray(v, np.float64) for row, v in {**everything, **each}.items()} for each in own]
    expected = plain.mgcc(queries.query_embeddings, sees, judgements, 3, 0.3)
    np.testing.assert_allclose(parts["mgcc_permuted"], expected / 3, rtol=1e-5)


def test_a_permuted_docid_is_another_text_s():
    for texts, each in ((2, 3), (3, 2), (5, 1), (4, 4)):
        docids = np.arange(texts * each).reshape(texts, each)
        found = np.asarray(others_first(docids)) // each
        assert not np.any(found == np.arange(texts)[:, None])


def test_a_loss_that_need_not_read_the_docid_is_seen_to_leak(params, tmp_path):
    """Trained to the end on pairs drawn at random. With vectors that have read the query MGCC is nearly as small on
    any docids; with the docid's own it is not."""
    rng = np.random.default_rng(0)
    rows = np.arange(6)[:, None]
    batch = {
        "query_tokens": np.pad(rng.permuted(np.tile(np.arange(10, 24), (6, 1)), axis=1)[:, :3], ((0, 0), (0, 1))),
        "docid_rows": rows,
        "grades": np.full((6, 1), 3),
        "judged_rows": rows,
        "judged_grades": np.full((6, 1), 3),
        "indexing_tokens": BATCH["indexing_tokens"],
        "indexing_rows": BATCH["indexing_rows"],
    }
    ratio = {}
    for reader in ("encoder", "query"):
        objective = dataclasses.replace(OBJECTIVE, gamma=10.0, docid_reader=reader)
        plan = TrainingJob(reader, _loss(objective), lambda step, host, hosts: batch, OPTIMISER, 300, 0)
        parts = train(plan, params, tmp_path / reader)["parts"]
        ratio[reader] = parts["mgcc_permuted"] / parts["mgcc"]
    assert ratio["query"] < 1.5
    assert ratio["encoder"] > 10 * ratio["query"]


def test_listwise_and_margin_compare_a_query_s_own_docids_and_negatives(params):
    batch = BATCH | NEGATIVES
    lists = expected_sums(params, batch)["lists"]
    grades = [[g for g in own if g > 0] for own in BATCH["grades"]]
    grades = [own + [0] * (len(xs) - len(own)) for own, xs in zip(grades, lists, strict=True)]
    for graded, value in {
        "listwise": plain.listwise(lists, [[2.0**g - 1 for g in own] for own in grades]) / 3,
        "margin": plain.margin(lists, grades, 0.5),
    }.items():
        objective = dataclasses.replace(OBJECTIVE, graded=graded, margin=0.5)
        _, parts = jax.jit(_loss(objective))(params, batch, jax.random.key(0))
        np.testing.assert_allclose(parts[graded], value, rtol=1e-5, err_msg=graded)


def test_gamma_0_is_the_likelihoods_alone(params, expected):
    loss, parts = jax.jit(_loss(dataclasses.replace(OBJECTIVE, gamma=0.0)))(params, BATCH, jax.random.key(0))
    np.testing.assert_allclose(loss, (expected["likelihood_q"] + expected["likelihood_d"]) / 5, rtol=1e-5)
    assert set(parts) == {"likelihood_q", "likelihood_d", "finite_rows"}


def test_microbatches_give_the_gradient_of_the_whole_batch(params):
    """Documents of one part are graded for the queries of the other."""

    def twice(x):
        return np.concatenate([x, x[::-1]])

    batch = jax.tree.map(twice, BATCH | NEGATIVES)
    one, two = (
        jax.jit(jax.value_and_grad(functools.partial(_loss(OBJECTIVE), microbatches=count), has_aux=True))
        for count in (1, 2)
    )
    (loss, parts), gradients = one(params, batch, jax.random.key(0))
    (again, parts_again), gradients_again = two(params, batch, jax.random.key(0))
    np.testing.assert_allclose(again, loss, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), parts_again, parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradients_again, gradients)


@pytest.mark.parametrize("graded", ["contrastive", "cross_entropy", "likelihood", "lambdarank"])
def test_another_graded_loss_takes_the_place_of_mgcc(params, expected, graded):
    """Its value is checked with the losses; here, that it takes the place in the sum."""
    objective = dataclasses.replace(OBJECTIVE, graded=graded)
    loss, parts = jax.jit(_loss(objective))(params, BATCH, jax.random.key(0))
    leak = set() if graded == "likelihood" else {f"{graded}_permuted"}
    assert set(parts) == {"likelihood_q", "likelihood_d", graded, "finite_rows"} | leak
    total = 3 * 0.7 * parts[graded] + expected["likelihood_q"] + expected["likelihood_d"]
    np.testing.assert_allclose(loss, total / 5, rtol=1e-5)


def test_negatives_are_decoded_beside_the_query_s_own_docids(params, expected):
    """The likelihood ignores them; MGCC sees them as documents of the batch; and they have a part of their own, by
    unsmoothed likelihoods."""
    sums = expected_sums(params, BATCH | NEGATIVES)
    assert sums["likelihood_q"] == pytest.approx(expected["likelihood_q"], rel=1e-5)
    assert sums["mgcc"] != pytest.approx(expected["mgcc"], rel=1e-3)
    loss, parts = jax.jit(functools.partial(_loss(OBJECTIVE), self_negative_weight=0.3))(
        params, BATCH | NEGATIVES, jax.random.key(0)
    )
    total = 0.7 * sums["mgcc"] + 0.3 * sums["self_negative"] + sums["likelihood_q"] + sums["likelihood_d"]
    np.testing.assert_allclose(loss, total / 5, rtol=1e-5)
    for name in ("mgcc", "likelihood_q", "self_negative"):
        np.testing.assert_allclose(parts[name], sums[name] / 3, rtol=1e-5, err_msg=name)


def test_padding_in_the_place_of_negatives_changes_nothing(params, graded):
    (loss, parts), gradients = graded(params, BATCH, jax.random.key(0))
    padded = BATCH | {"negative_rows": np.full((3, 2), -1)}
    (again, parts_again), gradients_again = graded(params, padded, jax.random.key(0))
    assert parts_again.pop("self_negative") == 0
    np.testing.assert_allclose(again, loss, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), parts_again, parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradients_again, gradients)


def test_docids_may_come_with_the_batch_instead_of_a_table(params, graded):
    """Padding may hold any docid: the rows decide what is padding."""
    own = {
        "docid_tokens": TABLE[np.maximum(BATCH["docid_rows"], 0)],
        "indexing_docid_tokens": TABLE[BATCH["indexing_rows"]],
    }
    without_table = jax.jit(jax.value_and_grad(functools.partial(_loss(OBJECTIVE), docid_table=None), has_aux=True))
    found = without_table(params, BATCH | own, jax.random.key(0))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
        found,
        graded(params, BATCH, jax.random.key(0)),
    )


def test_docids_in_16_bits_are_the_same(params):
    whole, narrow = (
        jax.jit(functools.partial(_loss(OBJECTIVE), docid_table=jnp.asarray(TABLE, kind)))(
            params, BATCH, jax.random.key(0)
        )
        for kind in (jnp.int32, jnp.uint16)
    )
    jax.tree.map(np.testing.assert_array_equal, narrow, whole)


@pytest.mark.parametrize("microbatches", [1, 2])
def test_texts_of_another_length_may_come_apart(params, microbatches):
    batch = jax.tree.map(lambda x: np.concatenate([x, x[::-1]]), BATCH) | {"indexing_grades": np.array([3, 3, 0, 0])}
    apart = {name: rows[:2] if name.startswith("indexing") else rows for name, rows in batch.items()}
    apart["document_tokens"] = np.pad(batch["indexing_tokens"][2:], ((0, 0), (0, 3)))
    apart["document_rows"] = batch["indexing_rows"][2:]
    loss = jax.jit(jax.value_and_grad(functools.partial(_loss(OBJECTIVE), microbatches=microbatches), has_aux=True))
    one, two = (loss(params, each, jax.random.key(0)) for each in (batch, apart))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), two, one)


def test_a_graded_loss_reads_each_docid_once_more(params):
    """Two encoder and two decoder passes, one for the queries and one for indexing, with negatives or without. For the
    vectors the encoder reads each of the two lists of docids, or the decoder alone does; vectors that have read the
    query are the states of the first pass, and the leak figure takes a pass more."""

    def passes(batch, **objective):
        counts = collections.Counter()

        def count(call, args, kwargs, context):
            counts[type(context.module).__name__] += context.method_name == "__call__"
            return call(*args, **kwargs)

        with nn.intercept_methods(count):
            loss = _loss(dataclasses.replace(OBJECTIVE, **objective))
            jax.eval_shape(loss, params, batch, jax.random.key(0))
        return counts["Encoder"], counts["Decoder"]

    assert passes(BATCH, gamma=0.0) == (2, 2)
    assert passes(BATCH) == passes(BATCH | NEGATIVES) == (4, 2)
    assert passes(BATCH, docid_reader="decoder") == (2, 4)
    assert passes(BATCH, docid_reader="query") == (4, 4)


def test_padded_docids_get_no_gradient(params, graded):
    """Their content does not matter either, and a token that occurs only there gets no gradient."""
    (loss, _), gradients = graded(params, BATCH, jax.random.key(0))
    rows = np.where(BATCH["grades"] > 0, BATCH["docid_rows"], 5)
    (other_loss, _), others = graded(params, BATCH | {"docid_rows": rows}, jax.random.key(0))
    assert loss == other_loss
    jax.tree.map(np.testing.assert_array_equal, gradients, others)
    table = np.abs(gradients["t5"]["embedding"]["embedding"]).sum(axis=1)
    assert table[ONLY_IN_ROW_3] == 0
    # decoder inputs of the batch's docids, and their queries' and documents' tokens
    assert np.all(table[[0, 4, 5, 6, 7, 8, *range(10, 20)]] > 0)


PAIRS = {
    "document_tokens": np.array([[4, 8, 15, 16], [9, 2, 1, 0], [4, 8, 15, 16], [7, 12, 1, 0]]),
    "query_tokens": np.array([[8, 15, 1, 0], [2, 9, 11, 1], [4, 16, 1, 0], [12, 1, 0, 0]]),
    "document_rows": np.array([6, 3, 6, 0]),  # one document twice
}
FUSION = Fusion(dataclasses.replace(CONFIG, tie_word_embeddings=True))


@pytest.fixture(scope="module")
def fusion_params(random_params):
    return random_params(FUSION, PAIRS["document_tokens"], PAIRS["query_tokens"], seed=1)


@pytest.fixture(scope="module")
def fusion_parts(fusion_params):
    """The four parts, from the model's outputs."""
    outputs = jax.jit(FUSION.apply)({"params": fusion_params}, PAIRS["document_tokens"], PAIRS["query_tokens"])
    reps = [np.asarray(x, np.float64) for x in (outputs.document_reps, outputs.query_reps)]
    documents, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in reps)

    def nll(logits):
        pairs = zip(logits, PAIRS["query_tokens"], strict=True)
        return sum(plain.sequence_nll(x, tokens, range(24), 0.1) for x, tokens in pairs) / 4

    return {
        "generation": nll(outputs.generation_logits),
        "reconstruction": nll(outputs.reconstruction_logits),
        "relevance": plain.relevance(documents, queries, PAIRS["document_rows"]),
        "distinctness": plain.distinctness(documents, queries, PAIRS["document_rows"]),
    }


@pytest.fixture(scope="module")
def fusion(fusion_params):
    """fusion(alpha, beta) -> (loss, parts), and the gradients of the parts for the parameters."""

    def run(alpha, beta, params):
        literal = {"temperature": 1.0, "margin": None, "per_token": False, "noise": 0.0}
        objective = SimpleNamespace(alpha=alpha, beta=beta, label_smoothing=0.1, **literal)  # traced: one compilation
        loss, parts = fusion_loss(params, PAIRS, jax.random.key(0), model=FUSION, objective=objective)
        return parts, (loss, parts)

    compiled = jax.jit(jax.jacrev(run, argnums=2, has_aux=True))
    return lambda alpha, beta: compiled(alpha, beta, fusion_params)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 3.0), (0.0, 0.0)])
def test_fusion_loss_is_eq_3(fusion, fusion_parts, alpha, beta):
    _, (loss, parts) = fusion(alpha, beta)
    weights = {"generation": 1.0, "reconstruction": 1.0, "relevance": alpha, "distinctness": beta}
    np.testing.assert_allclose(loss, sum(weights[name] * fusion_parts[name] for name in weights), rtol=1e-5)
    for name in weights:
        np.testing.assert_allclose(parts[name], fusion_parts[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_fusion_loss_in_the_units_of_its_source(fusion_params, fusion_parts):
    objective = FusionObjective(alpha=2.0, beta=3.0, temperature=0.1, margin=0.2, per_token=True)
    loss, parts = fusion_loss(fusion_params, PAIRS, jax.random.key(0), model=FUSION, objective=objective)
    outputs = FUSION.apply({"params": fusion_params}, PAIRS["document_tokens"], PAIRS["query_tokens"])
    reps = [np.asarray(x, np.float64) for x in (outputs.document_reps, outputs.query_reps)]
    documents, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in reps)
    tokens = np.count_nonzero(PAIRS["query_tokens"])
    expected = {
        "generation": fusion_parts["generation"] * 4 / tokens,
        "reconstruction": fusion_parts["reconstruction"] * 4 / tokens,
        "relevance": plain.relevance(documents, queries, PAIRS["document_rows"], temperature=0.1),
        "distinctness": plain.distinctness(documents, queries, PAIRS["document_rows"], margin=0.2),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    weights = {"generation": 1, "reconstruction": 1, "relevance": 2, "distinctness": 3}
    np.testing.assert_allclose(loss, sum(weights[name] * expected[name] for name in weights), rtol=1e-5)


def test_noise_in_training_moves_what_is_decoded_and_not_the_regularisers(fusion_params, fusion_parts):
    objective = FusionObjective(noise=0.5)
    parts = [
        fusion_loss(fusion_params, PAIRS, jax.random.key(seed), model=FUSION, objective=objective)[1] for seed in (0, 1)
    ]
    for name in ("relevance", "distinctness"):
        np.testing.assert_allclose([part[name] for part in parts], fusion_parts[name], rtol=1e-5, atol=1e-6)
    for name in ("generation", "reconstruction"):
        values = [float(part[name]) for part in parts]
        assert len({round(value, 4) for value in (*values, float(fusion_parts[name]))}) == 3


def test_which_part_teaches_which_module(fusion):
    """Each likelihood its own encoder and the shared decoder, the regularisers both encoders and no decoder."""
    gradients, _ = fusion(1.0, 30.0)
    taught = {
        part: {name for name, module in modules.items() if any(np.abs(x).max() > 0 for x in jax.tree.leaves(module))}
        for part, modules in gradients.items()
    }
    documents, queries = ({f"{side}_encoder", f"{side}_pooling", "embedding"} for side in ("document", "query"))
    assert taught == {
        "generation": documents | {"decoder"},
        "reconstruction": queries | {"decoder"},
        "relevance": documents | queries,
        "distinctness": documents | queries,
    }


def test_the_fusion_model_learns_to_write_queries(random_params, tmp_path):
    """Overfit on eight pairs with the paper's alpha and beta. A mean below log(2)/8 nats a query leaves no token of any
    query at a probability of a half or less: teacher-forced, the most likely token is always the right one."""
    rng = np.random.default_rng(0)
    distinct = rng.permuted(np.tile(np.arange(2, 24), (8, 1)), axis=1)[:, :4]  # a repeated token is hard to place
    queries = np.pad(distinct, ((0, 0), (0, 1)), constant_values=1)
    batch = {"document_tokens": rng.integers(2, 24, (8, 6)), "query_tokens": queries, "document_rows": np.arange(8)}
    model = Fusion(dataclasses.replace(FUSION.config, d_model=32, d_kv=16, d_ff=64))
    start = random_params(model, batch["document_tokens"], queries)
    loss = functools.partial(fusion_loss, model=model, objective=FusionObjective(label_smoothing=0.0))
    plan = TrainingJob("fusion", loss, lambda step, host, hosts: batch, OPTIMISER, 300, 0)
    parts = train(plan, start, tmp_path)["parts"]
    assert parts["generation"] < math.log(2) / 8
    assert parts["reconstruction"] < math.log(2) / 8
    # the least that eight pairs of unit vectors can have: spread evenly, each query at its document
    np.testing.assert_allclose(parts["distinctness"], -2 / 7 - 1, atol=0.03)


def test_query_generation_is_the_mean_nll_of_queries_given_every_token_of_their_documents(random_params):
    model = T5(CONFIG)
    params = random_params(model, PAIRS["document_tokens"], PAIRS["query_tokens"], seed=2)
    loss, parts = jax.jit(functools.partial(query_generation_loss, model=model, label_smoothing=0.1))(
        {"t5": params}, PAIRS, jax.random.key(0)
    )
    expected = 0.0
    for document, query in zip(PAIRS["document_tokens"], PAIRS["query_tokens"], strict=True):
        inputs = np.concatenate([[0], query[:-1]])
        logits = model.apply({"params": params}, document[None, document > 0], inputs[None])[0]
        expected += plain.sequence_nll(logits, query, range(24), 0.1) / 4
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert parts.keys() == {"generation"}
    assert parts["generation"] == loss
