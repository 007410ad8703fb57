"""Each section of an experiment refuses bad values when it is made, and names the field."""

import pytest

from gr2_jax.errors import SettingError, UserError
from gr2_jax.experiment import (
    AugmentationConfig,
    BatchConfig,
    CorpusConfig,
    DocidConfig,
    EvaluationConfig,
    Experiment,
    FusionObjective,
    GradedPairs,
    LoopConfig,
    MeshConfig,
    ModelConfig,
    OptimiserConfig,
    PairsConfig,
    Pretraining,
    RetrievalConfig,
    RetrievalObjective,
    VocabularyConfig,
)
from gr2_jax.pipeline.rows import BM25Row, DenseRow, LSARow, SelfNegatives, System, ViewsRow
from gr2_jax.pipeline.schemes import (
    FusionQueries,
    HierarchicalCodes,
    PlainQueries,
    ProductCodes,
    ResidualCodes,
    Titles,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("section", "field", "values"),
    [
        (CorpusConfig, "validation_queries", [-1, 1.5e400, "3", True]),
        (CorpusConfig, "test_queries", [0, -1]),
        (CorpusConfig, "folds", [1, -1]),
        (CorpusConfig, "documents", [0]),
        (CorpusConfig, "training_queries", [-1]),
        (CorpusConfig, "known_items", [-1]),
        (CorpusConfig, "unknown", ["keep"]),
        (CorpusConfig, "empty_documents", ["dorp", None]),
        (CorpusConfig, "unjudged_queries", ["keep"]),
        (VocabularyConfig, "size", [0]),
        (VocabularyConfig, "characters", [0]),
        (VocabularyConfig, "extra_ids", [-1]),
        (AugmentationConfig, "entities", [-1]),
        (AugmentationConfig, "generated", [-1]),
        (DocidConfig, "max_length", [0]),
        (DocidConfig, "schemes", [(Titles(), Titles())]),
        (ModelConfig, "preset", ["bass"]),
        (ModelConfig, "num_encoder_layers", [-1]),
        (ModelConfig, "num_decoder_layers", [-1]),
        (ModelConfig, "dropout_rate", [-0.1, 1.0, 1.1, NAN]),
        (ModelConfig, "dtype", ["float16"]),
        (ModelConfig, "remat", ["some"]),
        (ModelConfig, "scan_layers", [1]),
        (OptimiserConfig, "steps", [0]),
        (OptimiserConfig, "learning_rate", [0.0, -1.0, NAN]),
        (OptimiserConfig, "warmup_steps", [-1]),
        (OptimiserConfig, "weight_decay", [-1.0]),
        (OptimiserConfig, "b2", [1.1]),
        (OptimiserConfig, "kind", ["adamw"]),
        (RetrievalObjective, "gamma", [-1.0, NAN]),
        (RetrievalObjective, "graded", ["mgc"]),
        (RetrievalObjective, "temperature", [0.0]),
        (RetrievalObjective, "penalty", ["ranks"]),
        (RetrievalObjective, "constraint", ["on"]),
        (RetrievalObjective, "bound", ["pairs"]),
        (RetrievalObjective, "bound_gradient", [1]),
        (RetrievalObjective, "denominator", ["all"]),
        (RetrievalObjective, "similarity", ["cos"]),
        (RetrievalObjective, "label_smoothing", [1.5]),
        (FusionObjective, "alpha", [-1.0]),
        (FusionObjective, "beta", [-1.0]),
        (FusionObjective, "label_smoothing", [-0.1]),
        (BatchConfig, "queries", [0]),
        (BatchConfig, "docids", [0]),
        (BatchConfig, "indexing_texts", [0]),
        (BatchConfig, "pseudo_share", [1.1]),
        (BatchConfig, "shortest_span", [0]),
        (BatchConfig, "longest_span", [25, 5]),  # the length is 24, the shortest span 6
        (BatchConfig, "length", [0]),
        (BatchConfig, "microbatches", [0]),
        (RetrievalConfig, "evaluate_every", [-1]),
        (EvaluationConfig, "exact", ["adaptve"]),
        (EvaluationConfig, "beams", [0, 20_000]),
        (EvaluationConfig, "batch", [0]),
        (EvaluationConfig, "max_beams", [0, 10_001]),
        (EvaluationConfig, "exhaustive_limit", [-1]),
        (EvaluationConfig, "smoothing", [-1, NAN]),
        (EvaluationConfig, "length_penalty", [NAN]),
        (EvaluationConfig, "query_length", [0]),
        (GradedPairs, "rate", [0.0, -1.0]),
        (PairsConfig, "judged", [0]),
        (PairsConfig, "document_length", [0]),
        (PairsConfig, "shards", [0]),
        (PairsConfig, "sources", [(GradedPairs("a"),) * 16]),
        (MeshConfig, "replica", [0]),
        (MeshConfig, "data", [-2]),
        (MeshConfig, "fsdp", [1.0]),
        (MeshConfig, "tensor", [0]),
        (LoopConfig, "checkpoint_seconds", [-1.0]),
        (LoopConfig, "checkpoint_steps", [-1]),
        (LoopConfig, "watchdog_seconds", [-1.0]),
        (LoopConfig, "ahead", [-1]),
        (LoopConfig, "profile", [(3,), (5, 3), (-1, 3)]),
        (Experiment, "seed", [-1]),
        (Experiment, "rows", [(LSARow(), LSARow()), (BM25Row(), System("BM25", "title"))]),
        (Pretraining, "seed", [-1]),
        (System, "steps_factor", [0.0, NAN]),
        (SelfNegatives, "steps", [0]),
        (SelfNegatives, "learning_rate", [0.0]),
        (SelfNegatives, "negatives", [0]),
        (SelfNegatives, "weight", [-1.0]),
        (SelfNegatives, "depth", [3, 21]),  # between the negatives and the beams
        (DenseRow, "steps_factor", [0.0]),
        (DenseRow, "temperature", [0.0]),
        (DenseRow, "document_length", [0]),
        (ResidualCodes, "levels", [0]),
        (ProductCodes, "codes", [0]),
        (HierarchicalCodes, "branches", [1]),
        (HierarchicalCodes, "leaf", [0]),
        (PlainQueries, "pairs", [0]),
        (PlainQueries, "document_length", [0]),
        (PlainQueries, "beams", [0]),
        (PlainQueries, "label_smoothing", [2.0]),
        (FusionQueries, "beams", [0]),
        (FusionQueries, "latent", ["memories"]),
        (FusionQueries, "radius", [-1.0]),
        (FusionQueries, "radii", [(1.0, -1.0)]),
        (FusionQueries, "latents", [0]),
        (FusionQueries, "resamples", [-1]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_section_refuses_bad_values_and_names_the_field(section, field, values):
    needed = {
        Experiment: {"name": "x"},
        Pretraining: {"name": "x"},
        GradedPairs: {"directory": "d"},
        System: {"name": "a", "docids": "title"},
        SelfNegatives: {"of": "a"},
    }.get(section, {})
    section(**needed)
    for value in values:
        with pytest.raises(SettingError, match=rf"^{section.__name__}\.{field} ") as refused:
            section(**needed | {field: value})
        assert refused.value.field == field
        assert isinstance(refused.value, UserError)


@pytest.mark.parametrize(
    ("section", "settings", "field"),
    [
        (EvaluationConfig, {"length_penalty": 0.5, "exact": "adaptive"}, "exact"),
        (EvaluationConfig, {"length_penalty": 0.5, "exact": "exhaustive"}, "exact"),
        (BatchConfig, {"queries": 30, "microbatches": 4}, "queries"),
        (BatchConfig, {"indexing_texts": 30, "queries": 32, "microbatches": 4}, "indexing_texts"),
        (MeshConfig, {"data": -1, "fsdp": -1}, "data"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(section, settings, field):
    with pytest.raises(SettingError) as refused:
        section(**settings)
    assert refused.value.field == field


def test_a_measure_that_does_not_exist_is_refused_when_the_section_is_made():
    with pytest.raises(UserError, match=r"did you mean 'nDCG@5'\?"):
        EvaluationConfig(measures=("ndcg@5",))


@pytest.mark.parametrize("kind", [BM25Row, LSARow, DenseRow])
@pytest.mark.parametrize("name", ["", "a b", "a/b", "../a", ".a", "provenance", "a\n"])
def test_a_row_must_have_a_name_that_a_file_can_have(kind, name):
    with pytest.raises(SettingError, match=r"name is .*: use letters, digits and \. \+ - _"):
        kind(name)


@pytest.mark.parametrize("name", ["GR2S", "GR2S-1.05", "v1.5+queries", "grün", "9_x"])
def test_names_of_rows_may_hold_dots_and_other_signs_of_file_names(name):
    assert System(name, "title").name == ViewsRow(name, ("a", "b")).name == name


def test_a_section_that_a_kind_of_experiment_does_not_have_is_refused_by_name():
    with pytest.raises(SettingError, match=r"Pretraining\.rows does not exist, so this change is not for wikipedia"):
        Pretraining(name="wikipedia").section("rows")
    assert Experiment(name="x", rows=(LSARow(),)).section("rows") == (LSARow(),)


def test_a_later_option_at_its_default_decides_nothing_so_that_lists_of_before_stay():
    assert "smoothing" not in EvaluationConfig().decides
    assert EvaluationConfig(smoothing=1.0).decides["smoothing"] == 1.0
    assert "table" not in EvaluationConfig(table="sharded").decides
