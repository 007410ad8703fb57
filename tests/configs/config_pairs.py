"""Which overlays go over which configs: one table for every test of configs/ (shapes here, compilation elsewhere)."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from gr2_jax.experiment import ModelConfig, Settings
from gr2_jax.experiment.loading import load_experiment

CONFIGS = Path(__file__).parents[2] / "configs"
VOCABULARY = 32_128  # rows of a T5's embedding

PAPER = ("gov500k", "clueweb500k", "robust04", "ms500k", "nq320k")
BASES = ("wikipedia", *PAPER)
WHOLE = ("clueweb09b", "gov2")  # collections of tens of millions of documents
SIZES = ("small", "base", "large", "3b", "11b")
PODS = {"v5e_16": 16, "v5e_256": 256, "v5e_128_x2": 256, "v5p_128": 64, "a100_8": 8, "h100_8": 8}
"""The pods' overlays, with the number of their devices."""


class Pair(NamedTuple):
    """A config and the overlays laid over it, as on the command line but without configs/ and .py."""

    config: str
    overlays: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return "+".join((self.config, *(overlay.replace("/", ".") for overlay in self.overlays)))

    def load(self) -> Settings:
        return load_experiment(*(CONFIGS / f"{name}.py" for name in (self.config, *self.overlays)))


def _pods(config: str, *before: str) -> dict[Pair, str]:
    return {Pair(config, (*before, f"pods/{pod}")): pod for pod in PODS}


_SIZED = [(config, f"sizes/{size}") for config in ("wikipedia", "gov500k") for size in SIZES]
ON_PODS: dict[Pair, str] = {
    pair: pod
    for config, *before in (
        *((config,) for config in (*BASES, *WHOLE)),
        *((config, "variants/gr2p") for config in (*PAPER, *WHOLE)),
        *_SIZED,
        ("gov500k", "variants/big_batch"),
        ("wikipedia", "variants/big_batch"),
        ("gov500k", "sizes/11b", "variants/big_batch"),
        ("gov500k", "sizes/large", "variants/gr2p"),
        ("gov500k", "ablations/no_fusion"),
        ("gov500k", "ablations/learnable_penalty"),
    )
    for pair, pod in _pods(config, *before).items()
}
"""What is to fit on a pod, and which."""

_ROWS = sorted(f"ablations/{path.stem}" for path in (CONFIGS / "ablations").glob("*.py"))
OF_SCRATCH = "variants/gr2p_apidocs"  # over configs that learn from scratch
_OTHERS = sorted({f"variants/{path.stem}" for path in (CONFIGS / "variants").glob("*.py")} - {OF_SCRATCH})
OF_PRETRAINING = tuple(
    row for row in _ROWS if row not in ("ablations/no_fusion", "ablations/learnable_penalty")
)  # what pre-training takes of the ablations
_OF_FUSION = {f"variants/{name}" for name in ("chosen_radius", "no_distinctness", "no_relevance", "scaled_fusion")}
WITHOUT_FUSION = "nq320k"  # it writes titles
ALL: tuple[Pair, ...] = tuple(
    dict.fromkeys(
        (
            *(Pair(config) for config in (*BASES, *WHOLE)),
            *(
                Pair(config, (overlay,))
                for config in PAPER
                for overlay in (*_ROWS, *_OTHERS)
                if config != WITHOUT_FUSION or overlay not in _OF_FUSION
            ),
            *(Pair(config, tuple(_ROWS)) for config in PAPER),
            *(Pair(config, ("variants/gr2p", *_ROWS)) for config in PAPER),
            *(Pair("wikipedia", (row,)) for row in OF_PRETRAINING),
            *(Pair(config, (f"sizes/{size}",)) for config in BASES for size in SIZES),
            *ON_PODS,
            *(Pair(config, (*_ROWS, "variants/debug")) for config in PAPER),
            *(Pair("wikipedia", (f"variants/{name}",)) for name in ("debug", "big_batch")),
            *(Pair("pretraining_apidocs", overlays) for overlays in ((), ("variants/debug",))),
            Pair("quickstart", (OF_SCRATCH,)),
        )
    )
)
"""Every pair that must resolve."""


def without_weights(model: ModelConfig) -> ModelConfig:
    """The same shapes, with no need of the files that `weights` names."""
    return dataclasses.replace(model, weights=None, lsa_start=False)
