"""Settings that no run could use, refused before the first stage, by name."""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gr2_jax.config import Experiment, RetrievalConfig, System
from gr2_jax.data.vocabulary import Tokenizer, read_vocabulary
from gr2_jax.errors import UserError, nearest
from gr2_jax.evaluation.metrics import check_measures
from gr2_jax.models import PRESETS, preset
from gr2_jax.pipeline.baselines import BASELINES
from gr2_jax.pipeline.prepare import QUERY_LENGTH
from gr2_jax.pipeline.schemes import SCHEMES, SUFFIX_DIGITS
from gr2_jax.training.objectives import RetrievalObjective

_AT_LEAST_ONE = {
    "size", "characters", "steps", "pairs", "document_length", "beams", "max_length", "codebooks", "codes", "queries",
    "docids", "documents", "shortest_span", "length", "batch", "query_length", "learning_rate", "leaf", "latents",
    "microbatches", "depth", "negatives", "temperature",
}  # fmt: skip
_SHARES = {"dropout_rate", "pseudo_share", "label_smoothing", "b2"}


def check(experiment: Experiment) -> None:
    """Raises `UserError` for the first setting out of range, or that names a scheme or preset that there is not."""
    _check_numbers(experiment, "")
    _check_models(experiment)
    batch = experiment.retrieval.batch
    if not batch.shortest_span <= batch.longest_span <= batch.length:
        raise UserError(
            f"spans of {batch.shortest_span} to {batch.longest_span} tokens do not fit an input of {batch.length}: "
            "--retrieval.batch.shortest_span <= longest_span <= length"
        )
    for name in ("queries", "documents"):
        rows = getattr(batch, name)
        if rows % batch.microbatches:
            raise UserError(f"--retrieval.batch.{name} is {rows}: {batch.microbatches} microbatches do not divide it")
    if batch.length > QUERY_LENGTH:
        raise UserError(f"--retrieval.batch.length is {batch.length}: the examples hold {QUERY_LENGTH} tokens")
    if batch.generated > experiment.fusion.beams:
        raise UserError(f"--retrieval.batch.generated is {batch.generated}: --fusion.beams are only the best so many")
    if not experiment.corpus.folds and experiment.corpus.test_queries < 1:
        raise UserError("--corpus.test_queries must be at least 1: the table is about them")
    if experiment.evaluation.measures:
        check_measures(experiment.evaluation.measures)
    if experiment.vocabulary.extra_ids < SUFFIX_DIGITS:
        raise UserError(
            f"--vocabulary.extra_ids is {experiment.vocabulary.extra_ids}: it must be at least {SUFFIX_DIGITS}, the "
            "digits of the suffixes that tell equal docids apart"
        )
    if experiment.docids.branches < 2:
        raise UserError(f"--docids.branches is {experiment.docids.branches}: a cluster is divided into at least 2")
    if any(radius < 0 for radius in experiment.fusion.radii):
        raise UserError(f"--fusion.radii are {experiment.fusion.radii}: a radius is at least 0")
    _check_systems(experiment)


def _check_models(experiment: Experiment) -> None:
    models = {name: getattr(experiment, name).model for name in ("fusion", "retrieval")}
    for section, model in models.items():
        if model.preset not in PRESETS:
            raise UserError(f"--{section}.model.preset is '{model.preset}': {nearest(model.preset, PRESETS)}")
        if model.weights is not None:
            _check_weights(experiment, section)
    if len({preset(model.preset).d_model for model in models.values() if model.starts_from_lsa}) > 1:
        raise UserError("--fusion.model.preset must be --retrieval.model.preset: both start from the same LSA vectors")


def _check_weights(experiment: Experiment, section: str) -> None:
    vocabulary, model = experiment.vocabulary, getattr(experiment, section).model
    if vocabulary.model is None:
        raise UserError(
            f"--{section}.model.weights need --vocabulary.model, the SentencePiece file that their rows are numbered by"
        )
    read_vocabulary(Path(vocabulary.model))
    config = model.t5(Tokenizer(Path(vocabulary.model), extra_ids=vocabulary.extra_ids).size)
    if section == "fusion" and "fusion" in experiment.docids.schemes and not config.tie_word_embeddings:
        raise UserError("--fusion.model.weights must be a T5 with tied embeddings (1.0), not 1.1 or mT5")


def _check_numbers(section: Any, path: str) -> None:
    for field in dataclasses.fields(section):
        value, flag = getattr(section, field.name), f"--{path}{field.name}"
        if value is not None and field.name in ("documents", "training_queries") and value < 1:
            raise UserError(f"{flag} is {value}: it must be above 0")
        if field.name == "mesh":  # where -1 means what is left, see `MeshConfig.sizes`
            continue
        if dataclasses.is_dataclass(value):
            _check_numbers(value, f"{path}{field.name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            if value < 0 or (value == 0 and field.name in _AT_LEAST_ONE):
                raise UserError(
                    f"{flag} is {value}: it must be {'above' if field.name in _AT_LEAST_ONE else 'at least'} 0"
                )
            if field.name in _SHARES and value > 1:
                raise UserError(f"{flag} is {value}: it must be between 0 and 1")


def _check_systems(experiment: Experiment) -> None:
    for scheme in experiment.docids.schemes:
        if scheme not in SCHEMES:
            raise UserError(f"--docids.schemes: no docid scheme '{scheme}': {nearest(scheme, SCHEMES)}")
        SCHEMES[scheme].check(experiment)
    seen = {*BASELINES, "provenance"}
    for system in experiment.retrieval.systems:
        if system.docids not in experiment.docids.schemes:
            raise UserError(
                f"system {system.name} wants docids '{system.docids}', which --docids.schemes does not make: "
                f"{nearest(system.docids, experiment.docids.schemes)}"
            )
        _check_name(system.name, seen)
        _check_objective(experiment.retrieval.objective, system)
        if experiment.retrieval.optimiser_of(system).steps < 1:
            raise UserError(f"system {system.name} has no steps to train")
    _check_self_negatives(experiment.retrieval)
    systems = [system.name for system in experiment.retrieval.systems]
    for row in experiment.retrieval.views:
        _check_name(row.name, seen)
        unknown = [name for name in row.systems if name not in systems]
        if unknown or len(set(row.systems)) < max(2, len(row.systems)):
            raise UserError(
                f"views {row.name} must read two or more different systems: "
                + (nearest(unknown[0], systems) if unknown else f"not {', '.join(row.systems) or 'none'}")
            )
    for row in experiment.retrieval.dense:
        _check_name(row.name, seen)
        for name in ("temperature", "document_length"):
            _check_amount(row.name, name, getattr(row, name))
        if round(experiment.retrieval.optimiser.steps * row.steps) < 1:
            raise UserError(f"system {row.name} has no steps to train")


def _check_self_negatives(retrieval: RetrievalConfig) -> None:
    """What each fine-tuned system starts from, and that there is something to draw for a batch."""
    settings, above = retrieval.self_negatives, {}
    for system in retrieval.systems:
        name = system.self_negatives_of
        if name is not None and name not in above:
            hint = nearest(name, above) if above else "it is the first"
            raise UserError(f"system {system.name} starts from '{name}', no system above it: {hint}")
        if name is not None and above[name] != system.docids:
            raise UserError(
                f"system {system.name} writes '{system.docids}' docids and starts from {name}, which writes "
                f"'{above[name]}' docids: both must write the same"
            )
        above[system.name] = system.docids
    if not settings.negatives <= settings.depth <= settings.beams:
        raise UserError(
            f"--retrieval.self_negatives draws {settings.negatives} negatives from {settings.depth} kept of "
            f"{settings.beams} found: it must be negatives <= depth <= beams"
        )


def _check_objective(objective: RetrievalObjective, system: System) -> None:
    """The names and values that a system changes of the objective, and the ones that it leaves."""
    hints = typing.get_type_hints(RetrievalObjective)
    if not isinstance(system.objective, Mapping):
        raise UserError(f"system {system.name}: objective is {system.objective!r}: it must be a dict of its fields")
    unknown = sorted(set(system.objective) - set(hints))
    if unknown:
        raise UserError(f"system {system.name}: the objective has no '{unknown[0]}': {nearest(unknown[0], hints)}")
    for name, value in dataclasses.asdict(dataclasses.replace(objective, **system.objective)).items():
        if typing.get_origin(hints[name]) is Literal:
            valid = typing.get_args(hints[name])
            if value not in valid:
                raise UserError(f"system {system.name}: {name}={value!r} is not known: {nearest(str(value), valid)}")
        elif hints[name] is bool:
            if not isinstance(value, bool):
                raise UserError(f"system {system.name}: {name} is {value!r}: it must be True or False")
        else:
            _check_amount(system.name, name, value)


def _check_amount(system: str, name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
    if not number or (value == 0 and name in _AT_LEAST_ONE):
        raise UserError(
            f"system {system}: {name} is {value!r}: it must be a number "
            + ("above 0" if name in _AT_LEAST_ONE else "of at least 0")
        )
    if name in _SHARES and value > 1:
        raise UserError(f"system {system}: {name} is {value!r}: it must be between 0 and 1")


def _check_name(name: str, seen: set[str]) -> None:
    """A row's name is a file's name as well, and no other's; adds it to `seen`."""
    if name in seen or not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(f"system name '{name}' is taken, or has more than letters, digits and .+-_")
    seen.add(name)
