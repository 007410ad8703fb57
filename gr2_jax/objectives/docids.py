"""The losses of docid models: Eq. 3, or its first term alone, as functions of parameters and a batch."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gr2_jax.errors import SettingError, check_above_zero, check_choices, check_least, check_share
from gr2_jax.losses import distinctness_loss, label_smoothed_nll, relevance_loss
from gr2_jax.models import PAD_ID, T5, Fusion, shift_right

Parts = dict[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class FusionObjective:
    """Eq. 3: L_QG + L_AE + alpha L_Rel + beta L_Div, of representations of unit length.

    The defaults follow the paper to the letter. SpaceFusion, from which the paper takes the approach, has likelihoods
    per token, a cap on L_Div and noise in training.

    alpha, beta    weights of relevance (Eq. 1) and of distinctness (Eq. 2)
    temperature    of Eq. 1
    margin         similarity at which Eq. 2 stops to push two documents or two queries apart; None: never
    per_token      likelihoods are means over tokens, not sums over the tokens of a text
    noise          length of a random vector that is added to each representation before it is decoded, as a share of
                   the representation's length
    label_smoothing    share of each token's label that is spread over the vocabulary
    """

    alpha: float = 1.0
    beta: float = 30.0
    temperature: float = 1.0
    margin: float | None = None
    per_token: bool = False
    noise: float = 0.0
    label_smoothing: float = 0.1

    def __post_init__(self):
        check_least(self, 0, "alpha", "beta", "noise")
        check_above_zero(self, "temperature")
        check_share(self, "label_smoothing")
        check_choices(self)
        if self.margin is not None and not -1 <= self.margin <= 1:
            raise SettingError(self, "margin", f"is {self.margin}: a similarity is between -1 and 1")


def fusion_loss(
    params: dict, batch: dict[str, Array], rng: Array, *, model: Fusion, objective: FusionObjective
) -> tuple[Float[Array, ""], Parts]:
    """Eq. 3 over pairs: document_tokens [P, S], query_tokens [P, T] (EOS included), document_rows and, perhaps,
    query_ids [P], so that a document or a query that occurs twice in the batch is not pushed away from itself."""
    outputs = model.apply(
        {"params": params},
        batch["document_tokens"],
        batch["query_tokens"],
        deterministic=False,
        noise=objective.noise,
        rngs={"dropout": rng, "noise": jax.random.fold_in(rng, 1)},
    )
    nll = partial(_written_nll, smoothing=objective.label_smoothing, per_token=objective.per_token)
    ids = {"document_ids": batch["document_rows"], "query_ids": batch.get("query_ids")}
    # unit length: dot products within [-1, 1], so that alpha and beta weigh the same at every width
    radius = model.config.d_model**0.5
    document_reps, query_reps = outputs.document_reps / radius, outputs.query_reps / radius
    parts = {
        "generation": nll(outputs.generation_logits, batch["query_tokens"]),
        "reconstruction": nll(outputs.reconstruction_logits, batch["query_tokens"]),
        "relevance": relevance_loss(document_reps, query_reps, **ids, temperature=objective.temperature),
        "distinctness": distinctness_loss(document_reps, query_reps, **ids, margin=objective.margin),
    }
    total = parts["generation"] + parts["reconstruction"]
    return total + objective.alpha * parts["relevance"] + objective.beta * parts["distinctness"], parts


def query_generation_loss(
    params: dict, batch: dict[str, Array], rng: Array, *, model: T5, label_smoothing: float
) -> tuple[Float[Array, ""], Parts]:
    """L_QG alone, by a T5 (`params["t5"]`) that attends to every token of the document: the paper's variant without
    fusion. It takes the same batch as `fusion_loss`."""
    states_rng, decoder_rng = jax.random.split(rng)

    def apply(method: str, *args, rng):
        return model.apply({"params": params["t5"]}, *args, deterministic=False, rngs={"dropout": rng}, method=method)

    documents, queries = batch["document_tokens"], batch["query_tokens"]
    states = apply("encode", documents, rng=states_rng)
    decoded = apply("decode", shift_right(queries), states, documents != PAD_ID, rng=decoder_rng)
    logits = model.apply({"params": params["t5"]}, decoded, method="logits")
    loss = _written_nll(logits, queries, smoothing=label_smoothing)
    return loss, {"generation": loss}


def _written_nll(
    logits: Float[Array, "P T V"], targets: Int[Array, "P T"], *, smoothing: float, per_token: bool = False
) -> Float[Array, ""]:
    """The mean over texts, or over tokens, of the negative log-likelihood of the tokens without padding."""
    weights = (targets != PAD_ID).astype(jnp.float32)
    texts = label_smoothed_nll(logits, targets, label_smoothing=smoothing, weights=weights)
    return texts.sum() / weights.sum() if per_token else texts.mean()
