"""The dense objective against a plain loop over the encoder's own vectors."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import T5Config
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.objectives.dense import dense_loss

CONFIG = T5Config(
    vocab_size=24, d_model=6, d_kv=3, d_ff=8, num_heads=2, num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.0
)
MODEL, TEMPERATURE = BiEncoder(CONFIG), 0.3
TABLE = np.array([[2, 3, 0], [4, 5, 6], [7, 0, 0], [8, 9, 0], [10, 11, 12], [13, 2, 5]], np.int32)
BATCH = {
    "query_tokens": np.array([[14, 15, 0], [16, 0, 0]]),
    # document 2 is both queries', document 1 is judged for the first and brought by an indexing text; the second
    # query's document 3 is judged not relevant, and so not in the batch
    "docid_rows": np.array([[2, 4], [2, 3]]),
    "grades": np.array([[3, 1], [1, 0]]),
    "judged_rows": np.array([[2, 4, 1], [2, 3, -1]]),
    "judged_grades": np.array([[3, 1, 2], [1, 0, 0]]),
    "indexing_tokens": np.array([[17, 18, 0], [19, 20, 21], [22, 0, 0], [23, 2, 3]]),
    "indexing_rows": np.array([1, 0, 1, 5]),
}
IN_BATCH = (0, 1, 2, 4, 5)
RELEVANT = ((1, 2, 4), (2,), (1,), (0,), (1,), (5,))  # of the queries, then of the indexing texts


@pytest.fixture(scope="module")
def params(random_params):
    return random_params(MODEL, BATCH["query_tokens"])


@functools.partial(jax.jit, static_argnums=1)
def _value_and_gradient(params, microbatches):
    def loss(params):
        table, batch = jax.tree.map(jnp.asarray, (TABLE, BATCH))
        options = {"document_table": table, "temperature": TEMPERATURE, "microbatches": microbatches}
        return dense_loss(params, batch, jax.random.key(0), model=MODEL, **options)

    return jax.value_and_grad(loss, has_aux=True)(params)


def _by_hand(vectors, texts):
    total = 0.0
    for text, relevant in zip(texts, RELEVANT, strict=True):
        scores = {row: sum(a * b for a, b in zip(text, vectors[row], strict=True)) / TEMPERATURE for row in IN_BATCH}
        log_sum = math.log(sum(math.exp(score) for score in scores.values()))
        total += sum(log_sum - scores[row] for row in relevant) / len(relevant)
    return total / len(texts)


def test_the_loss_is_the_mean_over_texts_of_their_documents_cross_entropy(params):
    (loss, parts), _ = _value_and_gradient(params, 1)
    encode = functools.partial(MODEL.apply, {"params": params})
    texts = np.concatenate([encode(BATCH["query_tokens"]), encode(BATCH["indexing_tokens"])]).astype(np.float64)
    vectors = np.asarray(encode(TABLE), np.float64)
    np.testing.assert_allclose(loss, _by_hand(vectors, texts), rtol=1e-5)
    assert parts["contrastive"] == loss


def test_documents_outside_the_batch_have_no_part(params):
    gradient = _value_and_gradient(params, 1)[1]["embedding"]["embedding"]
    touched = {token for token in range(24) if np.any(gradient[token])}
    of_document_3 = {8, 9}
    assert touched == set(range(2, 24)) - of_document_3


def test_microbatches_change_neither_value_nor_gradient(params):
    (whole, _), gradient = _value_and_gradient(params, 1)
    (parts, _), again = _value_and_gradient(params, 2)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), again, gradient)


def test_documents_in_16_bits_are_the_same(params):
    table = jnp.asarray(TABLE, jnp.uint16)
    loss, _ = dense_loss(params, BATCH, jax.random.key(0), model=MODEL, document_table=table, temperature=TEMPERATURE)
    np.testing.assert_allclose(loss, _value_and_gradient(params, 1)[0][0], rtol=1e-6)


def test_texts_of_another_length_may_come_apart(params):
    apart = {name: rows[:1] if name.startswith("indexing") else rows for name, rows in BATCH.items()}
    apart |= {"document_tokens": np.pad(BATCH["indexing_tokens"][1:], ((0, 0), (0, 2)))}
    apart |= {"document_rows": BATCH["indexing_rows"][1:]}
    (whole, _), _ = _value_and_gradient(params, 1)
    loss, _ = dense_loss(
        params, apart, jax.random.key(0), model=MODEL, document_table=jnp.asarray(TABLE), temperature=TEMPERATURE
    )
    np.testing.assert_allclose(loss, whole, rtol=1e-5)
