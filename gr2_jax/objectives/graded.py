"""The graded part of Eq. 10: MGCC, or the loss that takes its place, on the texts and docids of a batch."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.errors import check_above_zero, check_choices, check_least, check_share
from gr2_jax.losses import (
    exponential_gains,
    grade_matrix,
    graded_cross_entropy_loss,
    graded_likelihood_loss,
    lambdarank_loss,
    learnable_penalty,
    margin_loss,
    mgcc_from_scores,
    own_occurrences,
    penalty_prior,
    scaled_similarities,
)
from gr2_jax.losses.constraint import Constraint
from gr2_jax.losses.mgcc import Bound
from gr2_jax.losses.pairs import Denominator
from gr2_jax.losses.similarity import Similarity
from gr2_jax.models.gr2 import DocidReader

BY_VECTORS = ("mgcc", "contrastive", "cross_entropy", "lambdarank")
"""The graded losses that compare f_q with f_id; the others compare likelihoods."""
BY_LISTS = ("listwise", "margin")
"""Those that compare the likelihoods of a query's own docids and negatives."""


@dataclasses.dataclass(frozen=True)
class RetrievalObjective:
    """Eq. 10: gamma L_MGCC + L_MLE^q + L_MLE^d. gamma = 0 is the paper's likelihood-only variant (MLE).

    gamma     weight of the graded loss
    graded    L_MGCC ("mgcc") or its replacement. On f_q and f_id: "contrastive", all positives alike; "cross_entropy"
              (CE), grades as labels of one softmax over the docids of the batch; "lambdarank" (LR). On likelihoods:
              "likelihood", grades as weights of -log P(id|q); "listwise", one softmax over log P of a query's docids
              and negatives, labelled by gains 2^grade - 1; "margin", a better docid is to be likelier by `margin` (the
              pairwise loss of LTRGR)
    docid_reader    what makes f_id, see `gr2_jax.models.GR2.__call__`: "encoder" or "decoder", which read the docid
              alone; "query", the paper's letter, whose vectors have read the query and cannot rank
    temperature    tau, by which similarities are divided
    penalty        MGCC's weight of a grade, see `gr2_jax.losses.mgcc_loss`: "rank" or "grade"; "equal", the paper's
              variant -lambda; "gain", nDCG's, scaled for each query; "learnable", trained with the model
              (`gr2_jax.losses.learnable_penalty` and its prior)
    constraint     MGCC's order among the losses of grades: "running_max" or "literal"; "off", the paper's variant -Max
    bound          what MGCC's constraint compares: single pair losses or the means of grades
    bound_gradient    whether the gradient of a loss that the constraint raises goes to the pair that raises it
    denominator    which docids MGCC compares a relevant one with: the whole "batch", "negatives" or "lower" grades
    similarity     of f_q and f_id: "cosine", or "dot" as the paper writes
    margin         by how much log P of a better docid is to be larger, for "margin" alone
    label_smoothing    share of each token's label that is spread over the vocabulary, in the likelihoods

    Grades, in penalties, labels and gains alike, are the numbers 1 to L of the different grades judged
    (`gr2_jax.corpus.grade_places`), not the judged grades.
    """

    gamma: float = 1.0
    graded: Literal["mgcc", "contrastive", "cross_entropy", "lambdarank", "likelihood", "listwise", "margin"] = "mgcc"
    docid_reader: DocidReader = "encoder"
    temperature: float = 0.1
    penalty: Literal["rank", "grade", "equal", "gain", "learnable"] = "rank"
    constraint: Constraint = "running_max"
    bound: Bound = "pair"
    bound_gradient: bool = True
    denominator: Denominator = "batch"
    similarity: Similarity = "cosine"
    margin: float = 1.0
    label_smoothing: float = 0.1

    def __post_init__(self):
        check_choices(self)
        check_least(self, 0, "gamma", "margin")
        check_above_zero(self, "temperature")
        check_share(self, "label_smoothing")

    @property
    def compares_vectors(self) -> bool:
        """Whether its graded loss compares f_q with f_id."""
        return self.gamma > 0 and self.graded in BY_VECTORS

    @property
    def trains_vectors(self) -> bool:
        """Whether every docid gets a vector that can be compared with any query's: those of "query" cannot."""
        return self.compares_vectors and self.docid_reader != "query"


class Texts(NamedTuple):
    """Texts of a batch with k docids each, as the model reads them. `permuted` are f_id where the docids have been
    permuted before they are read; None where a docid's vector does not depend on the text that it is read with."""

    nll: Float[Array, "b k"]
    embeddings: Float[Array, "b F"]
    docid_embeddings: Float[Array, "b k F"]
    permuted: Float[Array, "b k F"] | None = None
    unsmoothed_nll: Float[Array, "b k"] | None = None


class Graded(NamedTuple):
    """A graded loss, the number of texts that it is the mean of, and, where it compares vectors, the leak figure: its
    value when the docids are permuted before they are read. A loss that this hardly raises does not read the docids."""

    loss: Float[Array, ""]
    texts: Float[Array, ""] | int
    permuted: Float[Array, ""] | None = None


def graded_part(
    queries: Texts,
    documents: Texts,
    batch: dict[str, Array],
    objective: RetrievalObjective,
    num_grades: int,
    penalty_params: Float[Array, "L"] | None = None,
) -> Graded:
    """`queries` have their K own docids first, then H negatives; rows of padding are -1 in `rows_read`. If the batch
    has `indexing_grades` [E], the documents' texts are queries too, with their one docid of this grade (0: none)."""
    count, own = batch["grades"].shape
    read = rows_read(batch)
    if objective.graded == "likelihood":
        return Graded(graded_likelihood_loss(queries.nll[:, :own], batch["grades"]), count)
    if objective.graded in BY_LISTS:
        return Graded(_on_lists(queries, batch, read, objective), count)

    judged_rows, judged_grades, embeddings = batch["judged_rows"], batch["judged_grades"], queries.embeddings
    docids = [_brought(read[:, :own], queries, slice(own))]
    if "indexing_grades" in batch:
        rows, grades = batch["indexing_rows"][:, None], batch["indexing_grades"][:, None]
        unjudged = [(0, 0), (0, judged_rows.shape[1] - 1)]
        judged_rows = jnp.concatenate([judged_rows, jnp.pad(rows, unjudged, constant_values=-1)])
        judged_grades = jnp.concatenate([judged_grades, jnp.pad(grades, unjudged)])
        embeddings = jnp.concatenate([embeddings, documents.embeddings])
        docids.append(_brought(rows, documents, slice(1), first_text=count))
        count += jnp.sum(batch["indexing_grades"] > 0)
    # negatives last: `grade_matrix` counts the first occurrence of a document, and for a relevant document that must be
    # one which came with a text that it is relevant to
    docids.append(_brought(read[:, own:], queries, slice(own, None)))
    docids = Brought(*(jnp.concatenate(parts) for parts in zip(*docids, strict=True)))
    grades, mask = grade_matrix(docids.rows, judged_rows, judged_grades)

    def value(vectors: Float[Array, "N F"]) -> Float[Array, ""]:
        scale = {"temperature": objective.temperature, "similarity": objective.similarity}
        scores = scaled_similarities(embeddings, vectors, **scale)
        if objective.docid_reader == "query":
            scores = own_occurrences(scores, docids.rows, docids.texts)
        return _on_scores(scores, grades, mask, objective, num_grades, judged_rows.shape[1], penalty_params)

    return Graded(value(docids.vectors), count, jax.lax.stop_gradient(value(docids.permuted)))


class Brought(NamedTuple):
    """The docids that texts brought into the batch, and the text that brought each."""

    rows: Int[Array, "n"]
    vectors: Float[Array, "n F"]
    permuted: Float[Array, "n F"]
    texts: Int[Array, "n"]


def _brought(rows: Int[Array, "b k"], texts: Texts, columns: slice, first_text: int = 0) -> Brought:
    permuted = others_first(texts.docid_embeddings) if texts.permuted is None else texts.permuted
    vectors, permuted = (x[:, columns].reshape(rows.size, x.shape[-1]) for x in (texts.docid_embeddings, permuted))
    return Brought(rows.reshape(-1), vectors, permuted, first_text + jnp.repeat(jnp.arange(len(rows)), rows.shape[1]))


def others_first(docids: Array) -> Array:
    """[b, k, ...] -> in the place of each docid the first one of another text, which is no padding. A batch of one text
    has no other: it keeps its own."""
    texts = len(docids)
    further = 1 + jnp.arange(docids.shape[1]) % max(texts - 1, 1)
    return jnp.asarray(docids)[(jnp.arange(texts)[:, None] + further) % texts, 0]


def with_documents(batch: dict[str, Array]) -> dict[str, Array]:
    """The batch with the rows of `document_rows` among `indexing_rows`, after the others, and no query's."""
    if "document_rows" not in batch:
        return batch
    rows = jnp.concatenate([batch["indexing_rows"], batch["document_rows"]])
    grades = batch.get("indexing_grades")
    none = jnp.zeros_like(batch["document_rows"])
    more = {} if grades is None else {"indexing_grades": jnp.concatenate([grades, none])}
    return batch | {"indexing_rows": rows} | more


def rows_read(batch: dict[str, Array]) -> Int[Array, "B K+H"]:
    """The documents whose docids are read for each query: its own, then its negatives; -1 = padding."""
    own = jnp.where(batch["grades"] > 0, batch["docid_rows"], -1)
    return jnp.concatenate([own, batch["negative_rows"]], axis=1) if "negative_rows" in batch else own


def _on_scores(
    scores: Float[Array, "A N"],
    grades: Int[Array, "A N"],
    mask: Bool[Array, "N"],
    objective: RetrievalObjective,
    num_grades: int,
    most_judged: int,
    penalty_params: Float[Array, "L"] | None,
) -> Float[Array, ""]:
    if objective.graded == "contrastive":
        return mgcc_from_scores(scores, jnp.minimum(grades, 1), num_grades=1, constraint="off", docid_mask=mask)
    if objective.graded == "cross_entropy":
        return graded_cross_entropy_loss(scores, grades, docid_mask=mask)
    if objective.graded == "lambdarank":
        return lambdarank_loss(scores, grades, docid_mask=mask, max_positives=most_judged)
    learnt = objective.penalty == "learnable"
    penalty = learnable_penalty(penalty_params) if learnt else objective.penalty
    loss = mgcc_from_scores(
        scores,
        grades,
        num_grades=num_grades,
        penalty=penalty,
        constraint=objective.constraint,
        bound=objective.bound,
        bound_gradient=objective.bound_gradient,
        denominator=objective.denominator,
        docid_mask=mask,
    )
    return loss + penalty_prior(penalty) if learnt else loss


def _on_lists(queries: Texts, batch: dict[str, Array], read: Array, objective: RetrievalObjective) -> Float[Array, ""]:
    """All documents of a query's list that are not its own have grade 0."""
    width = read.shape[1] - batch["grades"].shape[1]
    grades = jnp.pad(batch["grades"], [(0, 0), (0, width)])
    scores = -queries.unsmoothed_nll
    if objective.graded == "margin":
        return margin_loss(scores, grades, mask=read >= 0, margin=objective.margin)
    gains = exponential_gains(jnp.maximum(grades, 0))
    nothing = jnp.finfo(jnp.float32).min  # a finite log(0)
    return graded_cross_entropy_loss(jnp.where(read >= 0, scores, nothing), gains)
