"""An experiment for any collection, sized by what the collection holds: what `gr2 index` trains."""

import dataclasses
import re

from gr2_jax.corpus import CollectionStream, open_collection, survey
from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.pipeline.rows import BM25Row, System
from gr2_jax.pipeline.schemes import Auto
from gr2_jax.progress import say
from gr2_jax.recipes.scratch import EVALUATION, retrieval

_FEWEST_STEPS, _MOST_STEPS, _DOCUMENTS_PER_STEP = 400, 2000, 16
_LENT_SHARE, _MOST_LENT = 0.2, 200  # documents that lend a sentence, where there are no queries
_KNOWN_ITEM_MEASURES = ("MRR@10", "Hits@1", "Hits@10")
_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.2, 300  # of the judged queries, for tests; half as many for validation


def index_experiment(source: str, name: str, *, documents: int, queries: int, known_items: int | None) -> Experiment:
    """One trained row, GR2S, beside BM25.

    Args:
        source: As of `gr2_jax.corpus.open_collection`.
        name: Of the experiment; its run is runs/<name>.
        documents: Of the collection.
        queries: Those with a positive judgement.
        known_items: Documents that lend a sentence as a query where there are no queries, half for validation and half
            for tests; by default a fifth of the documents, at most 200.
    """
    lent = min(_MOST_LENT, round(_LENT_SHARE * documents)) if known_items is None else known_items
    test = min(_MOST_HELD_OUT, max(1, round(_HELD_OUT_SHARE * queries)))
    validation = min(test // 2, max(0, queries - test - 1))
    return Experiment(
        name=name,
        corpus=CorpusConfig(
            source=source,
            empty_documents="drop",
            unjudged_queries="drop",
            unknown="drop",
            test_queries=test,
            validation_queries=validation,
            known_items=None if queries else lent,
        ),
        vocabulary=VocabularyConfig(size=8192 if documents <= 20_000 else 32_768),
        docids=DocidConfig(schemes=(Auto(),), max_length=16),
        retrieval=retrieval(
            steps=min(_MOST_STEPS, _FEWEST_STEPS + documents // _DOCUMENTS_PER_STEP),
            batch=BatchConfig(pseudo_share=0.6),
        ),
        rows=(System("GR2S", "auto"), BM25Row()),
        evaluation=dataclasses.replace(
            EVALUATION,
            weights=EVALUATION.weights if validation or not queries else (),
            measures=() if queries else _KNOWN_ITEM_MEASURES,
        ),
    )


def surveyed_experiment(source: str, *, known_items: int | None = None, strict: bool = False) -> Experiment:
    """`index_experiment` of a source that is read once to size it, named after it; what is odd about it is said.

    With `strict` empty documents, queries without a positive judgement and judgements of unknown documents and queries
    are refused; else they are left out. Raises UserError as `open_collection` does.
    """
    say(f"looking through {source}")
    stream = open_collection(source)
    found = survey(stream)
    for line in found.lines():
        say(f"  {line}")
    for why, files in stream.provenance.items():
        if why.startswith("left out"):
            say(f"  {why}: {files}")
    positive = {query for query, grades in stream.qrels.items() if max(grades.values(), default=0) > 0}
    queries = len(positive & stream.queries.keys())
    if stream.queries and not queries:
        say("  none of the queries has a judgement above 0: the index is made of the documents alone")
    experiment = index_experiment(
        source, _name_of(stream), documents=found.documents, queries=queries, known_items=known_items
    )
    if strict:
        refusing = {"empty_documents": "error", "unjudged_queries": "error", "unknown": "error"}
        experiment = dataclasses.replace(experiment, corpus=dataclasses.replace(experiment.corpus, **refusing))
    return experiment


def _name_of(stream: CollectionStream) -> str:
    """The collection's name as that of a folder."""
    return re.sub(r"[^\w.+-]+", "-", stream.name).strip("-.") or "index"
