"""Starting values from a trained T5."""

import jax
import numpy as np

from gr2_jax.errors import UserError
from gr2_jax.models.config import T5Config
from gr2_jax.models.stack import stack_layers


def start_from_t5(params: dict, config: T5Config, t5: dict) -> dict:
    """`params` (of `GR2`, `Fusion` or `BiEncoder`) with their T5 parts taken from `t5`, as `load_t5` returns it.

    GR2 keeps its projection head and Fusion its poolings. Both encoders of Fusion start as the T5's encoder. BiEncoder
    ignores the decoder. `config` belongs to the model of `params`; if its layers are scanned, `t5` is stacked.

    Raises:
        UserError: Fusion, which ties its embeddings, is given a T5 with untied embeddings.
    """
    if config.scan_layers:
        t5 = stack_layers(t5)
    if "t5" in params:
        started = params | {"t5": t5}
    elif "encoder" in params:
        started = {name: t5[name] for name in params}
    elif "output_embedding" in t5:
        raise UserError("the fusion model needs a T5 with tied embeddings (1.0), not 1.1 or mT5")
    else:
        encoders = {"document_encoder": t5["encoder"], "query_encoder": t5["encoder"]}
        started = params | encoders | {"embedding": t5["embedding"], "decoder": t5["decoder"]}
    return jax.tree.map(lambda x: np.asarray(x, np.float32), started)
