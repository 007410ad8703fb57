"""Pseudo-queries as docids: a model trained on the training pairs writes them."""

import abc
from functools import cached_property, partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, Int

from gr2_jax.config import Experiment
from gr2_jax.data.batches import PairBatches, cut_inputs
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.docids import Writer, Writing, pack_candidates
from gr2_jax.losses import label_smoothed_nll
from gr2_jax.models import EOS_ID, PAD_ID, UNK_ID
from gr2_jax.pipeline.schemes.base import Candidates, Scheme
from gr2_jax.pipeline.semantics import starting_params
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import Plan, train
from gr2_jax.training.mesh import on_this_host
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.step import Loss

_BATCH = 128


class PseudoQueries(Scheme):
    """The settings of `fusion` make the model, its training and the search, with fusion or without: equal budgets."""

    costly = True
    loss: ClassVar[Loss]
    radius: float = 0.0

    @classmethod
    @abc.abstractmethod
    def training_settings(cls, experiment: Experiment) -> Any:
        """What decides the model."""

    @classmethod
    @abc.abstractmethod
    def writing_settings(cls, experiment: Experiment) -> Any:
        """What besides decides what it writes."""

    @classmethod
    def settings(cls, experiment: Experiment) -> list:
        return [cls.training_settings(experiment), cls.writing_settings(experiment)]

    @property
    @abc.abstractmethod
    def model(self) -> nn.Module: ...

    @abc.abstractmethod
    def initial(self, document_tokens: Int[np.ndarray, "n S"], query_tokens: Int[np.ndarray, "n T"]) -> dict: ...

    @property
    @abc.abstractmethod
    def writer(self) -> Writer: ...

    @abc.abstractmethod
    def logits(self, params: dict, document_tokens, query_tokens) -> Float[jax.Array, "n T V"]:
        """Of each query, token by token, given its document."""

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.write(rows, sample, self.radius)

    def write(self, rows: Int[np.ndarray, "n"], sample: int, radius: float) -> Candidates:
        written = self.writer(self._document_tokens(rows), rows, sample=sample, radius=radius)
        return pack_candidates([self._respelt(candidates) for candidates in written.tolist()])

    def _respelt(self, candidates: list[list[int]]) -> list[list[int]]:
        """The vocabulary's own spelling of generated texts, so that different docids also read differently."""
        tokenizer = self.sources.tokenizer
        return tokenizer.encode_batch([tokenizer.decode(t for t in docid if t != PAD_ID) for docid in candidates])

    def held_out(self) -> dict[str, float] | None:
        """Negative log-likelihood per token, EOS included, of validation queries given a document of their best grade
        (and no noise), in natural logarithms; queries are cut as in training."""
        collection, split = self.sources.corpus
        rows = self.sources.validation_rows
        if not len(rows):
            return None
        texts = self.sources.tokenizer.encode_batch([collection.queries[query] for query in split.validation])
        queries = pad_rows(texts, self._query_length, eos=EOS_ID)
        per_token = float(self._nll(self._document_tokens(rows), queries).sum()) / np.count_nonzero(queries)
        return {"nll_per_token": per_token, "perplexity": float(np.exp(per_token))}

    def _nll(self, documents: Int[np.ndarray, "n S"], queries: Int[np.ndarray, "n T"]) -> Float[np.ndarray, "n"]:
        """In batches of one size: one compilation."""

        @jax.jit
        def nll(params, document_tokens, query_tokens):
            weights = (query_tokens != PAD_ID).astype(jnp.float32)
            return label_smoothed_nll(self.logits(params, document_tokens, query_tokens), query_tokens, weights=weights)

        parts = []
        for start in range(0, len(queries), _BATCH):
            rows = np.minimum(np.arange(start, start + _BATCH), len(queries) - 1)
            parts.append(np.asarray(nll(self.params, documents[rows], queries[rows]))[: len(queries) - start])
        return np.concatenate(parts)

    def _document_tokens(self, rows: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n S"]:
        """As the encoder reads them, in training and in writing."""
        config, documents = self.experiment.fusion, self.sources.examples["documents"]
        return cut_inputs(documents.tokens[rows], config.document_length, config.model.input_end)

    @property
    def _query_length(self) -> int:
        return self.experiment.docids.max_length + 1  # and EOS

    @property
    def writing(self) -> Writing:
        tokenizer = self.sources.tokenizer
        allowed = np.arange(self.model.config.vocab_size) < tokenizer.size  # a T5 has rows that no id uses
        allowed[[PAD_ID, UNK_ID, *tokenizer.sentinels]] = False  # suffixes are made of sentinels
        return Writing(
            beams=self.experiment.fusion.beams,
            max_length=self._query_length,
            allowed=allowed,
            seed=self.experiment.seed,
        )

    def train(self) -> None:
        _ = self.params

    @cached_property
    def params(self) -> dict:
        """After training, which goes on from its checkpoint; on this process's own devices."""
        plan = self._plan()
        first = plan.batches(0)
        params = self.initial(first["document_tokens"][:1], first["query_tokens"][:1])
        workdir = self.sources.workdir
        params = starting_params(params, self.experiment.fusion.model, self.model.config, workdir)
        fingerprint = self.fingerprint_of(self.training_settings(self.experiment))
        checkpoints = workdir.checkpoints(f"docids-{self.name}-{fingerprint}")
        train(plan, params, checkpoints)
        return on_this_host(restore_params(checkpoints, params)[0])

    def _plan(self) -> Plan:
        config, seed, examples = self.experiment.fusion, self.experiment.seed, self.sources.examples
        batches = PairBatches(
            queries=examples["queries"],
            pseudo=examples["pseudo"],
            documents=examples["documents"],
            pairs=config.pairs,
            document_length=config.document_length,
            query_length=self._query_length,
            eos=EOS_ID,
            seed=seed,
            input_end=config.model.input_end,
        )
        return Plan(
            label=f"{self.name} docids",
            loss=partial(type(self).loss, model=self.model, objective=config.objective),
            batches=batches,
            optimiser=make_optimiser(**vars(config.optimiser)),
            steps=config.optimiser.steps,
            seed=seed,
            mesh=self.experiment.mesh,
            loop=self.experiment.loop,
        )
