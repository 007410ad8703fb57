"""Pseudo-queries as docids: a model trained on the training pairs writes them."""

import abc
import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, Int

from gr2_jax.data.batches import PairBatches, cut_inputs
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.docids import Writer, Writing, pack_candidates
from gr2_jax.errors import check_least, check_share
from gr2_jax.experiment import ModelConfig, OptimiserConfig, Scheme
from gr2_jax.experiment.scheme import Candidates
from gr2_jax.hosts import is_first, of_first, wait_for_all
from gr2_jax.losses import label_smoothed_nll
from gr2_jax.models import EOS_ID, PAD_ID, UNK_ID
from gr2_jax.pipeline.initial_weights import starting_params
from gr2_jax.pipeline.lending import borrow
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import scheme_fingerprint
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.training.checkpoints import checkpoint_steps, restore_params
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.mesh import on_this_host
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.step import Loss

_BATCH = 128
_SHORTEST = 8  # tokens that the shortest queries are padded to; others to a power of two


@dataclasses.dataclass(frozen=True)
class PseudoQueries(Scheme):
    """The model that writes, its training, and the search for what it writes.

    pairs            documents with a query, per batch
    pseudo_share     share of them whose query is a text of the augmentation; the rest have training queries
    document_length  tokens that the model reads of a document
    beams            candidates that the search keeps
    mu               candidates are ranked by log P(q|d) - mu log P(q), where P(q) is how likely the model finds the
                     query for an empty document: the larger, the fewer docids that would suit any document. 0, the
                     paper's: by the likelihood of the search
    max_length       tokens of a query at most, its end not counted; None: `docids.max_length`
    """

    model: ModelConfig = ModelConfig(num_encoder_layers=1)
    optimiser: OptimiserConfig = OptimiserConfig(steps=200)
    pairs: int = 128
    pseudo_share: float = 0.5
    document_length: int = 64
    beams: int = 8
    mu: float = 0.0
    max_length: int | None = None

    def __post_init__(self):
        super().__post_init__()
        given = ["max_length"] if self.max_length is not None else []
        check_least(self, 1, "pairs", "document_length", "beams", *given)
        check_least(self, 0, "mu")
        check_share(self, "pseudo_share")

    @property
    def costly(self) -> bool:
        return True

    def settings(self) -> list:
        return [self.training_settings(), self.writing_settings(), *self.ranking_settings()]

    @abc.abstractmethod
    def training_settings(self) -> list:
        """What decides the model."""

    @abc.abstractmethod
    def writing_settings(self) -> list:
        """What, beside the model, decides what it writes."""

    def ranking_settings(self) -> list:
        """What, beside these, decides the order of what it writes: nothing where that is as it was before mu."""
        return [self.mu] if self.mu else []

    @abc.abstractmethod
    def network(self, vocab_size: int) -> nn.Module: ...

    @abc.abstractmethod
    def loss(self, network: nn.Module) -> Loss: ...

    @abc.abstractmethod
    def initial(self, network: nn.Module, seed: int, documents: np.ndarray, queries: np.ndarray) -> dict:
        """Random parameters, for tokens of these shapes."""

    @abc.abstractmethod
    def logits(self, network: nn.Module, params: dict, documents, queries) -> Float[jax.Array, "n T V"]:
        """Of each query, token by token, given its document."""

    @abc.abstractmethod
    def writer(self, network: nn.Module, params: dict, writing: Writing) -> Writer: ...

    def open(self, run: Run) -> "OpenQueries":
        return self.opened(run, *self._trained(run))

    def open_further(self, run: Run, made: Path) -> "OpenQueries":
        """With the trained model, which is restored; none is trained here."""
        network, checkpoints = self.network(run.tokenizer.size), self._checkpoints(run)
        documents, queries = (np.ones((1, n), np.int32) for n in (self.document_length, self.query_length(run)))
        shapes = jax.eval_shape(lambda: self.initial(network, run.experiment.seed, documents, queries))
        params, _ = restore_params(checkpoints, shapes, self.optimiser.steps)
        return self.opened(run, network, on_this_host(params), made)

    def opened(self, run: Run, network: nn.Module, params: dict, made: Path | None = None) -> "OpenQueries":
        """With a trained network; for documents that came after the docids in the folder `made`."""
        return OpenQueries(self, run, network, params)

    def _checkpoints(self, run: Run) -> Path:
        return run.paths.checkpoints(f"docids-{self.name}", self.training_fingerprint(run))

    def query_length(self, run: Run) -> int:
        """Tokens of a query at most, EOS included."""
        return (run.experiment.docids.max_length if self.max_length is None else self.max_length) + 1

    def training_fingerprint(self, run: Run) -> str:
        """The fingerprint of everything that decides the model."""
        upstream = [run.examples_fingerprint, run.experiment.seed, self.query_length(run)]
        return fingerprint_of([upstream, type(self).__name__, self.name, self.training_settings()])

    def train(self, run: Run) -> None:
        """Trains the model unless it is there: docids may be another run's, which were taken over without it."""
        if not of_first(self.optimiser.steps in checkpoint_steps(self._checkpoints(run))):
            self._trained(run)

    def _trained(self, run: Run) -> tuple[nn.Module, dict]:
        """The network and its parameters after training, which continues from its checkpoint; on this process's own
        devices."""
        network = self.network(run.tokenizer.size)
        job = self._job(run, network)
        first = job.batches(0)
        documents, queries = first["document_tokens"][:1], first["query_tokens"][:1]
        params = self.initial(network, run.experiment.seed, documents, queries)
        params = starting_params(params, self.model, network.config, run)
        checkpoints = self._checkpoints(run)
        if is_first():
            borrow(checkpoints, lambda lent: job.steps in checkpoint_steps(lent))
        wait_for_all(f"{self.name} taken over")
        train(job, params, checkpoints)
        return network, on_this_host(restore_params(checkpoints, params)[0])

    def _job(self, run: Run, network: nn.Module) -> TrainingJob:
        batches = PairBatches(
            queries=run.examples["queries"],
            pseudo=run.examples["pseudo"],
            documents=run.examples["documents"],
            pairs=self.pairs,
            augmented=round(self.pairs * self.pseudo_share),
            document_length=self.document_length,
            query_length=self.query_length(run),
            eos=EOS_ID,
            seed=run.experiment.seed,
            input_end=self.model.input_end,
        )
        return TrainingJob(
            label=f"{self.name} docids",
            loss=self.loss(network),
            batches=batches,
            optimiser=make_optimiser(self.optimiser),
            steps=self.optimiser.steps,
            seed=run.experiment.seed,
            mesh=run.experiment.mesh,
            loop=run.experiment.loop,
        )


class OpenQueries:
    """A trained `PseudoQueries`, as `gr2_jax.experiment.scheme.OpenScheme`."""

    resamples = 0
    reads_as_text = True
    blocks = None
    radius = 0.0
    """|r| of the noise around a document's representation."""

    def __init__(self, scheme: PseudoQueries, run: Run, network: nn.Module, params: dict):
        self.scheme, self.run, self.network, self.params = scheme, run, network, params

    @property
    def fingerprint(self) -> str:
        return scheme_fingerprint(self.run, self.scheme)

    def candidates(self, rows: Int[np.ndarray, "n"], sample: int = 0) -> Candidates:
        return self.write(rows, sample, self.radius)

    def write(self, rows: Int[np.ndarray, "n"], sample: int, radius: float) -> Candidates:
        documents = self._document_tokens(rows)
        written = self._writer(documents, rows, sample=sample, radius=radius)
        lists = [self._that_fit(self._respelt(candidates)) for candidates in written.tolist()]
        return pack_candidates(self._ranked(documents, lists) if self.scheme.mu else lists)

    def write_extras(self, out: Path) -> None:
        """Nothing is kept."""

    def held_out(self) -> dict[str, float] | None:
        """Negative log-likelihood per token, EOS included, of validation queries given a document of their best grade
        (and no noise), in natural logarithms; queries are cut as in training."""
        rows = self.run.validation_rows
        if not len(rows):
            return None
        queries = self._query_tokens(list(self.run.queries("validation").values()))
        per_token = float(self._nll(self._document_tokens(rows), queries).sum()) / np.count_nonzero(queries)
        return {"nll_per_token": per_token, "perplexity": float(np.exp(per_token))}

    def log_likelihoods(self, query: str, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """log P(query | document) of the documents `rows`, one or more, in natural logarithms: the sum over the query's
        tokens, EOS included, without noise; query and documents are cut as in training."""
        tokens = self._query_tokens([query])
        width = _SHORTEST
        while width < np.count_nonzero(tokens):  # a short query does not pay for the longest, and widths are few
            width *= 2
        queries = np.repeat(tokens[:, :width], len(rows), axis=0)
        return -self._nll(self._document_tokens(rows), queries)

    @cached_property
    def _writer(self) -> Writer:
        tokenizer = self.run.tokenizer
        allowed = np.arange(self.network.config.vocab_size) < tokenizer.size  # a T5 has rows that no id uses
        allowed[[PAD_ID, UNK_ID, *tokenizer.sentinels]] = False  # suffixes are made of sentinels
        writing = Writing(
            beams=self.scheme.beams,
            max_length=self.scheme.query_length(self.run),
            allowed=allowed,
            seed=self.run.experiment.seed,
        )
        return self.scheme.writer(self.network, self.params, writing)

    def _respelt(self, candidates: list[list[int]]) -> list[list[int]]:
        """The vocabulary's own spelling of generated texts, so that different docids also read differently."""
        tokenizer = self.run.tokenizer
        return tokenizer.encode_batch([tokenizer.decode(t for t in docid if t != PAD_ID) for docid in candidates])

    def _that_fit(self, docids: list[list[int]]) -> list[list[int]]:
        """The docids that need no cutting, or all where there is none."""
        return [docid for docid in docids if len(docid) <= self.run.experiment.docids.max_length] or docids

    def _ranked(self, documents: Int[np.ndarray, "n S"], lists: list[list[list[int]]]) -> list[list[list[int]]]:
        """Each document's candidates by log P(q|d) - mu log P(q), the best first, and empty ones last."""
        owner = np.repeat(np.arange(len(lists)), [len(candidates) for candidates in lists])
        every = [docid for candidates in lists for docid in candidates]
        queries = pad_rows(every, self.scheme.query_length(self.run), eos=EOS_ID)
        nothing = cut_inputs(np.zeros((1, 1), np.int32), self.scheme.document_length, EOS_ID)
        alike = self.scheme.mu * self._nll(np.broadcast_to(nothing, (len(every), nothing.shape[1])), queries)
        scores = np.where([bool(docid) for docid in every], alike - self._nll(documents[owner], queries), -np.inf)
        ranked = [every[i] for i in np.lexsort((-scores, owner))]
        ends = np.cumsum([len(candidates) for candidates in lists])
        return [ranked[end - len(candidates) : end] for candidates, end in zip(lists, ends, strict=True)]

    def _nll(self, documents: Int[np.ndarray, "n S"], queries: Int[np.ndarray, "n T"]) -> Float[np.ndarray, "n"]:
        """In batches of one size: one compilation."""
        parts = []
        for start in range(0, len(queries), _BATCH):
            rows = np.minimum(np.arange(start, start + _BATCH), len(queries) - 1)
            found = self._nll_of_batch(self.params, documents[rows], queries[rows])
            parts.append(np.asarray(found)[: len(queries) - start])
        return np.concatenate(parts)

    @cached_property
    def _nll_of_batch(self) -> Callable[..., Float[jax.Array, "n"]]:
        def nll(params, document_tokens, query_tokens):
            weights = (query_tokens != PAD_ID).astype(jnp.float32)
            logits = self.scheme.logits(self.network, params, document_tokens, query_tokens)
            return label_smoothed_nll(logits, query_tokens, weights=weights)

        return jax.jit(nll)

    def _query_tokens(self, texts: list[str]) -> Int[np.ndarray, "n T"]:
        return pad_rows(self.run.tokenizer.encode_batch(texts), self.scheme.query_length(self.run), eos=EOS_ID)

    def _document_tokens(self, rows: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n S"]:
        """As the encoder reads them, in training and in writing."""
        tokens = self.run.document_tokens[rows]
        return cut_inputs(tokens, self.scheme.document_length, self.scheme.model.input_end)
