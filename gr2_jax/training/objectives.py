"""What each stage minimises: Eq. 10 for retrieval, Eq. 3 for docids (or its first term alone), as functions of
parameters and a batch."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.losses import (
    distinctness_loss,
    grade_matrix,
    graded_cross_entropy_loss,
    graded_likelihood_loss,
    indexing_loss,
    label_smoothed_nll,
    lambdarank_loss,
    mgcc_loss,
    query_likelihood_loss,
    relevance_loss,
    scaled_similarities,
    supervised_contrastive_loss,
)
from gr2_jax.models import GR2, PAD_ID, T5, Fusion, shift_right
from gr2_jax.models.gr2 import RetrievalOutputs
from gr2_jax.training.microbatches import in_microbatches

Parts = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class RetrievalObjective:
    """Eq. 10: gamma L_MGCC + L_MLE^q + L_MLE^d. gamma = 0 is the paper's likelihood-only variant (MLE).

    graded    what stands in the place of L_MGCC: "mgcc"; "contrastive", all positives alike; "cross_entropy" (CE),
              grades as labels of one softmax over the docids of the batch; "likelihood", grades as weights of
              -log P(id|q); "lambdarank" (LR)
    penalty, constraint    MGCC's; "equal" and "off" are the paper's variants -lambda and -Max
    """

    gamma: float = 1.0
    graded: Literal["mgcc", "contrastive", "cross_entropy", "likelihood", "lambdarank"] = "mgcc"
    temperature: float = 0.1
    penalty: Literal["rank", "grade", "equal"] = "rank"
    constraint: Literal["running_max", "literal", "off"] = "running_max"
    similarity: Literal["cosine", "dot"] = "cosine"
    label_smoothing: float = 0.1


@dataclasses.dataclass(frozen=True)
class FusionObjective:
    """Eq. 3: L_QG + L_AE + alpha L_Rel + beta L_Div."""

    alpha: float = 1.0
    beta: float = 30.0
    label_smoothing: float = 0.1


class TextOutputs(NamedTuple):
    """What Eq. 10 needs of each text of the batch: a query with its K docids, a document with its one."""

    query_nll: Float[Array, "B K"]
    document_nll: Float[Array, "E"]
    query_embeddings: Float[Array, "B F"]
    docid_embeddings: Float[Array, "B K F"]


def retrieval_loss(
    params: dict,
    batch: dict[str, Array],
    rng: Array,
    *,
    model: GR2,
    objective: RetrievalObjective,
    docid_table: Int[Array, "N T"],
    target_columns: Int[Array, "V"],
    num_grades: int,
    microbatches: int = 1,
) -> tuple[Float[Array, ""], Parts]:
    """Eq. 10, each sum divided by the number of texts in the batch, so that a step's size is a matter of the rate only.

    `docid_table` holds every document's docid (EOS included, 0-padded); `target_columns` maps a vocabulary id to its
    column of the logits. The query likelihood and MGCC use the same decoder states. With `microbatches` the model sees
    a part of the batch at a time and the loss still all of it, see `gr2_jax.training.microbatches`.
    """

    def read(texts: dict[str, Array], rng: Array) -> TextOutputs:
        query_rng, document_rng = jax.random.split(rng)
        docids = docid_table[jnp.maximum(texts["docid_rows"], 0)] * (texts["grades"] > 0)[..., None]
        queries = _teacher_forced(model, params, texts["query_tokens"], docids, query_rng)
        indexed = docid_table[texts["document_rows"]][:, None]
        documents = _teacher_forced(model, params, texts["document_tokens"], indexed, document_rng)
        return TextOutputs(
            _sequence_nll(queries.logits, docids, target_columns, objective.label_smoothing),
            _sequence_nll(documents.logits, indexed, target_columns, objective.label_smoothing)[:, 0],
            queries.query_embeddings,
            queries.docid_embeddings,
        )

    texts = in_microbatches(read, batch, rng, count=microbatches)
    query_part = query_likelihood_loss(texts.query_nll, batch["grades"], num_grades=num_grades)
    parts = {"likelihood_q": query_part, "likelihood_d": indexing_loss(texts.document_nll)}
    if objective.gamma:
        parts[objective.graded] = _graded_part(texts, batch, objective, num_grades)
    queries, documents = len(batch["query_tokens"]), len(batch["document_tokens"])
    query_part += objective.gamma * parts.get(objective.graded, 0.0)
    return (queries * query_part + documents * parts["likelihood_d"]) / (queries + documents), parts


def _teacher_forced(model: GR2, params: dict, tokens, docids, rng) -> RetrievalOutputs:
    return model.apply({"params": params}, tokens, docids, deterministic=False, rngs={"dropout": rng})


def _graded_part(
    texts: TextOutputs, batch: dict[str, Array], objective: RetrievalObjective, num_grades: int
) -> Float[Array, ""]:
    if objective.graded == "likelihood":
        return graded_likelihood_loss(texts.query_nll, batch["grades"])
    rows = jnp.where(batch["grades"] > 0, batch["docid_rows"], -1).reshape(-1)
    grades, mask = grade_matrix(rows, batch["judged_rows"], batch["judged_grades"])
    embeddings = texts.query_embeddings, texts.docid_embeddings.reshape(len(rows), -1)
    scale = {"temperature": objective.temperature, "similarity": objective.similarity}
    if objective.graded == "contrastive":
        return supervised_contrastive_loss(*embeddings, grades > 0, docid_mask=mask, **scale)
    if objective.graded in ("cross_entropy", "lambdarank"):
        loss = graded_cross_entropy_loss if objective.graded == "cross_entropy" else lambdarank_loss
        return loss(scaled_similarities(*embeddings, **scale), grades, docid_mask=mask)
    return mgcc_loss(
        *embeddings,
        grades,
        num_grades=num_grades,
        penalty=objective.penalty,
        constraint=objective.constraint,
        docid_mask=mask,
        **scale,
    )


def fusion_loss(
    params: dict, batch: dict[str, Array], rng: Array, *, model: Fusion, objective: FusionObjective
) -> tuple[Float[Array, ""], Parts]:
    """Eq. 3 over pairs: document_tokens [P, S], query_tokens [P, T] (EOS included) and document_rows [P], so that a
    document which the batch holds twice is not pushed away from itself."""
    outputs = model.apply(
        {"params": params},
        batch["document_tokens"],
        batch["query_tokens"],
        deterministic=False,
        rngs={"dropout": rng},
    )
    rows, smoothing = batch["document_rows"], objective.label_smoothing
    # unit length: dot products within [-1, 1], so that alpha and beta weigh the same at every width
    radius = model.config.d_model**0.5
    document_reps, query_reps = outputs.document_reps / radius, outputs.query_reps / radius
    parts = {
        "generation": _written_nll(outputs.generation_logits, batch["query_tokens"], smoothing),
        "reconstruction": _written_nll(outputs.reconstruction_logits, batch["query_tokens"], smoothing),
        "relevance": relevance_loss(document_reps, query_reps, document_ids=rows),
        "distinctness": distinctness_loss(document_reps, query_reps, document_ids=rows),
    }
    total = parts["generation"] + parts["reconstruction"]
    return total + objective.alpha * parts["relevance"] + objective.beta * parts["distinctness"], parts


def query_generation_loss(
    params: dict, batch: dict[str, Array], rng: Array, *, model: T5, objective: FusionObjective
) -> tuple[Float[Array, ""], Parts]:
    """L_QG alone, by a T5 (`params["t5"]`) that attends to the document's every token: the paper's variant without
    fusion. The batch is that of `fusion_loss`; `alpha` and `beta` have nothing to weigh."""
    states_rng, decoder_rng = jax.random.split(rng)

    def apply(method: str, *args, rng):
        return model.apply({"params": params["t5"]}, *args, deterministic=False, rngs={"dropout": rng}, method=method)

    documents, queries = batch["document_tokens"], batch["query_tokens"]
    states = apply("encode", documents, rng=states_rng)
    decoded = apply("decode", shift_right(queries), states, documents != PAD_ID, rng=decoder_rng)
    logits = model.apply({"params": params["t5"]}, decoded, method="logits")
    loss = _written_nll(logits, queries, objective.label_smoothing)
    return loss, {"generation": loss}


def _written_nll(logits: Float[Array, "P T V"], targets: Int[Array, "P T"], smoothing: float) -> Float[Array, ""]:
    """The mean over texts of the negative log-likelihood of their tokens, padding left out."""
    weights = (targets != PAD_ID).astype(jnp.float32)
    return label_smoothed_nll(logits, targets, label_smoothing=smoothing, weights=weights).mean()


def _sequence_nll(logits, targets: Int[Array, "B K T"], target_columns, smoothing: float) -> Float[Array, "B K"]:
    weights = (targets != PAD_ID).astype(jnp.float32)
    return label_smoothed_nll(logits, target_columns[targets], label_smoothing=smoothing, weights=weights)
