"""Generative retrieval with multi-graded relevance (GR2) in JAX and Flax."""

__version__ = "0.1.0"
__all__ = ["open_retriever"]


def __getattr__(name: str):
    """`open_retriever` is imported when it is asked for: `import gr2_jax.losses` loads nothing else of the package."""
    if name == "open_retriever":
        from gr2_jax.pipeline.open_run import open_retriever

        return open_retriever
    raise AttributeError(f"module 'gr2_jax' has no attribute '{name}'")
