"""Pseudo-queries from z = e_d + r of the fusion model (paper 4.1, Eq. 1-3)."""

import dataclasses
import math
from functools import cached_property, partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from gr2_jax.docids import Writer, Writing, fusion_writer
from gr2_jax.errors import SettingError, check_choices, check_least
from gr2_jax.experiment import FusionObjective
from gr2_jax.files import read_json, write_json
from gr2_jax.models import Fusion, shift_right
from gr2_jax.models.fusion import Latent
from gr2_jax.objectives.docids import fusion_loss
from gr2_jax.pipeline.initial_weights import weights_fingerprint
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.pseudo_queries import OpenQueries, PseudoQueries
from gr2_jax.pipeline.schemes.radius import Choice, choose_radius
from gr2_jax.pipeline.stage import fingerprint_of, reading_stage
from gr2_jax.training.step import Loss

_CHOICE = "radius.json"
_WRITING = ("name", "max_length", "radius", "radii", "relative", "beams", "latents", "resamples")


@dataclasses.dataclass(frozen=True)
class FusionQueries(PseudoQueries):
    """The docid model of the paper: query generation and an autoencoder with one decoder.

    latent     how a representation enters the decoder, see `gr2_jax.models.fusion`
    radius     |r|, where `radii` are not given
    radii      of these |r| is the one that validation prefers, see `gr2_jax.pipeline.schemes.radius`
    relative   whether radii are shares of a representation's length, sqrt(d_model), rather than lengths
    latents    points z of the sphere per document whose candidates, `beams` each, make up its list
    resamples  further points, for documents whose candidates are all taken
    """

    name: str = "fusion"
    latent: Latent = "memory"
    objective: FusionObjective = FusionObjective()
    radius: float = 2.0
    radii: tuple[float, ...] = ()
    relative: bool = False
    latents: int = 1
    resamples: int = 2

    def __post_init__(self):
        super().__post_init__()
        check_choices(self)
        check_least(self, 0, "radius", "resamples")
        check_least(self, 1, "latents")
        if not isinstance(self.radii, tuple) or not all(0 <= radius < math.inf for radius in self.radii):
            raise SettingError(self, "radii", f"is {self.radii}: give a tuple of radii of at least 0")

    def check(self, run: Run) -> None:
        if self.model.weights is not None and not self.model.t5(1).tie_word_embeddings:
            raise SettingError(
                self, "model", f"starts from {self.model.weights}: it must be a T5 with tied embeddings (1.0)"
            )

    def training_settings(self) -> list:
        others = (*_WRITING, "mu")
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in others}
        return [fields, weights_fingerprint(self.model)]

    def writing_settings(self) -> list:
        return [getattr(self, name) for name in _WRITING]

    def network(self, vocab_size: int) -> Fusion:
        return Fusion(self.model.t5(vocab_size), self.latent)

    def loss(self, network: Fusion) -> Loss:
        return partial(fusion_loss, model=network, objective=self.objective)

    def initial(self, network: Fusion, seed: int, documents, queries) -> dict:
        return network.init(jax.random.key(seed), documents, queries)["params"]

    def logits(self, network: Fusion, params: dict, documents, queries) -> jax.Array:
        apply = partial(network.apply, {"params": params})
        document = apply(documents, method="read_documents")
        return apply(shift_right(queries), document.reps, read=document.tokens, method="decode")

    def writer(self, network: Fusion, params: dict, writing: Writing) -> Writer:
        unit = network.config.d_model**0.5 if self.relative else 1.0
        return fusion_writer(network, params, writing, latents=self.latents, unit=unit)

    def opened(self, run: Run, network: Fusion, params: dict, made: Path | None = None) -> "OpenFusion":
        return OpenFusion(self, run, network, params, made)


class OpenFusion(OpenQueries):
    """With |r|: the configured one or, where the config lists several, the one that validation prefers, or preferred
    when the docids in the folder `made` were written."""

    def __init__(self, scheme: FusionQueries, run: Run, network: Fusion, params: dict, made: Path | None = None):
        super().__init__(scheme, run, network, params)
        self._made = made

    @property
    def radius(self) -> float:
        return self.scheme.radius if self._choice is None else self._choice.radius

    @property
    def resamples(self) -> int:
        return self.scheme.resamples if self.radius else 0  # without noise every sample is the same

    @property
    def fingerprint(self) -> str:
        return fingerprint_of([super().fingerprint, self.radius])

    def write_extras(self, out: Path) -> None:
        if self._choice is not None:
            write_json(out / _CHOICE, self._choice)

    @cached_property
    def _choice(self) -> Choice | None:
        """Made when it is first needed: of several processes the one that builds the docids makes it."""
        run = self.run
        if not self.scheme.radii:
            return None
        if self._made is not None:
            with reading_stage(self._made, _CHOICE) as path:
                return Choice(**read_json(path))
        return choose_radius(
            self.scheme.radii, self._best_queries, run.corpus.documents, run.validation_rows, seed=run.experiment.seed
        )

    def _best_queries(self, rows: Int[np.ndarray, "n"], radius: float) -> list[str]:
        decode = self.run.tokenizer.decode
        return [decode(token for token in docid if token) for docid in self.write(rows, 0, radius)[:, 0].tolist()]
