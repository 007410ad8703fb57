"""The training data as seqio tasks and mixtures: a text and the documents that it should retrieve, with their grades.

`register_tasks("gov", {"queries": "examples/queries.tfrecord*", ...}, options)` makes, for the roles that have files,
`gov_queries` (graded judgements), `gov_pseudo` (augmentation: leading paragraphs and sentences, entities, titles),
`gov_documents` (indexing: the document's own text), `gov_docids` (document to query, for docid generation), `gov_pairs`
(Wikipedia's graded pairs) and `gov_titles` (Wikipedia's documents to their titles), and the mixtures `gov_pretraining`
and `gov_finetuning` of them. TensorFlow is imported only when something here is called.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Int

from gr2_jax.corpus.wikipedia.pairs import ITSELF
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.seqio import preprocessing
from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.data.seqio.materialise import materialise, materialise_files
from gr2_jax.data.seqio.records import Example, write_examples
from gr2_jax.data.seqio.retrieval_metric import graded_retrieval
from gr2_jax.data.vocabulary import seqio_vocabulary
from gr2_jax.errors import UserError, nearest

__all__ = [
    "Example",
    "ExampleArrays",
    "TaskOptions",
    "materialise",
    "materialise_files",
    "register_task",
    "register_tasks",
    "write_examples",
]

ROLES = ("queries", "pseudo", "documents", "docids", "pairs", "titles")
MIXTURES = {"pretraining": ("pairs", "titles"), "finetuning": ("queries", "pseudo", "documents")}


@dataclasses.dataclass(frozen=True, eq=False)
class TaskOptions:
    """How text becomes tokens.

    vocabulary     a SentencePiece file, and how many `extra_ids` follow it
    add_eos        whether encoder inputs end in the end token, within their length: T5's weights expect it
    docid_length   tokens per docid, Ti, end included, if docids are text
    docid_table    int32 [N, Ti], 0-padded: the docid of each row of the document table, if docids are tokens
    best_grade     of the titles' role: that of a document for its own text

    With neither of the last two, a collection's tasks have no docid_tokens; Wikipedia's always need `docid_length`.
    """

    vocabulary: Path
    extra_ids: int
    add_eos: bool = False
    docid_length: int | None = None
    docid_table: Int[np.ndarray, "N Ti"] | None = None
    best_grade: int = ITSELF


def register_tasks(
    name: str,
    files: Mapping[str, str | Sequence[str]],
    options: TaskOptions,
    rates: Mapping[str, float] = MappingProxyType({}),
) -> list[str]:
    """Registers the tasks of `files` (role -> paths or patterns) and their mixtures, replacing earlier ones; returns
    all names. `rates` gives a role's rate in its mixture, by default 1. `UserError` for an unknown role, a rate that is
    not positive, and a pattern that no file matches."""
    seqio = libraries().seqio
    for role in (*files, *rates):
        if role not in ROLES:
            raise UserError(f"there is no task '{role}': {nearest(role, ROLES)}")
    wrong = next((role for role, rate in rates.items() if not rate > 0), None)
    if wrong is not None:
        raise UserError(f"the rate of '{wrong}' in a mixture must be positive, found {rates[wrong]}")
    names = [_register(f"{name}_{role}", role, pattern, options).name for role, pattern in files.items()]
    for mixture, roles in MIXTURES.items():
        mixed = [(f"{name}_{role}", float(rates.get(role, 1.0))) for role in roles if role in files]
        if mixed:
            names.append(f"{name}_{mixture}")
            _forget(seqio.MixtureRegistry, names[-1])
            seqio.MixtureRegistry.add(names[-1], mixed)
    return names


def register_task(name: str, path: Path, *, vocabulary: Path, extra_ids: int, add_eos: bool = False):
    """Registers (anew) and returns the seqio task that reads `path`: text tokenised, rows and grades unchanged."""
    return _register(name, "queries", str(path), TaskOptions(vocabulary, extra_ids, add_eos))


def _register(name: str, role: str, pattern: str | Sequence[str], options: TaskOptions):
    _, seqio = libraries()
    _forget(seqio.TaskRegistry, name)
    has_docids = role in ("pairs", "titles") or options.docid_length is not None or options.docid_table is not None
    if role in ("pairs", "titles") and options.docid_length is None:
        raise UserError(f"the task '{name}' uses titles as docids: give their docid_length")
    return seqio.TaskRegistry.add(
        name,
        source=_source(name, role, pattern),
        preprocessors=_preprocessors(role, options),
        output_features=_features(role, options, has_docids),
        metric_objs=[graded_retrieval().empty()] if has_docids and role != "docids" else [],
    )


def _forget(registry, name: str) -> None:
    if name in registry.names():
        registry.remove(name)


def _source(name: str, role: str, pattern: str | Sequence[str]):
    """Reads one example from each file in turn: for shards of `write_examples`, that is the order of writing."""
    tf, seqio = libraries()
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    found = [tf.io.gfile.glob(str(one)) for one in patterns]
    if not all(found):
        raise UserError(f"no file matches {patterns[found.index([])]}, which the task '{name}' should read")
    files = sorted({file for one in found for file in one if not file.endswith(".partial")})
    return seqio.TFExampleDataSource(
        split_to_filepattern={"train": files},
        feature_description=preprocessing.description(role),
        cycle_length=len(files),
        block_length=1,
    )


def _preprocessors(role: str, options: TaskOptions) -> list:
    _, seqio = libraries()
    before = [
        preprocessing.parse(role, docids_are_text=options.docid_length is not None, best_grade=options.best_grade),
        functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
    ]
    # the cache holds rows and no docids: a new docid table needs no new cache
    after = [seqio.CacheDatasetPlaceholder(), seqio.preprocessors.append_eos_after_trim]
    if role == "docids":
        return before + after
    if options.docid_length is not None:
        return [*before, preprocessing.close_docids(options.docid_length), *after]
    return before + after + ([] if options.docid_table is None else [preprocessing.look_up(options.docid_table)])


def _features(role: str, options: TaskOptions, has_docids: bool) -> dict:
    tf, seqio = libraries()
    text = seqio_vocabulary(str(options.vocabulary), options.extra_ids)
    inputs = {"inputs": seqio.Feature(text, add_eos=options.add_eos)}
    if role == "docids":
        return inputs | {"targets": seqio.Feature(text, add_eos=True)}
    number = seqio.Feature(seqio.PassThroughVocabulary(size=2**31 - 1), add_eos=False, dtype=tf.int32)
    docids = {"docid_tokens": seqio.Feature(text, add_eos=False, rank=2, dtype=tf.int32)} if has_docids else {}
    return inputs | {"docid_rows": number, "grades": number} | docids
