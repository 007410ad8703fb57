"""Pseudo-query docids: a model trained on the training pairs writes them, with fusion (paper 4.1) or without."""

import abc
from collections.abc import Callable
from functools import cached_property, partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, Int, Shaped

from gr2_jax.config import Experiment
from gr2_jax.data.batches import PairBatches
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.docids import Writer, Writing, fusion_writer, pack_candidates, query_writer
from gr2_jax.losses import label_smoothed_nll
from gr2_jax.models import EOS_ID, PAD_ID, T5, UNK_ID, Fusion, shift_right
from gr2_jax.pipeline.prepare import load_examples
from gr2_jax.pipeline.schemes.base import Candidates, Scheme
from gr2_jax.pipeline.schemes.radius import choose_radius
from gr2_jax.pipeline.semantics import starting_params, weights_fingerprint
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import Loss, Plan, adam, train
from gr2_jax.training.objectives import fusion_loss, query_generation_loss

_BATCH = 128


class PseudoQueries(Scheme):
    """The settings of `fusion` make the model, its training and the search, with fusion or without: equal budgets."""

    costly = True
    loss: ClassVar[Loss]

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [experiment.fusion, weights_fingerprint(experiment.fusion.model)]

    @abc.abstractmethod
    def initial(self, model: nn.Module, document_tokens, query_tokens) -> dict: ...

    @property
    @abc.abstractmethod
    def model(self) -> nn.Module: ...

    @property
    @abc.abstractmethod
    def writer(self) -> Writer: ...

    @abc.abstractmethod
    def logits(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        """[n, T, V] of each query, token by token, given its document."""

    radius = 0.0

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.write(rows, sample, self.radius)

    def write(self, rows: Int[np.ndarray, "n"], sample: int, radius: float) -> Candidates:
        written = self.writer(self._document_tokens(rows), rows, sample=sample, radius=radius)
        return pack_candidates([self._respelt(candidates) for candidates in written.tolist()])

    def _respelt(self, candidates: list[list[int]]) -> list[list[int]]:
        """The vocabulary's own spelling of generated texts, so that different docids also read differently."""
        texts = [self.tokenizer.decode(token for token in docid if token != PAD_ID) for docid in candidates]
        return self.tokenizer.encode_batch(texts)

    def held_out(self) -> dict[str, float] | None:
        """Negative log-likelihood per token, EOS included, of validation queries given a document of their best grade
        (and no noise), in natural logarithms; queries are cut as in training."""
        rows, queries = self._validation_pairs()
        if not len(rows):
            return None
        nll = in_batches(partial(self._nll, self.params), self._document_tokens(rows), queries)
        per_token = float(nll.sum()) / np.count_nonzero(queries)
        return {"nll_per_token": per_token, "perplexity": float(np.exp(per_token))}

    def _nll(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        weights = (query_tokens != PAD_ID).astype(jnp.float32)
        return label_smoothed_nll(self.logits(params, document_tokens, query_tokens), query_tokens, weights=weights)

    def _validation_pairs(self) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n T"]]:
        """Rows of documents, and the validation queries' tokens."""
        collection, split = self.corpus
        row = {document.doc_id: i for i, document in enumerate(collection.documents)}
        best = [max(collection.qrels[q].items(), key=lambda judged: judged[1])[0] for q in split.validation]
        texts = self.tokenizer.encode_batch([collection.queries[q] for q in split.validation])
        return np.array([row[d] for d in best], np.int64), pad_rows(texts, self._query_length, eos=EOS_ID)

    @cached_property
    def _examples(self):
        return load_examples(self.making.workdir)

    def _document_tokens(self, rows: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n S"]:
        return self._examples["documents"].tokens[rows, : self.making.experiment.fusion.document_length]

    @property
    def _query_length(self) -> int:
        return self.making.experiment.docids.max_length + 1  # and EOS

    @property
    def _writing(self) -> Writing:
        allowed = np.arange(self.model.config.vocab_size) < self.tokenizer.size  # a T5 has rows that no id uses
        allowed[[PAD_ID, UNK_ID, *self.tokenizer.sentinels]] = False  # suffixes are made of sentinels
        return Writing(
            beams=self.making.experiment.fusion.beams,
            max_length=self._query_length,
            allowed=allowed,
            seed=self.making.experiment.seed,
        )

    @cached_property
    def params(self) -> dict:
        """After training, which goes on from its checkpoint."""
        config, seed = self.making.experiment.fusion, self.making.experiment.seed
        batches = PairBatches(
            queries=self._examples["queries"],
            pseudo=self._examples["pseudo"],
            documents=self._examples["documents"],
            pairs=config.pairs,
            document_length=config.document_length,
            query_length=self._query_length,
            eos=EOS_ID,
            seed=seed,
        )
        plan = Plan(
            label=f"{self.making.name} docids",
            loss=partial(type(self).loss, model=self.model, objective=config.objective),
            batches=batches,
            optimiser=adam(**vars(config.optimiser)),
            steps=config.optimiser.steps,
            seed=seed,
            checkpoint_seconds=self.making.experiment.retrieval.checkpoint_seconds,
        )
        first = batches(0)
        params = self.initial(self.model, first["document_tokens"][:1], first["query_tokens"][:1])
        params = starting_params(params, config.model, self.model.config, self.making.workdir)
        checkpoints = self.making.workdir.checkpoints(f"{self.making.name}-{self.making.fingerprint}")
        train(plan, params, checkpoints)
        return restore_params(checkpoints, params)[0]


class PlainQueries(PseudoQueries):
    """Query generation alone, every token of the document attended to: the paper's variant without fusion (-RF)."""

    loss = staticmethod(query_generation_loss)

    @cached_property
    def model(self) -> T5:
        return T5(self.making.experiment.fusion.model.t5(self.tokenizer.size))

    def initial(self, model: T5, document_tokens, query_tokens) -> dict:
        return {"t5": model.init(jax.random.key(self.making.experiment.seed), document_tokens, query_tokens)["params"]}

    def logits(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        return self.model.apply({"params": params["t5"]}, document_tokens, shift_right(query_tokens))

    @cached_property
    def writer(self) -> Writer:
        return query_writer(self.model, self.params, self._writing)


class FusionQueries(PseudoQueries):
    """Pseudo-queries from z = e_d + r of the fusion model (paper 4.1, Eq. 1-3)."""

    loss = staticmethod(fusion_loss)

    @property
    def resamples(self) -> int:
        return self.making.experiment.fusion.resamples if self.radius else 0  # without noise nothing else comes

    @cached_property
    def model(self) -> Fusion:
        config = self.making.experiment.fusion
        return Fusion(config.model.t5(self.tokenizer.size), config.latent)

    def initial(self, model: Fusion, document_tokens, query_tokens) -> dict:
        return model.init(jax.random.key(self.making.experiment.seed), document_tokens, query_tokens)["params"]

    def logits(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        apply = partial(self.model.apply, {"params": params})
        latents = apply(document_tokens, method="encode_documents")
        return apply(shift_right(query_tokens), latents, method="decode")

    def represent(self, docids: Int[np.ndarray, "N T"]) -> Float[np.ndarray, "N D"]:
        """The query encoder's vectors of the docids."""
        tokens = pad_rows([docid[docid != PAD_ID] for docid in docids], docids.shape[1] + 1, eos=EOS_ID)
        return in_batches(partial(self.model.apply, {"params": self.params}, method="encode_queries"), tokens)

    @cached_property
    def writer(self) -> Writer:
        return fusion_writer(self.model, self.params, self._writing, latents=self.making.experiment.fusion.latents)

    @cached_property
    def radius(self) -> float:
        """|r|: the configured one, or, where the config lists several, the one that validation prefers."""
        config = self.making.experiment.fusion
        if not config.radii:
            return config.radius
        return choose_radius(
            config.radii,
            self.write_texts,
            self.corpus,
            seed=self.making.experiment.seed,
            record=self.making.out / "radius.json",
        )

    def write_texts(self, rows: Int[np.ndarray, "n"], radius: float) -> list[str]:
        """The best pseudo-query of each document."""
        return [self.tokenizer.decode(t for t in docid if t) for docid in self.write(rows, 0, radius)[:, 0].tolist()]


def in_batches(function: Callable[..., jax.Array], *arrays: Shaped[np.ndarray, "n ..."]) -> Shaped[np.ndarray, "n ..."]:
    """`function` of the arrays' rows, a batch of one size at a time: one compilation."""
    compiled, count, parts = jax.jit(function), len(arrays[0]), []
    for start in range(0, count, _BATCH):
        rows = np.minimum(np.arange(start, start + _BATCH), count - 1)
        parts.append(np.asarray(compiled(*(array[rows] for array in arrays)))[: count - start])
    return np.concatenate(parts)
