"""What the corpus says about its tokens, for models that start from scratch."""

from pathlib import Path

import numpy as np

from gr2_jax.data.semantics import TokenSemantics
from gr2_jax.models import T5Config, lsa_start
from gr2_jax.workdir import Workdir

SENTINEL_VECTORS = "sentinel_vectors.npz"


def load_semantics(workdir: Workdir) -> TokenSemantics:
    with np.load(workdir.examples / "semantics.npz") as file:
        return TokenSemantics(*(file[name] for name in TokenSemantics._fields))


def start_values(params: dict, config: T5Config, workdir: Workdir, docids: Path | None = None) -> dict:
    """`lsa_start` of the run's own corpus; a docid scheme may bring vectors for the sentinels that it writes."""
    semantics = load_semantics(workdir)
    vectors = np.array(semantics.token_vectors)
    if docids is not None and (docids / SENTINEL_VECTORS).is_file():
        with np.load(docids / SENTINEL_VECTORS) as file:
            vectors[file["ids"]] = file["vectors"]
    return lsa_start(params, config, vectors, semantics.log_idf)
