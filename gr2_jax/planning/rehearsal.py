"""A rehearsal: every stage of a run over generated text, measured, and what the whole collection would take.

Two collections are run, one with half of the other's documents: the line through both tells what grows with the
collection from what does not.
"""

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from gr2_jax.corpus import write_collection
from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment, VocabularyConfig
from gr2_jax.files import read_json, reading, refuse_occupied, write_json
from gr2_jax.lock import LOCK_FILE, holding
from gr2_jax.memory import own_memory
from gr2_jax.models import preset
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.prepare import prepare
from gr2_jax.pipeline.quality import COMPARED
from gr2_jax.pipeline.rows import System
from gr2_jax.pipeline.rows.training import graded_batches
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import Titles
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.pipeline.watching import watched_by
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.pipeline.workers import without_workers
from gr2_jax.planning.generated_collection import Statistics, generated_collection
from gr2_jax.planning.measuring import Figures, measured
from gr2_jax.progress import say
from gr2_jax.recipes.overlays import debug, with_retrieval

REPORT = "rehearsal.json"
STEPS = 20  # of the training
LEAST = 100  # documents
_AT_MOST = 64  # queries, and texts, in a batch: a CPU would compute for many minutes on larger ones
_PIECES = 32_000  # of the vocabulary that is learnt in place of a T5's: generated words are none of its words
COLLECTION, OPENED, BATCHES, TRAINING = "collection", "opened", "batches", "training"


def rehearsed(experiment: Experiment, statistics: Statistics) -> Experiment:
    """The experiment over one split of a generated collection, with models of a tiny width: its first trained row, and
    its batches of at most 64 queries and texts. Queries that a model would generate are left out. Raises `UserError`
    for settings that no run over such a collection could have, and where no row is trained."""
    corpus, vocabulary, batch = experiment.corpus, experiment.vocabulary, experiment.retrieval.batch
    tested = statistics.queries // corpus.folds if corpus.folds else corpus.test_queries
    _refuse_unfit(experiment, statistics, held_out=corpus.validation_queries + tested)
    small = debug(experiment)
    one_split = {"documents": None, "known_items": None, "folds": 0, "test_queries": tested}
    if vocabulary.model is not None:
        vocabulary = VocabularyConfig(size=_PIECES, extra_ids=vocabulary.extra_ids)
    most = {name: min(_AT_MOST, getattr(batch, name)) for name in ("queries", "indexing_texts")}
    trained = [row.name for row in experiment.rows if isinstance(row, System) and row.self_negatives is None]
    if not trained:
        raise UserError(f"{experiment.name} trains no row: a rehearsal needs one, such as System('GR2S', SCHEME)")
    return dataclasses.replace(
        with_retrieval(
            small,
            optimiser=dataclasses.replace(small.retrieval.optimiser, steps=STEPS),
            batch=dataclasses.replace(batch, **most, microbatches=1),
        ),
        corpus=dataclasses.replace(corpus, **one_split),
        vocabulary=vocabulary,
        augmentation=dataclasses.replace(small.augmentation, generated=0, generator=None),
        docids=dataclasses.replace(small.docids, max_length=experiment.docids.max_length),
        rows=tuple(row for row in small.rows if row.name in {*trained[:1], *small.docids.reads}),
        evaluation=dataclasses.replace(small.evaluation, weights=()),
    )


def _refuse_unfit(experiment: Experiment, statistics: Statistics, *, held_out: int) -> None:
    if held_out >= statistics.queries:
        raise UserError(
            f"{experiment.name} holds out {held_out} of {statistics.queries} queries: none is left for training"
        )
    titles = next((scheme.name for scheme in experiment.docids.schemes if isinstance(scheme, Titles)), None)
    if titles is not None and statistics.untitled:
        raise UserError(
            f"docids.schemes.{titles} needs a title of every document, and {statistics.untitled:.0%} have none: choose "
            "another of docids.schemes"
        )


def rehearse(experiment: Experiment, statistics: Statistics, directory: Path, documents: int) -> dict[str, Any]:
    """Runs half of the documents and then all, doing only what is not yet done, and returns what `directory` then has
    in rehearsal.json: figures by number of documents and part, and those of the whole collection.

    Raises:
        UserError: Documents that are too few or more than the collection has, settings that do not go together, or a
            directory with other files or another rehearsal.
    """
    if not LEAST <= documents <= statistics.documents:
        raise UserError(
            f"--documents is {documents:,}: a rehearsal of {experiment.name} takes {LEAST:,} to "
            f"{statistics.documents:,} documents"
        )
    own_memory()  # where the system does not tell it, nothing could be measured
    tiny = rehearsed(experiment, statistics)
    check(Run(tiny, directory))
    with holding(directory, Path(f"{directory.resolve()}{LOCK_FILE}")):  # beside it: a new one must be empty
        report = _begun(tiny, experiment, statistics, directory)
        for size in (documents // 2, documents):
            _run(tiny, statistics, directory, size, report, trained=size == documents)
        batch = tiny.retrieval.batch
        written = written_by_models(tiny)
        report |= {
            "documents": documents,
            "examples": STEPS * (batch.queries + batch.indexing_texts),
            "widths": [preset(one.retrieval.model.preset).d_model for one in (tiny, experiment)],
            "written": written,
            "whole": whole_collection(report["measured"], documents, statistics.documents, written),
        }
        write_json(directory / REPORT, report)
    return report


def _begun(tiny: Experiment, experiment: Experiment, statistics: Statistics, directory: Path) -> dict[str, Any]:
    """What an earlier start has left, or what this one begins with. A bill is of the experiment in its full size: it
    goes where that has changed, while what was measured stays."""
    path = directory / REPORT
    fingerprint = fingerprint_of([dataclasses.replace(tiny, name="", workdir=""), statistics])
    billed = fingerprint_of(experiment)
    if path.is_file():
        with reading(path):
            report = dict(read_json(path))
            if report["fingerprint"] != fingerprint:
                raise UserError(f"{path} is of another experiment or other statistics: give another --workdir")
            if report.get("billed") != billed:
                report.pop("bill", None)
            return report | {"billed": billed}
    refuse_occupied(directory)
    report = {
        "fingerprint": fingerprint,
        "billed": billed,
        "statistics": dataclasses.asdict(statistics),
        "measured": {},
    }
    write_json(path, report)
    return report


def _run(
    tiny: Experiment, statistics: Statistics, directory: Path, size: int, report: dict[str, Any], *, trained: bool
) -> None:
    """The run of one size, in a folder of its own; every part's figures are in the report once it is done."""
    figures: dict[str, Figures] = report["measured"].setdefault(str(size), {})
    if (TRAINING if trained else BATCHES) in figures:
        return
    say(f"rehearsing with {size:,} documents")
    folder = directory / str(size)
    corpus = dataclasses.replace(tiny.corpus, source=str(folder / COLLECTION))
    tiny = dataclasses.replace(tiny, corpus=corpus, workdir=str(folder))

    def watch(place: Path) -> AbstractContextManager:
        def keep(found: Figures) -> None:
            figures[place.relative_to(folder).as_posix()] = found
            write_json(directory / REPORT, report)

        return measured(folder, keep, passing=Workdir(folder).pieces)

    with watched_by(watch), without_workers():  # processor seconds and memory are measured of this process
        collection = Stage(folder / COLLECTION, fingerprint_of([statistics, size]))
        collection.build(partial(_write, statistics, size))
        prepare(Run(tiny, folder))
        run = Run(tiny, folder)  # as a later process opens it
        with watch(folder / OPENED):
            _ = run.corpus, run.doc_ids, run.examples, run.semantics
        make_docids(run, compared=statistics.documents <= COMPARED)
        batches = graded_batches(run)
        with watch(folder / BATCHES):
            for step in range(STEPS):
                batches(step)
        if trained:
            with watch(folder / TRAINING):
                for row in run.rows:
                    row.train(run)


def _write(statistics: Statistics, size: int, out: Path) -> None:
    write_collection(generated_collection(statistics, size), out)


def whole_collection(
    by_size: dict[str, dict[str, Figures]], documents: int, whole: int, written: Sequence[str] = ()
) -> dict[str, Figures]:
    """Each stage's figures for `whole` documents: on the line through those of `documents` and of half of them. What
    was less with more documents counts as constant. `written` are the stages whose docids a model writes."""
    half, full = by_size[str(documents // 2)], by_size[str(documents)]
    growth = (whole - documents) / (documents - documents // 2)
    return {
        part: {
            name: value + growth * max(0.0, value - half[part][name])
            for name, value in figures.items()
            if name != "began"
        }
        for part, figures in full.items()
        if part in half and _grows(part, written)
    }


def written_by_models(experiment: Experiment) -> list[str]:
    """The stages of the docids that a model writes."""
    schemes = [scheme.name for scheme in experiment.docids.schemes if scheme.costly]
    return [f"{stage}/{name}" for name in schemes for stage in ("docids", "quality")]


def _grows(part: str, written: Sequence[str]) -> bool:
    """Whether the part is a stage that a run over the whole collection has, and costs here what it costs there, which
    is not so where a model works, since it is tiny here."""
    stage, *names = part.split("/")
    return stage not in (COLLECTION, BATCHES, TRAINING, "vectors") and "/".join([stage, *names[:1]]) not in written
