"""The configuration of a T5, and the published sizes by name."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gr2_jax.errors import UserError, nearest
from gr2_jax.models.attention_forms import AttentionForm


@dataclasses.dataclass(frozen=True)
class T5Config:
    """Hyper-parameters of a T5 1.0 (relu, tied) or 1.1 (gated-gelu, untied; mT5 is a 1.1 with another vocabulary).

    `num_encoder_layers` may be 0: the encoder is then the embedding and the final norm, which suits a model trained
    from scratch in minutes.

    These fields say how the model is computed and change no parameter's value:

    dtype        type of the activations; parameters, their gradients, softmax, norms and logits are float32
    scan_layers  a stack is one layer in a loop, which compiles faster; `stack_layers` converts the parameters
    remat        what is kept for a layer's backward pass: "none" (no rematerialisation): everything; "minimal": the
                 products with weights; "full": only the layer's input
    attention    the form of `gr2_jax.models.attention_forms` that is taken where it can serve, "auto": the first that
                 can

    Dropout applies to embeddings, sublayer outputs, the hidden states of feed-forwards and the stacks' outputs, but not
    to attention weights, where T5's first implementation also has it. An invalid value raises `UserError`.
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
    dtype: Literal["float32", "bfloat16"] = "float32"
    scan_layers: bool = False
    remat: Literal["none", "minimal", "full"] = "none"
    attention: AttentionForm = "auto"

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for name in ("feed_forward", "dtype", "remat", "attention"):
            value, allowed = getattr(self, name), typing.get_args(hints[name])
            if value not in allowed:
                raise UserError(f"{name} of a T5 is {value!r}: {nearest(str(value), allowed)}")
        if not 0 <= self.dropout_rate < 1:
            raise UserError(f"dropout_rate of a T5 is {self.dropout_rate}: it must be at least 0 and below 1")


MOST_LAYERS, MOST = 1000, 2**31 - 1


def config_from(fields: Mapping[str, Any], place: str | Path) -> T5Config:
    """The config with these fields; `UserError` names `place` for values that no T5 has, or
    no memory holds."""
    hints = typing.get_type_hints(T5Config)
    if not isinstance(fields, Mapping) or fields.keys() - hints.keys():
        raise UserError(f"{place} does not describe a T5")
    for name, value in fields.items():
        if hints[name] is bool:
            fits = isinstance(value, bool)
        elif hints[name] in (int, float):
            most = MOST_LAYERS if name.endswith("_layers") else MOST
            number = type(value) is int or (hints[name] is float and type(value) is float)
            fits = number and 0 <= value <= most
        else:
            fits = isinstance(value, str)
        if not fits:
            raise UserError(f"{place}: {name} of a T5 cannot be {value!r}")
    return T5Config(**fields)


def _sized(d_model: int, d_kv: int, d_ff: int, heads: int, layers: int) -> T5Config:
    return T5Config(
        d_model=d_model,
        d_kv=d_kv,
        d_ff=d_ff,
        num_heads=heads,
        num_encoder_layers=layers,
        num_decoder_layers=layers,
    )


def _sized_1_1(*sizes: int) -> T5Config:
    return dataclasses.replace(_sized(*sizes), feed_forward="gated-gelu", tie_word_embeddings=False)


# 1.0: Raffel et al. 2020, 3.7; 1.1: the configs released with T5. mT5 has 1.1's sizes and vocab_size 250112.
PRESETS = {
    "scratch": T5Config(d_model=128, d_kv=32, d_ff=256, num_heads=4, num_encoder_layers=0, num_decoder_layers=1),
    "tiny": _sized(64, 16, 128, 4, 2),
    "small": _sized(512, 64, 2048, 8, 6),
    "base": _sized(768, 64, 3072, 12, 12),
    "large": _sized(1024, 64, 4096, 16, 24),
    "3b": _sized(1024, 128, 16384, 32, 24),
    "11b": _sized(1024, 128, 65536, 128, 24),
    "1.1-tiny": _sized_1_1(64, 16, 128, 4, 2),
    "1.1-small": _sized_1_1(512, 64, 1024, 6, 8),
    "1.1-base": _sized_1_1(768, 64, 2048, 12, 12),
    "1.1-large": _sized_1_1(1024, 64, 2816, 16, 24),
    "1.1-xl": _sized_1_1(2048, 64, 5120, 32, 24),
    "1.1-xxl": _sized_1_1(4096, 64, 10240, 64, 24),
}


def preset(name: str, **changes) -> T5Config:
    """The named size with some fields changed; an unknown name raises `UserError` with the nearest."""
    if name not in PRESETS:
        raise UserError(f"no T5 preset '{name}': {nearest(name, PRESETS)}")
    return dataclasses.replace(PRESETS[name], **changes)
