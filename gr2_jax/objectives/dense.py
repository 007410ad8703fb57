"""The loss of the dense bi-encoder: a softmax over the documents of the batch (InfoNCE), all positives alike."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses import grade_matrix, in_microbatches, supervised_contrastive_loss
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.objectives.graded import with_documents


class DenseOutputs(NamedTuple):
    """The vectors of a batch: queries with their K documents, indexing texts, those of another length apart, with their
    one document."""

    queries: Float[Array, "B D"]
    query_documents: Float[Array, "B K D"]
    texts: tuple[Float[Array, "e D"], ...]
    text_documents: tuple[Float[Array, "e D"], ...]


def dense_loss(
    params: dict,
    batch: dict[str, Array],
    rng: Array,
    *,
    model: BiEncoder,
    document_table: Int[Array, "N S"],
    temperature: float,
    microbatches: int = 1,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Mean over texts t, queries and indexing texts alike, of the mean over t's relevant documents d of the batch of

        -log [ exp(f_t . f_d / temperature) / sum_a exp(f_t . f_a / temperature) ],  a over the batch's documents.

    `gr2_jax.data.batches.GradedBatches` makes the batch. Documents of any grade above 0 for a query are relevant to it,
    even if another text brought them into the batch; an indexing text has one relevant document, its own.
    `document_table` holds the leading tokens of every document of the corpus, 0-padded; a document that the batch names
    twice counts once.
    """
    read = functools.partial(_read, params=params, model=model, document_table=document_table)
    outputs = in_microbatches(read, batch, rng, count=microbatches)
    batch = with_documents(batch)
    rows = jnp.concatenate([_relevant_rows(batch).reshape(-1), batch["indexing_rows"]])
    grades, mask = grade_matrix(rows, *_judgements(batch))
    texts = jnp.concatenate([outputs.queries, *outputs.texts])
    documents = outputs.query_documents.reshape(-1, texts.shape[-1])
    documents = jnp.concatenate([documents, *outputs.text_documents])
    loss = supervised_contrastive_loss(
        texts, documents, grades > 0, temperature=temperature, similarity="dot", docid_mask=mask
    )
    return loss, {"contrastive": loss}


def _read(texts: dict[str, Array], rng: Array, *, params: dict, model: BiEncoder, document_table) -> DenseOutputs:
    apart = ["document"] if "document_tokens" in texts else []
    rngs = iter(jax.random.split(rng, 4 + 2 * len(apart)))

    def encode(tokens: Int[Array, "n S"]) -> Float[Array, "n D"]:
        return model.apply({"params": params}, tokens, deterministic=False, rngs={"dropout": next(rngs)})

    def encode_documents(rows: Int[Array, "n"]) -> Float[Array, "n D"]:
        return encode(document_table[rows].astype(jnp.int32))

    rows = jnp.maximum(_relevant_rows(texts), 0)  # padding reads document 0 and is masked
    own = encode_documents(rows.reshape(-1))
    return DenseOutputs(
        encode(texts["query_tokens"]),
        own.reshape(*rows.shape, -1),
        tuple(encode(texts[f"{name}_tokens"]) for name in ("indexing", *apart)),
        tuple(encode_documents(texts[f"{name}_rows"]) for name in ("indexing", *apart)),
    )


def _relevant_rows(batch: dict[str, Array]) -> Int[Array, "B K"]:
    return jnp.where(batch["grades"] > 0, batch["docid_rows"], -1)


def _judgements(batch: dict[str, Array]) -> tuple[Int[Array, "B+E J"], Int[Array, "B+E J"]]:
    """Rows and grades of every text's relevant documents, -1- and 0-padded."""
    judged, own = batch["judged_rows"], batch["indexing_rows"]
    missing = [(0, 0), (0, judged.shape[1] - 1)]
    rows = jnp.concatenate([judged, jnp.pad(own[:, None], missing, constant_values=-1)])
    grades = jnp.concatenate([batch["judged_grades"], jnp.pad(jnp.ones_like(own)[:, None], missing)])
    return rows, grades
