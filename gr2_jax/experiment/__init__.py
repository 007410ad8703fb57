"""The typed experiment, its files, and changes to it from the command line."""

from gr2_jax.corpus.settings import CorpusConfig
from gr2_jax.data.batches import BatchConfig
from gr2_jax.data.vocabulary import VocabularyConfig
from gr2_jax.evaluation.settings import EvaluationConfig
from gr2_jax.experiment.experiment import (
    AugmentationConfig,
    Experiment,
    GradedPairs,
    PairsConfig,
    Pretraining,
    RetrievalConfig,
    Settings,
)
from gr2_jax.experiment.row import Row, VectorRow
from gr2_jax.experiment.scheme import DocidConfig, Scheme
from gr2_jax.models.settings import ModelConfig
from gr2_jax.objectives.docids import FusionObjective
from gr2_jax.objectives.graded import RetrievalObjective
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import MeshConfig
from gr2_jax.training.optimiser import OptimiserConfig

__all__ = [
    "Experiment",
    "Pretraining",
    "Settings",
    "CorpusConfig",
    "VocabularyConfig",
    "AugmentationConfig",
    "DocidConfig",
    "Scheme",
    "RetrievalConfig",
    "ModelConfig",
    "OptimiserConfig",
    "RetrievalObjective",
    "FusionObjective",
    "BatchConfig",
    "Row",
    "VectorRow",
    "EvaluationConfig",
    "PairsConfig",
    "GradedPairs",
    "MeshConfig",
    "LoopConfig",
]
