"""Measures, significance, tables, and how good docids are."""

from gr2_jax.evaluation.metrics import evaluate_run, per_query

__all__ = ["evaluate_run", "per_query"]
