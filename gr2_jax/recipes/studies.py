"""What the studies in configs/studies/ are made of: overlays, and values that depend on the base."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment, Scheme
from gr2_jax.experiment.fields import fields_of
from gr2_jax.experiment.study import Overlay
from gr2_jax.pipeline.grade_vectors import SHOWN
from gr2_jax.pipeline.rows import BM25Row, DenseRow, RerankedRow, System
from gr2_jax.pipeline.schemes import (
    FusionQueries,
    HierarchicalCodes,
    Keywords,
    PlainQueries,
    ProductCodes,
    RandomNumbers,
    ResidualCodes,
)
from gr2_jax.recipes.overlays import (
    pretrained,
    query_generator,
    with_docids,
    with_objective,
    with_retrieval,
)

BM25 = BM25Row()


def method_of(experiment: Experiment) -> str:
    """The name of the row that is the method itself: the first that writes docids or, where rows are fine-tuned from
    it against self-negatives, the first of those."""
    return _family(experiment)[-1].name


def method_alone(experiment: Experiment) -> Experiment:
    """With the method's row, the row that it starts from, BM25, and the docids that these write."""
    alone = experiment.only([row.name for row in _family(experiment)])
    return dataclasses.replace(alone, rows=(*alone.rows, BM25))


def method_with_papers_loss(experiment: Experiment) -> Experiment:
    """`method_alone`, with the paper's penalty and constraint also where the experiment has others."""
    objective = dataclasses.replace(experiment.retrieval.objective, penalty="rank", constraint="running_max")
    return method_alone(with_retrieval(experiment, objective=objective))


def for_vectors(experiment: Experiment) -> Experiment:
    """`method_with_papers_loss`, with lists of 100 documents or more, as the paper's Figure 4 shows, and one measure of
    the lists beside what is said of vectors."""
    experiment = method_with_papers_loss(experiment)
    own = experiment.evaluation
    changes = {"beams": max(own.beams, SHOWN), "measures": own.measures or ("nDCG@20",)}
    return dataclasses.replace(experiment, evaluation=dataclasses.replace(own, **changes))


def own_rows(experiment: Experiment) -> Experiment:
    """With the rows alone that write docids and have the experiment's own objective, and those that docids are made
    of."""
    own = {row.name for row in experiment.rows if isinstance(row, System) and row.objective is None}
    rows = tuple(row for row in experiment.rows if row.name in own | experiment.docids.reads)
    return dataclasses.replace(experiment, rows=rows)


def objective(word: str, **changes: Any) -> Overlay:
    """Another row, `<method>-word`, with other fields of the objective."""
    return partial(_with_objective, word=word, changes=changes)


def _with_objective(experiment: Experiment, word: str, changes: dict[str, Any]) -> Experiment:
    return with_objective(experiment, word, **changes)


def without_fusion(experiment: Experiment) -> Experiment:
    """Another row whose docids plain query generation writes; none where the method's docids are not of fusion."""
    written = next(scheme for scheme in experiment.docids.schemes if scheme.name == _family(experiment)[0].docids)
    if not isinstance(written, FusionQueries):
        return experiment
    return with_docids(experiment, "no-fusion", query_generator(experiment))


def by_likelihood(experiment: Experiment) -> Experiment:
    """The method alone, ranked by likelihood: a search of the same models."""
    evaluation = dataclasses.replace(experiment.evaluation, ranking="likelihood")
    alone = experiment.only([row.name for row in _family(experiment)])
    return dataclasses.replace(alone, evaluation=evaluation)


def with_dense(experiment: Experiment) -> Experiment:
    """With a bi-encoder that reads as much of a document as the method does."""
    length = experiment.retrieval.batch.document_length or DenseRow().document_length
    return dataclasses.replace(experiment, rows=(*experiment.rows, DenseRow(document_length=length)))


def ranked_anew(experiment: Experiment) -> Experiment:
    """`method_alone`, with its row and BM25 each ranked anew by a query generator: the experiment's own or, where it
    has none, one with the settings of its fusion. Its queries are as long as those that the method reads; its docids,
    which no row writes, are the first that come. The first list's score counts with a weight that is chosen, 0 among
    them, where there are validation queries."""
    alone, name = method_alone(experiment), "queries"
    own, length = query_generator(experiment), experiment.retrieval.batch.length
    generator = dataclasses.replace(own, name=name, max_length=length, beams=1, mu=0.0)
    docids = dataclasses.replace(alone.docids, schemes=(*alone.docids.schemes, generator))
    weights = _WEIGHTS if alone.corpus.validates else (0.0,)
    anew = (RerankedRow(f"{row}-reranked", row, name, weights=weights) for row in (method_of(alone), BM25.name))
    return dataclasses.replace(alone, docids=docids, rows=(*alone.rows, *anew))


_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def every_docids(experiment: Experiment) -> Experiment:
    """A row for every scheme that any collection can have, and for those that the experiment has already."""
    longest = max(experiment.docids.max_length, _LEAST_LENGTH)
    experiment = dataclasses.replace(experiment, docids=dataclasses.replace(experiment.docids, max_length=longest))
    own, written = experiment.docids.schemes, _family(experiment)[0].docids
    others = [scheme for scheme in _schemes(experiment) if scheme.name not in [known.name for known in own]]
    for scheme in [*own, *others]:
        if scheme.name != written:
            experiment = with_docids(experiment, scheme.name, scheme)
    return experiment


_LEAST_LENGTH = 6  # tokens of a docid, which a hierarchy of a thousand documents needs
_FEW_SENTINELS = 210  # three codes of 64, and the digits of suffixes


def _schemes(experiment: Experiment) -> list[Scheme]:
    """With the models of the experiment, which are as large as its retrieval model."""
    few = experiment.vocabulary.extra_ids < _FEW_SENTINELS  # as T5's 100
    codes = {"levels": 6, "codes": 15} if few else {"levels": 3, "codes": 64}
    trained = {"model": experiment.retrieval.model, "optimiser": experiment.retrieval.optimiser}
    words = [Keywords(), PlainQueries(**trained), FusionQueries(**trained)]
    return [*words, RandomNumbers(), HierarchicalCodes(), ProductCodes(**codes), ResidualCodes(**codes)]


def training_queries(experiment: Experiment) -> tuple[int, ...]:
    """The paper's numbers: of graded judgements up to 60, of queries with one relevant document up to 8,000. The
    quickstart, whose queries are graded and many, has some between."""
    if experiment.retrieval.batch.docids == 1:
        return (0, 2000, 4000, 6000, 8000)
    few = (0, 15, 30, 45, 60)
    return few if experiment.corpus.folds else (*few, 500, 1000, 2000)


def among_more(experiment: Experiment) -> Experiment:
    """`method_alone` with a bi-encoder. The built-in collection gets documents of other libraries around it, and starts
    with about its own number."""
    experiment, corpus = with_dense(method_alone(experiment)), experiment.corpus
    if corpus.source == "apidocs":
        others = corpus.around or f"apidocs:{','.join(_OTHER_LIBRARIES)}"
        corpus = dataclasses.replace(corpus, around=others, documents=corpus.documents or _BUILT_IN)
    return dataclasses.replace(experiment, corpus=corpus)


_OTHER_LIBRARIES = ("sklearn", "matplotlib", "tensorflow", "keras", "flax", "optax", "transformers")
_BUILT_IN = 4000  # documents: those of numpy, scipy and jax are a few fewer


def starts_with_queries(*numbers: int) -> dict[str, Overlay]:
    """`<start>-<number>` -> the experiment with so many training queries whose model starts as its own does, from
    random weights, or from a pre-training."""
    starts = {"own": lambda experiment: experiment, "random": _from_random, "pretrained": pretrained}
    return {
        f"{name}-{number}": partial(_with_queries, start=start, number=number)
        for number in numbers
        for name, start in starts.items()
    }


def _from_random(experiment: Experiment) -> Experiment:
    return with_retrieval(
        experiment, model=dataclasses.replace(experiment.retrieval.model, weights=None, lsa_start=False)
    )


def _with_queries(experiment: Experiment, start: Overlay, number: int) -> Experiment:
    return start(
        dataclasses.replace(experiment, corpus=dataclasses.replace(experiment.corpus, training_queries=number))
    )


def multiples(field: str, *factors: float) -> Callable[[Experiment], tuple[float, ...]]:
    """The base's own value of a field, times these."""

    def values(experiment: Experiment) -> tuple[float, ...]:
        own = next((found.value for found in fields_of(experiment) if found.path == field), None)
        if not isinstance(own, int | float) or not own:
            raise UserError(f"{experiment.name} has no number {field} that could be multiplied: give --{field}")
        return tuple(own * factor for factor in factors)

    return values


def _family(experiment: Experiment) -> tuple[System, ...]:
    """The first row that writes docids, and the first that is fine-tuned from it on its own docids."""
    systems = [row for row in experiment.rows if isinstance(row, System)]
    if not systems:
        raise UserError(f"{experiment.name} trains no row that writes docids")
    tuned = (row for row in systems if row.self_negatives is not None and row.self_negatives.of == systems[0].name)
    return (systems[0], *(row for row in [next(tuned, None)] if row is not None))
