"""Generative retrieval with multi-graded relevance (GR2) in JAX and Flax."""

__version__ = "0.1.0"
