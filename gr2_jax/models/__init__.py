"""Functional Flax models: T5, the GR2 retrieval model and the docid fusion model."""

from gr2_jax.models.axes import logical_axes, param_shardings
from gr2_jax.models.checkpoint import load_t5, load_t5_config, save_t5
from gr2_jax.models.config import PRESETS, T5Config, preset
from gr2_jax.models.fusion import Fusion, FusionOutputs, sphere_noise
from gr2_jax.models.gr2 import GR2, RetrievalOutputs
from gr2_jax.models.huggingface import load_hf_t5, save_hf_t5
from gr2_jax.models.scratch import lsa_start
from gr2_jax.models.settings import ModelConfig
from gr2_jax.models.stack import stack_layers, unstack_layers
from gr2_jax.models.t5 import EOS_ID, PAD_ID, T5, UNK_ID, empty_cache, shift_right
from gr2_jax.models.warm_start import start_from_t5

__all__ = [
    "T5",
    "T5Config",
    "preset",
    "PRESETS",
    "ModelConfig",
    "GR2",
    "RetrievalOutputs",
    "Fusion",
    "FusionOutputs",
    "sphere_noise",
    "load_t5",
    "load_t5_config",
    "save_t5",
    "load_hf_t5",
    "save_hf_t5",
    "empty_cache",
    "shift_right",
    "stack_layers",
    "unstack_layers",
    "logical_axes",
    "param_shardings",
    "lsa_start",
    "start_from_t5",
    "PAD_ID",
    "EOS_ID",
    "UNK_ID",
]
