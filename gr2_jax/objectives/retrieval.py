"""The loss of retrieval training, Eq. 10, as a function of parameters and a batch."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.losses import in_microbatches, indexing_loss, nll_of_statistics, query_likelihood_loss, self_negative_loss
from gr2_jax.models import GR2, PAD_ID, RetrievalOutputs
from gr2_jax.objectives.graded import (
    BY_LISTS,
    RetrievalObjective,
    Texts,
    graded_part,
    others_first,
    rows_read,
    with_documents,
)

Parts = dict[str, Float[Array, ""]]


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
    its column of the logits; `params["penalty"]` [L] are the parameters of a learnable penalty. With `microbatches` the
    model reads a part of the batch at a time while the loss covers all of it, see `gr2_jax.losses.microbatches`.

    Indexing texts of another length may come apart, as document_tokens [D,Td] and document_rows [D]
    (document_docid_tokens [D,T]); E then counts both.

    If the batch has `indexing_grades` [E], the indexing texts with a grade are queries with one docid, in the graded
    loss too; in the likelihood, where such a query has the same term as an indexing text, they are counted once.
    Beside a graded loss on vectors, the parts hold it as `<name>_permuted` with the docids permuted, see
    `gr2_jax.objectives.graded.Graded`.

    If the batch has `negative_rows` [B,H] (-1 = padding), documents mined for self-negative fine-tuning, and perhaps
    `negative_weights` [B,H], they are decoded in the same pass: L_MLE^q covers the K docids alone, the graded loss
    covers all K + H with their judged grades, and `self_negative_weight` times `self_negative_loss` is added to the
    queries' part.
    """
    read = functools.partial(
        _read,
        params=params,
        model=model,
        objective=objective,
        docid_table=docid_table,
        target_columns=target_columns,
    )
    queries, *texts = in_microbatches(read, batch, rng, count=microbatches)
    documents = jax.tree.map(lambda *parts: jnp.concatenate(parts), *texts)
    batch = with_documents(batch)
    count, indexed, own = len(batch["query_tokens"]), len(batch["indexing_rows"]), batch["grades"].shape[1]
    parts = {
        "likelihood_q": query_likelihood_loss(queries.nll[:, :own], batch["grades"], num_grades=num_grades),
        "likelihood_d": indexing_loss(documents.nll[:, 0]),
    }
    total = count * parts["likelihood_q"] + indexed * parts["likelihood_d"]
    if objective.gamma:
        graded = graded_part(queries, documents, batch, objective, num_grades, params.get("penalty"))
        parts[objective.graded] = graded.loss
        if graded.permuted is not None:
            parts[f"{objective.graded}_permuted"] = graded.permuted
        total += objective.gamma * graded.texts * graded.loss
    if "negative_rows" in batch:
        parts["self_negative"] = _self_negative_part(queries.unsmoothed_nll, batch, num_grades)
        total += count * self_negative_weight * parts["self_negative"]
    parts["finite_rows"] = _finite_rows(queries, own)
    return total / (count + indexed), parts


def _finite_rows(queries: Texts, own: int) -> Bool[Array, "B"]:
    """Whether each query and its docids give finite numbers."""
    of_queries = (queries.nll[:, :own], queries.embeddings, queries.docid_embeddings)
    return jnp.stack([jnp.isfinite(x).reshape(len(x), -1).all(axis=1) for x in of_queries]).all(axis=0)


def _read(
    texts: dict[str, Array],
    rng: Array,
    *,
    params: dict,
    model: GR2,
    objective: RetrievalObjective,
    docid_table: Int[Array, "N T"] | None,
    target_columns: Int[Array, "V"],
) -> tuple[Texts, ...]:
    """The queries with their docids, and the indexing texts with theirs, those of another length apart."""
    query_rng, document_rng = jax.random.split(rng)
    docids, indexed = _docids(texts, docid_table)
    exact = "negative_rows" in texts or objective.graded in BY_LISTS
    how = {"params": params, "model": model, "objective": objective, "target_columns": target_columns}
    read = [
        _read_with_docids(texts["query_tokens"], docids, query_rng, exact=exact, **how),
        _read_with_docids(texts["indexing_tokens"], indexed, document_rng, exact=False, **how),
    ]
    if "document_tokens" in texts:
        written = _docids_of_documents(texts, docid_table, "document")
        long_rng = jax.random.fold_in(document_rng, 1)
        read.append(_read_with_docids(texts["document_tokens"], written, long_rng, exact=False, **how))
    return tuple(read)


def _read_with_docids(
    tokens: Int[Array, "b T"],
    docids: Int[Array, "b k Ti"],
    rng: Array,
    *,
    params: dict,
    model: GR2,
    objective: RetrievalObjective,
    target_columns: Int[Array, "V"],
    exact: bool,
) -> Texts:
    # without vectors to compare, the decoder's states, which the likelihood needs anyway
    reader = objective.docid_reader if objective.compares_vectors else "query"

    def outputs(docids: Int[Array, "b k Ti"], params: dict) -> RetrievalOutputs:
        how = {"deterministic": False, "docid_reader": reader, "rngs": {"dropout": rng}}
        return model.apply({"params": params}, tokens, docids, **how)

    read = outputs(docids, params)
    permuted = None
    if objective.compares_vectors and not objective.trains_vectors:
        # what a docid gives depends on the text: read again, without a gradient
        permuted = outputs(others_first(docids), jax.lax.stop_gradient(params)).docid_embeddings
    # not from `read.logits`, which are never computed: they would be the largest array of all
    statistics = model.apply({"params": params}, read.states, target_columns[docids], method="docid_logit_statistics")
    weights = (docids != PAD_ID).astype(jnp.float32)

    def nll(smoothing: float) -> Float[Array, "b k"]:
        return nll_of_statistics(*statistics, weights=weights, label_smoothing=smoothing)

    return Texts(
        nll(objective.label_smoothing),
        read.query_embeddings,
        read.docid_embeddings,
        permuted,
        nll(0.0) if exact else None,
    )


def _docids(texts: dict[str, Array], docid_table) -> tuple[Int[Array, "B K+H T"], Int[Array, "E 1 T"]]:
    """The docids to decode for the queries (padding: no token) and for the documents."""
    rows = rows_read(texts)
    own = texts["docid_tokens"] if "docid_tokens" in texts else _docids_of(docid_table, jnp.maximum(rows, 0))
    return own * (rows >= 0)[..., None], _docids_of_documents(texts, docid_table, "indexing")


def _docids_of_documents(texts: dict[str, Array], docid_table, name: str) -> Int[Array, "E 1 T"]:
    written = f"{name}_docid_tokens"
    return (texts[written] if written in texts else _docids_of(docid_table, texts[f"{name}_rows"]))[:, None]


def _docids_of(docid_table: Int[Array, "N T"], rows: Int[Array, "*b"]) -> Int[Array, "*b T"]:
    """The table may hold them in 16 bits."""
    return docid_table[rows].astype(jnp.int32)


def _self_negative_part(nll: Float[Array, "B K+H"], batch: dict[str, Array], num_grades: int) -> Float[Array, ""]:
    grades, negatives = batch["grades"], batch["negative_rows"] >= 0
    own = grades.shape[1]
    weights = batch.get("negative_weights")
    options = {"num_grades": num_grades, "negative_weights": weights}
    return self_negative_loss(nll[:, :own], grades, nll[:, own:], negatives, **options)
