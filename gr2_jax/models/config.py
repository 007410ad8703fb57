"""The shape of a T5, and the sizes people know by name."""

import dataclasses
from typing import Literal

from gr2_jax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class T5Config:
    """Hyper-parameters of a T5 1.0 (relu, tied) or 1.1 (gated-gelu, untied).

    `num_encoder_layers` may be 0: the encoder is then the embedding and the final norm, which is what a model
    learnt from scratch in minutes can afford. `dtype` is that of the activations; parameters, softmax and norms
    are float32.
    """

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    feed_forward: Literal["relu", "gated-gelu"] = "relu"
    tie_word_embeddings: bool = True
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    dtype: str = "float32"


PRESETS = {
    "scratch": T5Config(d_model=128, d_kv=32, d_ff=256, num_heads=4, num_encoder_layers=0, num_decoder_layers=1),
    "tiny": T5Config(d_model=64, d_kv=16, d_ff=128, num_heads=4, num_encoder_layers=2, num_decoder_layers=2),
    "small": T5Config(),
    "base": T5Config(d_model=768, d_ff=3072, num_heads=12, num_encoder_layers=12, num_decoder_layers=12),
    "large": T5Config(d_model=1024, d_ff=4096, num_heads=16, num_encoder_layers=24, num_decoder_layers=24),
}


def preset(name: str, **changes) -> T5Config:
    """The named size with some fields changed; an unknown name raises `UserError` with the nearest."""
    if name not in PRESETS:
        raise UserError(f"no T5 preset '{name}': {nearest(name, PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)
