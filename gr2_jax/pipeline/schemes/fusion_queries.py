"""Pseudo-queries from z = e_d + r of the fusion model (paper 4.1, Eq. 1-3)."""

import dataclasses
from functools import cached_property, partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.docids import Writer, fusion_writer
from gr2_jax.models import Fusion, shift_right
from gr2_jax.pipeline.schemes.generated import PseudoQueries
from gr2_jax.pipeline.schemes.radius import Choice, choose_radius
from gr2_jax.pipeline.semantics import weights_fingerprint
from gr2_jax.training.docid_objectives import fusion_loss
from gr2_jax.workdir import digest, write_json

_WRITING = ("radius", "radii", "beams", "latents", "resamples")


class FusionQueries(PseudoQueries):
    loss = staticmethod(fusion_loss)

    @classmethod
    def training_settings(cls, experiment: Experiment) -> list:
        settings = dataclasses.asdict(experiment.fusion)
        kept = {name: value for name, value in settings.items() if name not in _WRITING}
        return [kept, weights_fingerprint(experiment.fusion.model)]

    @classmethod
    def writing_settings(cls, experiment: Experiment) -> list:
        return [getattr(experiment.fusion, name) for name in _WRITING]

    @property
    def candidates_fingerprint(self) -> str:
        return digest([self.fingerprint, self.radius])

    @property
    def resamples(self) -> int:
        return self.experiment.fusion.resamples if self.radius else 0  # without noise nothing else comes

    @cached_property
    def model(self) -> Fusion:
        config = self.experiment.fusion
        return Fusion(config.model.t5(self.sources.tokenizer.size), config.latent)

    def initial(self, document_tokens, query_tokens) -> dict:
        return self.model.init(jax.random.key(self.experiment.seed), document_tokens, query_tokens)["params"]

    def logits(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        apply = partial(self.model.apply, {"params": params})
        latents = apply(document_tokens, method="encode_documents")
        return apply(shift_right(query_tokens), latents, method="decode")

    @cached_property
    def writer(self) -> Writer:
        return fusion_writer(self.model, self.params, self.writing, latents=self.experiment.fusion.latents)

    @cached_property
    def _choice(self) -> Choice | None:
        config = self.experiment.fusion
        if not config.radii:
            return None
        return choose_radius(
            config.radii,
            self._best_queries,
            self.sources.corpus[0].documents,
            self.sources.validation_rows,
            seed=self.experiment.seed,
        )

    @property
    def radius(self) -> float:
        """|r|: the configured one, or, where the config lists several, the one that validation prefers."""
        return self.experiment.fusion.radius if self._choice is None else self._choice.radius

    def _best_queries(self, rows: Int[np.ndarray, "n"], radius: float) -> list[str]:
        decode = self.sources.tokenizer.decode
        return [decode(token for token in docid if token) for docid in self.write(rows, 0, radius)[:, 0].tolist()]

    def leave(self, out: Path) -> None:
        if self._choice is not None:
            write_json(out / "radius.json", self._choice)
