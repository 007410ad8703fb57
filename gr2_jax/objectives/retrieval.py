"""The loss of retrieval training, Eq. 10, as a function of parameters and a batch."""

import dataclasses
import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.errors import check_above_zero, check_choices, check_least, check_share
from gr2_jax.losses import (
    grade_matrix,
    graded_cross_entropy_loss,
    graded_likelihood_loss,
    in_microbatches,
    indexing_loss,
    label_smoothed_nll,
    lambdarank_loss,
    learnable_penalty,
    mgcc_loss,
    penalty_prior,
    query_likelihood_loss,
    scaled_similarities,
    self_negative_loss,
    supervised_contrastive_loss,
)
from gr2_jax.losses.constraint import Constraint
from gr2_jax.losses.mgcc import Bound
from gr2_jax.losses.pairs import Denominator
from gr2_jax.losses.similarity import Similarity
from gr2_jax.models import GR2, PAD_ID
from gr2_jax.models.gr2 import RetrievalOutputs

Parts = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class RetrievalObjective:
    """Eq. 10: gamma L_MGCC + L_MLE^q + L_MLE^d. gamma = 0 is the paper's likelihood-only variant (MLE).

    graded    L_MGCC ("mgcc") or its replacement: "contrastive", all positives alike; "cross_entropy" (CE), grades as
              labels of one softmax over the docids of the batch; "likelihood", grades as weights of -log P(id|q);
              "lambdarank" (LR)
    penalty .. denominator    MGCC's, see `gr2_jax.losses.mgcc_loss`; "equal" and "off" are the paper's variants -lambda
              and -Max; "learnable" is trained with the model (`gr2_jax.losses.learnable_penalty` and its prior)
    """

    gamma: float = 1.0
    graded: Literal["mgcc", "contrastive", "cross_entropy", "likelihood", "lambdarank"] = "mgcc"
    temperature: float = 0.1
    penalty: Literal["rank", "grade", "equal", "learnable"] = "rank"
    constraint: Constraint = "running_max"
    bound: Bound = "pair"
    bound_gradient: bool = True
    denominator: Denominator = "batch"
    similarity: Similarity = "cosine"
    label_smoothing: float = 0.1

    def __post_init__(self):
        check_choices(self)
        check_least(self, 0, "gamma")
        check_above_zero(self, "temperature")
        check_share(self, "label_smoothing")


class TextOutputs(NamedTuple):
    """What Eq. 10 needs from each text of the batch: a query with its K docids (and H negatives), a document with its
    one docid. `unsmoothed_nll` is None without negatives."""

    query_nll: Float[Array, "B K"]
    document_nll: Float[Array, "E"]
    query_embeddings: Float[Array, "B F"]
    docid_embeddings: Float[Array, "B K+H F"]
    unsmoothed_nll: Float[Array, "B K+H"] | None


def retrieval_loss(
    params: dict,
    batch: dict[str, Array],
    rng: Array,
    *,
    model: GR2,
    objective: RetrievalObjective,
    docid_table: Int[Array, "N T"] | None,
    target_columns: Int[Array, "V"],
    num_grades: int,
    microbatches: int = 1,
    self_negative_weight: float = 1.0,
) -> tuple[Float[Array, ""], Parts]:
    """Eq. 10, each sum divided by the number of texts in the batch, so that only the learning rate sets a step's size.

    `docid_table` holds every document's docid (EOS included, 0-padded), unless the batch has docids of its own,
    `docid_tokens` [B,K,T] and `indexing_docid_tokens` [E,T], in the same form. `target_columns` maps a vocabulary id to
    its column of the logits; `params["penalty"]` [L] are the parameters of a learnable penalty. The query likelihood
    and MGCC use the same decoder states. With `microbatches` the model reads a part of the batch at a time while the
    loss covers all of it, see `gr2_jax.losses.microbatches`.

    If the batch has `negative_rows` [B,H] (-1 = padding), documents mined for self-negative fine-tuning, they are
    decoded in the same pass: L_MLE^q covers the K docids alone, the graded loss covers all K + H with their judged
    grades, and `self_negative_weight` times `self_negative_loss` is added to the queries' part.
    """
    read = functools.partial(
        _read,
        params=params,
        model=model,
        docid_table=docid_table,
        target_columns=target_columns,
        smoothing=objective.label_smoothing,
    )
    texts = in_microbatches(read, batch, rng, count=microbatches)
    query_part = query_likelihood_loss(texts.query_nll, batch["grades"], num_grades=num_grades)
    parts = {"likelihood_q": query_part, "likelihood_d": indexing_loss(texts.document_nll)}
    if objective.gamma:
        parts[objective.graded] = _graded_part(texts, batch, objective, num_grades, params.get("penalty"))
    queries, documents = len(batch["query_tokens"]), len(batch["indexing_tokens"])
    query_part += objective.gamma * parts.get(objective.graded, 0.0)
    if "negative_rows" in batch:
        parts["self_negative"] = _self_negative_part(texts.unsmoothed_nll, batch, num_grades)
        query_part += self_negative_weight * parts["self_negative"]
    parts["finite_rows"] = _finite_rows(texts)
    return (queries * query_part + documents * parts["likelihood_d"]) / (queries + documents), parts


def _finite_rows(texts: TextOutputs) -> Bool[Array, "B"]:
    """Whether each query and its docids give finite numbers."""
    of_queries = (texts.query_nll, texts.query_embeddings, texts.docid_embeddings)
    return jnp.stack([jnp.isfinite(x).reshape(len(x), -1).all(axis=1) for x in of_queries]).all(axis=0)


def _read(
    texts: dict[str, Array], rng: Array, *, params: dict, model: GR2, docid_table, target_columns, smoothing: float
) -> TextOutputs:
    query_rng, document_rng = jax.random.split(rng)
    own = texts["docid_rows"].shape[1]
    docids, indexed = _docids(texts, docid_table)
    queries = _teacher_forced(model, params, texts["query_tokens"], docids, query_rng)
    documents = _teacher_forced(model, params, texts["indexing_tokens"], indexed, document_rng)
    return TextOutputs(
        _sequence_nll(queries.logits[:, :own], docids[:, :own], target_columns, smoothing),
        _sequence_nll(documents.logits, indexed, target_columns, smoothing)[:, 0],
        queries.query_embeddings,
        queries.docid_embeddings,
        _sequence_nll(queries.logits, docids, target_columns, 0.0) if "negative_rows" in texts else None,
    )


def _teacher_forced(model: GR2, params: dict, tokens, docids, rng) -> RetrievalOutputs:
    return model.apply({"params": params}, tokens, docids, deterministic=False, rngs={"dropout": rng})


def _docids(texts: dict[str, Array], docid_table) -> tuple[Int[Array, "B K+H T"], Int[Array, "E 1 T"]]:
    """The docids to decode for the queries (padding: no token) and for the documents."""
    rows = _rows_to_decode(texts)
    if "docid_tokens" in texts:
        return texts["docid_tokens"] * (rows >= 0)[..., None], texts["indexing_docid_tokens"][:, None]
    return docid_table[jnp.maximum(rows, 0)] * (rows >= 0)[..., None], docid_table[texts["indexing_rows"]][:, None]


def _rows_to_decode(texts: dict[str, Array]) -> Int[Array, "B K+H"]:
    """Each query's own docids, then its negatives; -1 = padding."""
    own = jnp.where(texts["grades"] > 0, texts["docid_rows"], -1)
    return jnp.concatenate([own, texts["negative_rows"]], axis=1) if "negative_rows" in texts else own


def _self_negative_part(nll: Float[Array, "B K+H"], batch: dict[str, Array], num_grades: int) -> Float[Array, ""]:
    grades, negatives = batch["grades"], batch["negative_rows"] >= 0
    own = grades.shape[1]
    return self_negative_loss(nll[:, :own], grades, nll[:, own:], negatives, num_grades=num_grades)


def _own_first(docids: Array, own: int) -> Array:
    """[B, K+H, ...] -> [B(K+H), ...], negatives last: `grade_matrix` counts only the first occurrence of a document,
    and for a relevant document that must be one decoded for a query that it is relevant to."""
    return jnp.concatenate([x.reshape(-1, *x.shape[2:]) for x in (docids[:, :own], docids[:, own:])])


def _graded_part(
    texts: TextOutputs,
    batch: dict[str, Array],
    objective: RetrievalObjective,
    num_grades: int,
    penalty_params: Float[Array, "L"] | None,
) -> Float[Array, ""]:
    if objective.graded == "likelihood":
        return graded_likelihood_loss(texts.query_nll, batch["grades"])
    own = batch["grades"].shape[1]
    rows = _own_first(_rows_to_decode(batch), own)
    grades, mask = grade_matrix(rows, batch["judged_rows"], batch["judged_grades"])
    embeddings = texts.query_embeddings, _own_first(texts.docid_embeddings, own)
    scale = {"temperature": objective.temperature, "similarity": objective.similarity}
    if objective.graded == "contrastive":
        return supervised_contrastive_loss(*embeddings, grades > 0, docid_mask=mask, **scale)
    if objective.graded in ("cross_entropy", "lambdarank"):
        loss = graded_cross_entropy_loss if objective.graded == "cross_entropy" else lambdarank_loss
        return loss(scaled_similarities(*embeddings, **scale), grades, docid_mask=mask)
    learnt = objective.penalty == "learnable"
    penalty = learnable_penalty(penalty_params) if learnt else objective.penalty
    loss = mgcc_loss(
        *embeddings,
        grades,
        num_grades=num_grades,
        penalty=penalty,
        constraint=objective.constraint,
        bound=objective.bound,
        bound_gradient=objective.bound_gradient,
        denominator=objective.denominator,
        docid_mask=mask,
        **scale,
    )
    return loss + penalty_prior(penalty) if learnt else loss


def _sequence_nll(logits, targets: Int[Array, "B K T"], target_columns, smoothing: float) -> Float[Array, "B K"]:
    weights = (targets != PAD_ID).astype(jnp.float32)
    return label_smoothed_nll(logits, target_columns[targets], label_smoothing=smoothing, weights=weights)
