"""Generative retrieval with multi-graded relevance (GR2) in JAX and Flax."""

import importlib

__version__ = "0.1.0"
__all__ = ["index", "open_retriever"]

_PLACES = {"index": "gr2_jax.recipes.index", "open_retriever": "gr2_jax.pipeline.opening"}


def __getattr__(name: str):
    """A function is imported when it is asked for: `import gr2_jax.losses` loads nothing else of the package."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'gr2_jax' has no attribute '{name}'")
