"""Retrieval with a trained model, TREC runs, measures, significance, and the baselines beside them."""

from gr2_jax.evaluation.metrics import evaluate_run, per_query
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.searcher import Hit
from gr2_jax.evaluation.trec import read_qrels, read_run, write_run

__all__ = ["Retriever", "Hit", "evaluate_run", "per_query", "read_run", "write_run", "read_qrels"]
