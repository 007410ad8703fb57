"""Functions from one experiment to another, of which the overlays in configs/ are made."""

import dataclasses
from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

from gr2_jax.errors import UserError
from gr2_jax.experiment import (
    AugmentationConfig,
    Experiment,
    MeshConfig,
    ModelConfig,
    Pretraining,
    Row,
    Scheme,
    Settings,
    VocabularyConfig,
)
from gr2_jax.models import preset
from gr2_jax.pipeline.rows import SelfNegatives, System, ViewsRow
from gr2_jax.pipeline.schemes import FusionQueries, PlainQueries
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.recipes.quickstart import TINY, TINY_FUSION

AnySettings = TypeVar("AnySettings", bound=Settings)
_WIDE = ("3b", "11b")


# rows


@singledispatch
def with_objective(settings: Settings, word: str, **changes: Any) -> Settings:
    """An experiment with another row, `<first row>-word`, whose objective differs from the first row's in these fields
    (see `with_row`). Pre-training, which has no rows, is itself changed and renamed."""
    raise TypeError(type(settings).__name__)


@with_objective.register
def _(settings: Pretraining, word: str, **changes: Any) -> Pretraining:
    objective = dataclasses.replace(settings.retrieval.objective, **changes)
    return with_retrieval(settings, objective=objective).renamed(word)


@with_objective.register
def _(settings: Experiment, word: str, **changes: Any) -> Experiment:
    own = _first(settings).objective or settings.retrieval.objective
    return with_row(settings, word, objective=dataclasses.replace(own, **changes))


def with_row(experiment: Experiment, word: str, **changes: Any) -> Experiment:
    """With another row, `<first row>-word`, that differs from the first in these fields, and for each row that starts
    from the first a copy that starts from the new one. The word follows the shortest of the names: beside
    GR2S-no-negatives and GR2S come GR2S-MLE-no-negatives and GR2S-MLE."""
    rows, first = experiment.section("rows"), _first(experiment)
    tuned = [
        row
        for row in rows
        if isinstance(row, System) and row.self_negatives is not None and row.self_negatives.of == first.name
    ]
    stem = min([first.name, *(row.name for row in tuned)], key=len)

    def named(name: str) -> str:
        return f"{stem}-{word}{name.removeprefix(stem)}"

    added = [dataclasses.replace(first, name=named(first.name), **changes)]
    for row in tuned:
        start = dataclasses.replace(row.self_negatives, of=named(first.name))
        added.append(dataclasses.replace(row, name=named(row.name), self_negatives=start, **changes))
    trained = [row for row in rows if isinstance(row, System)]
    others = [row for row in rows if not isinstance(row, System)]
    return dataclasses.replace(experiment, rows=(*trained, *added, *others))


def _first(experiment: Experiment) -> System:
    found = next((row for row in experiment.section("rows") if isinstance(row, System)), None)
    if found is None:
        raise UserError(f"{experiment.name} trains no row that writes docids: this is for experiments that do")
    return found


def with_docids(experiment: Experiment, word: str, scheme: Scheme) -> Experiment:
    """With another row, `<first row>-word`, that writes docids of `scheme`; else as `with_row`."""
    experiment.section("rows")
    schemes = experiment.docids.schemes
    if scheme.name not in [known.name for known in schemes]:
        docids = dataclasses.replace(experiment.docids, schemes=(*schemes, scheme))
        experiment = dataclasses.replace(experiment, docids=docids)
    return with_row(experiment, word, docids=scheme.name)


def _each_row(settings: AnySettings, change: Callable[[Row], Row]) -> AnySettings:
    rows = tuple(change(row) for row in settings.rows)
    return dataclasses.replace(settings, rows=rows) if rows else settings


def _with_self_negatives(settings: AnySettings, **changes: Any) -> AnySettings:
    """Every row that is fine-tuned against self-negatives, with these fields of that stage."""

    def change(row: Row) -> Row:
        stage: SelfNegatives | None = getattr(row, "self_negatives", None)
        return row if stage is None else dataclasses.replace(row, self_negatives=dataclasses.replace(stage, **changes))

    return _each_row(settings, change)


# sections


def with_retrieval(settings: AnySettings, **changes: Any) -> AnySettings:
    """With other fields of the retrieval section."""
    return dataclasses.replace(settings, retrieval=dataclasses.replace(settings.retrieval, **changes))


def with_batch(settings: AnySettings, **changes: Any) -> AnySettings:
    """With another retrieval batch: fields of `gr2_jax.experiment.BatchConfig`."""
    return with_retrieval(settings, batch=dataclasses.replace(settings.retrieval.batch, **changes))


def with_fusion(experiment: Experiment, **changes: Any) -> Experiment:
    """With other settings of the fusion scheme; raises `UserError` where the experiment has none."""
    _fusion_of(experiment)
    schemes = experiment.docids.schemes
    changed = tuple(dataclasses.replace(s, **changes) if isinstance(s, FusionQueries) else s for s in schemes)
    return dataclasses.replace(experiment, docids=dataclasses.replace(experiment.docids, schemes=changed))


def with_fusion_objective(experiment: Experiment, **changes: Any) -> Experiment:
    """With other fields of the fusion scheme's objective (Eq. 3)."""
    return with_fusion(experiment, objective=dataclasses.replace(_fusion_of(experiment).objective, **changes))


def _fusion_of(experiment: Experiment) -> FusionQueries:
    found = next((scheme for scheme in experiment.docids.schemes if isinstance(scheme, FusionQueries)), None)
    if found is None:
        raise UserError(f"{experiment.name} writes no fusion docids: this is for experiments that do")
    return found


def query_generator(experiment: Experiment) -> PlainQueries:
    """The experiment's own query generator or, where it names none, plain query generation with the model, training and
    beams of its fusion scheme: equal budgets."""
    given = experiment.section("augmentation").generator
    if given is not None:
        return given
    schemes = experiment.docids.schemes
    given = next((scheme for scheme in schemes if isinstance(scheme, PseudoQueries)), None)
    if given is None:
        return PlainQueries()
    shared = {f.name: getattr(given, f.name) for f in dataclasses.fields(PseudoQueries) if f.name != "name"}
    smoothing = given.objective.label_smoothing if isinstance(given, FusionQueries) else given.label_smoothing
    return PlainQueries(**shared, label_smoothing=smoothing)


def with_generated_queries(experiment: Experiment, count: int) -> Experiment:
    """With `count` more pseudo-queries per document, written by plain query generation (as DSI-QG does)."""
    augmentation = dataclasses.replace(
        experiment.section("augmentation"), generated=count, generator=query_generator(experiment)
    )
    return dataclasses.replace(experiment, augmentation=augmentation)


# from pre-training, sizes, pods


def from_pretraining(experiment: Experiment) -> Experiment:
    """GR2P: starts from the weights and vocabulary of configs/wikipedia.py, at the experiment's own size; GR2S in a
    row's name becomes GR2P."""
    experiment.section("rows")
    return _as_gr2p(_from_wikipedia(experiment))


def from_scratch_pretraining(experiment: Experiment) -> Experiment:
    """GR2P of an experiment that learns from scratch: the same with the weights and vocabulary of
    configs/pretraining_apidocs.py, whose model has the shape of `gr2_jax.recipes.scratch.MODEL`."""
    experiment.section("rows")
    if (weights := experiment.retrieval.model.weights) is not None:
        raise UserError(f"{experiment.name} starts from {weights}: this is for configs that learn from scratch")
    return _as_gr2p(_from_apidocs(experiment))


def pretrained(experiment: Experiment) -> Experiment:
    """The same rows, which start from the pre-training of configs/wikipedia.py or, where they learn from scratch, of
    configs/pretraining_apidocs.py."""
    scratch = experiment.retrieval.model.weights is None
    return _from_apidocs(experiment) if scratch else _from_wikipedia(experiment)


def _from_wikipedia(experiment: Experiment) -> Experiment:
    size = _trained(experiment).preset
    return _started_from(experiment, "runs/wikipedia" if size == "base" else f"runs/wikipedia-{size}", extra_ids=100)


def _from_apidocs(experiment: Experiment) -> Experiment:
    return _started_from(experiment, "runs/pretraining-apidocs", extra_ids=experiment.vocabulary.extra_ids)


def _started_from(experiment: Experiment, left: str, *, extra_ids: int) -> Experiment:
    """With the weights and vocabulary that the pre-training in the workdir `left` leaves."""
    model = dataclasses.replace(experiment.retrieval.model, weights=f"{left}/model/t5")
    vocabulary = VocabularyConfig(model=f"{left}/vocabulary/spiece.model", extra_ids=extra_ids)
    return dataclasses.replace(with_retrieval(experiment, model=model), vocabulary=vocabulary)


def _as_gr2p(experiment: Experiment) -> Experiment:
    return _each_row(experiment, _renamed_row).renamed("gr2p")


def _renamed_row(row: Row) -> Row:
    def name(old: str) -> str:
        return "GR2P" + old.removeprefix("GR2S") if old.startswith("GR2S") else old

    stage: SelfNegatives | None = getattr(row, "self_negatives", None)
    if stage is not None:
        row = dataclasses.replace(row, self_negatives=dataclasses.replace(stage, of=name(stage.of)))
    if isinstance(row, ViewsRow):
        row = dataclasses.replace(row, systems=tuple(name(system) for system in row.systems))
    return dataclasses.replace(row, name=name(row.name))


def _trained(settings: Settings) -> ModelConfig:
    """The retrieval model, whose weights are those of a T5 of its preset's size."""
    model = settings.retrieval.model
    if model.weights is None:
        raise UserError(f"{settings.name} learns from scratch: this is for configs that start from a T5")
    if model.weights != f"t5-{model.preset}":
        raise UserError(
            f"{settings.name} starts from {model.weights}, which is not t5-{model.preset}: sizes come first, then "
            "GR2P, each once"
        )
    return model


def sized(settings: AnySettings, size: str) -> AnySettings:
    """The retrieval model as a T5 1.0 of another size, from `t5-<size>` (`gr2 convert google-t5/t5-<size> t5-<size>`);
    the docid model stays. From 3b on layers are computed again in the backward pass, and 11b is trained by Adafactor,
    which keeps no second copy of the parameters, at T5's own rate for it."""
    shape, old = preset(size), _trained(settings)
    model = dataclasses.replace(
        old,
        preset=size,
        num_encoder_layers=shape.num_encoder_layers,
        num_decoder_layers=shape.num_decoder_layers,
        weights=f"t5-{size}",
        remat="full" if size in _WIDE else old.remat,
    )
    settings = dataclasses.replace(
        with_retrieval(settings, model=model),
        vocabulary=VocabularyConfig(model=f"t5-{size}/spiece.model", extra_ids=100),
    )
    if size == "11b":
        optimiser = dataclasses.replace(settings.retrieval.optimiser, kind="adafactor", learning_rate=1e-3)
        settings = _with_self_negatives(with_retrieval(settings, optimiser=optimiser), learning_rate=1e-3)
    return settings if size == old.preset else settings.renamed(size)


def on_mesh(settings: AnySettings, mesh: MeshConfig, *, wide: MeshConfig | None = None) -> AnySettings:
    """On this mesh, or on `wide` where the retrieval model is a 3b or 11b: a pod changes where a run is computed, not
    what it computes."""
    large = settings.retrieval.model.preset in _WIDE
    return dataclasses.replace(settings, mesh=wide if wide is not None and large else mesh)


# debugging


@singledispatch
def debug(settings: Settings) -> Settings:
    """The same rows and objectives in a minute or two on a laptop: a tiny model from scratch, few steps, and numpy's
    documentation in place of the collection (pre-training keeps its sources)."""
    raise TypeError(type(settings).__name__)


@debug.register
def _(settings: Pretraining) -> Pretraining:
    small = with_batch(
        settings, queries=16, docids=4, indexing_texts=32, length=32, shortest_span=6, longest_span=24, microbatches=1
    )
    small = with_retrieval(
        small,
        model=ModelConfig(lsa_start=False, num_encoder_layers=1),
        optimiser=dataclasses.replace(TINY.retrieval.optimiser, learning_rate=3e-3),
    )
    return dataclasses.replace(
        small,
        vocabulary=VocabularyConfig(size=4000, characters=1_000_000),
        pairs=dataclasses.replace(settings.pairs, document_length=128),
        mesh=MeshConfig(),
    ).renamed("debug")


@debug.register
def _(settings: Experiment) -> Experiment:
    tiny, docids = TINY.retrieval.batch, min(settings.retrieval.batch.docids, 2)
    small = with_batch(
        settings,
        queries=32,
        indexing_texts=64,
        docids=docids,
        length=tiny.length,
        shortest_span=tiny.shortest_span,
        longest_span=tiny.longest_span,
    )
    small = with_retrieval(small, model=TINY.retrieval.model, optimiser=TINY.retrieval.optimiser)
    few, augmentation = settings.corpus.training_queries, settings.augmentation
    schemes = tuple(_small_scheme(scheme, augmentation) for scheme in settings.docids.schemes)
    if augmentation.generator is not None:
        augmentation = dataclasses.replace(augmentation, generator=_small_scheme(augmentation.generator, augmentation))
    small = dataclasses.replace(
        small,
        corpus=dataclasses.replace(TINY.corpus, training_queries=few),
        vocabulary=TINY.vocabulary,
        augmentation=augmentation,
        docids=dataclasses.replace(settings.docids, schemes=schemes, max_length=TINY.docids.max_length),
        mesh=MeshConfig(),
    )
    return _with_self_negatives(small, steps=20, learning_rate=1e-3).renamed("debug")


def _small_scheme(scheme: Scheme, augmentation: AugmentationConfig) -> Scheme:
    if not isinstance(scheme, PseudoQueries):
        return scheme
    shared = {name: getattr(TINY_FUSION, name) for name in ("model", "optimiser", "pairs", "document_length")}
    return dataclasses.replace(scheme, **shared, beams=max(TINY_FUSION.beams, augmentation.generated))
