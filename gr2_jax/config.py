"""The typed experiment: frozen dataclasses, filled by a config file and changed by `--section.field value`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from gr2_jax.errors import UserError
from gr2_jax.models import EOS_ID, T5Config, load_t5_config, preset
from gr2_jax.models.fusion import Latent
from gr2_jax.training.docid_objectives import FusionObjective
from gr2_jax.training.flops import StepShape
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import MeshConfig
from gr2_jax.training.objectives import RetrievalObjective
from gr2_jax.training.optimiser import Kind


@dataclasses.dataclass(frozen=True)
class CorpusConfig:
    """Where the collection comes from (`gr2_jax.corpus.open_collection`) and how its queries are split.

    documents         all judged documents and a random sample of the others, so many together (`gr2_jax.corpus.subset`)
    training_queries  low resource: so many of the training queries, by seed, the fewer among the more
    folds             every query is tested in one of the folds, and `test_queries` is not used
    """

    source: str = "apidocs"
    documents: int | None = None
    training_queries: int | None = None
    empty_documents: Literal["error", "drop"] = "error"
    unjudged_queries: Literal["error", "drop"] = "error"
    validation_queries: int = 300
    test_queries: int = 300
    folds: int = 0


@dataclasses.dataclass(frozen=True)
class VocabularyConfig:
    """`size` pieces learnt from at most `characters` of training text, then `extra_ids` for codes and suffixes.

    `model` is a SentencePiece file to use instead, such as a T5's own `spiece.model` (which has 100 extra ids).
    """

    size: int = 8192
    characters: int = 2_000_000
    extra_ids: int = 256
    model: str | None = None


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A preset of `gr2_jax.models` with its depth, or the T5 of `weights`; `dropout_rate` is that of training.

    weights       a checkpoint, a Hugging Face directory or hub name, as `gr2_jax.models.load_t5` reads them
    lsa_start     without weights, starting values come from the corpus
    dtype, scan_layers, remat    how it is computed, see `gr2_jax.models.T5Config`
    """

    preset: str = "scratch"
    num_encoder_layers: int = 0
    num_decoder_layers: int = 1
    dropout_rate: float = 0.1
    lsa_start: bool = True
    weights: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    scan_layers: bool = False
    remat: Literal["none", "minimal", "full"] = "none"

    @property
    def starts_from_lsa(self) -> bool:
        return self.lsa_start and self.weights is None

    @property
    def input_end(self) -> int | None:
        """The token that ends every encoder input: EOS for trained weights, which expect it, else none."""
        return None if self.weights is None else EOS_ID

    def t5(self, vocab_size: int) -> T5Config:
        """The model for a vocabulary of this size; a `UserError` where `weights` have fewer rows than that."""
        computing = {name: getattr(self, name) for name in ("dropout_rate", "dtype", "scan_layers", "remat")}
        if self.weights is None:
            depth = {name: getattr(self, name) for name in ("num_encoder_layers", "num_decoder_layers")}
            return preset(self.preset, vocab_size=vocab_size, **depth, **computing)
        config = load_t5_config(self.weights)
        if config.vocab_size < vocab_size:
            raise UserError(
                f"the vocabulary has {vocab_size} ids and the model of {self.weights} {config.vocab_size} rows: "
                "give its own SentencePiece file as vocabulary.model, and fewer vocabulary.extra_ids"
            )
        return dataclasses.replace(config, **computing)


@dataclasses.dataclass(frozen=True)
class OptimiserConfig:
    """See `gr2_jax.training.optimiser`."""

    steps: int = 1000
    learning_rate: float = 1e-2
    warmup_steps: int = 25
    b2: float = 0.98
    weight_decay: float = 0.0
    kind: Kind = "adam"


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """What a retrieval batch holds; see `gr2_jax.data.batches.BatchShape`.

    entities        per document, as pseudo-queries, beside its title, leading paragraphs and sentences
    generated       further pseudo-queries per document, which the plain query generator `qg` writes (as DSI-QG)
    microbatches    parts that the model reads one after the other, while the loss sees the whole batch
    """

    queries: int = 76
    docids: int = 2
    documents: int = 180
    pseudo_share: float = 0.3
    entities: int = 3
    generated: int = 0
    shortest_span: int = 6
    longest_span: int = 24
    length: int = 24
    microbatches: int = 1

    def step_shape(self, docid_length: int, outputs: int, negatives: int = 0) -> StepShape:
        """What a step reads, where every query also has so many docids as negatives."""
        docids = self.docids + negatives
        return StepShape(self.queries, docids, self.documents, self.length, self.length, docid_length, outputs)


@dataclasses.dataclass(frozen=True)
class DocidConfig:
    """Docid schemes to make (`gr2_jax.pipeline.schemes.SCHEMES`), each unique over the corpus.

    max_length        tokens per docid at most, its end not counted
    codebooks, codes  of `rq` and `pq`: how many codes spell a docid, and how many values each has
    branches, leaf    of `hierarchical`: clusters per level, and the largest cluster that is not divided further
    """

    schemes: tuple[str, ...] = ("title", "fusion")
    max_length: int = 8
    codebooks: int = 3
    codes: int = 64
    branches: int = 10
    leaf: int = 100


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """The docid model (paper 4.1): its own T5 parts, Eq. 3, and how pseudo-queries are drawn from it.

    latent     how a representation enters the decoder, see `gr2_jax.models.fusion`
    radius     |r|; with `radii`, the one of them that validation prefers, see `gr2_jax.pipeline.schemes.radius`
    beams      candidates per latent
    latents    points z of the sphere per document whose candidates make up its list
    resamples  further points, for documents whose candidates are all taken

    The scheme `qg`, plain query generation, is trained and searched with the same settings, and has no latents.
    """

    model: ModelConfig = ModelConfig(num_encoder_layers=1)
    latent: Latent = "memory"
    optimiser: OptimiserConfig = OptimiserConfig(steps=200)
    objective: FusionObjective = dataclasses.field(default_factory=FusionObjective)
    pairs: int = 128
    document_length: int = 64
    radius: float = 2.0
    radii: tuple[float, ...] = ()
    beams: int = 8
    latents: int = 1
    resamples: int = 2


@dataclasses.dataclass(frozen=True)
class System:
    """One trained row of the table: which docids, what it changes of the objective, and its share of the steps.

    `System("MLE", "title", objective={"gamma": 0.0})` is `RetrievalConfig.objective` with gamma 0.
    `System("GR2S-negatives", "title", self_negatives_of="GR2S")` goes on from the weights of GR2S, a row above it that
    writes the same docids, with `RetrievalConfig.self_negatives`; it does not take over what GR2S changes of the
    objective, and a learnable penalty begins anew.
    """

    name: str
    docids: str
    objective: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    steps: float = 1.0
    self_negatives_of: str | None = None


@dataclasses.dataclass(frozen=True)
class SelfNegativeConfig:
    """Fine-tuning of a trained system against the docids that it ranks high and wrongly (paper 5.1, after RIPOR).

    steps, learning_rate    of the fine-tuning; the rest is `RetrievalConfig.optimiser`'s
    beams, depth            width of the search over the training queries, and how many of the documents found that are
                            not judged relevant are kept for each
    negatives               H, how many of these a batch holds per query, drawn anew each time
    weight                  of `gr2_jax.losses.self_negative_loss`
    """

    steps: int = 200
    learning_rate: float = 1e-3
    beams: int = 20
    depth: int = 10
    negatives: int = 4
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class ViewsRow:
    """One row of the table that reads several trained systems together, each on its own docids
    (`gr2_jax.evaluation.views`)."""

    name: str
    systems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class DenseRow:
    """One row of the table that writes nothing: a bi-encoder, which compares a query with vectors of the documents.

    It is the encoder of `RetrievalConfig.model` alone, with the same start, optimiser and batches as the systems; with
    0 encoder layers it is a bag of words. It reads the first `document_length` tokens of a document.
    """

    name: str = "Dense"
    steps: float = 1.0
    temperature: float = 0.05
    document_length: int = 64


@dataclasses.dataclass(frozen=True)
class RetrievalConfig:
    """The retrieval model and its training (paper 4.2).

    evaluate_every    steps after which the validation queries are searched and scored, into validation.jsonl beside the
                      checkpoints; 0: never
    """

    model: ModelConfig = ModelConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    objective: RetrievalObjective = dataclasses.field(default_factory=RetrievalObjective)
    batch: BatchConfig = BatchConfig()
    self_negatives: SelfNegativeConfig = SelfNegativeConfig()
    systems: tuple[System, ...] = (System("GR2S", "title"), System("MLE", "title", {"gamma": 0.0}))
    views: tuple[ViewsRow, ...] = ()
    dense: tuple[DenseRow, ...] = ()
    evaluate_every: int = 0

    def optimiser_of(self, system: System) -> OptimiserConfig:
        """Steps and learning rate of this system's training, or of its fine-tuning."""
        stage = self.optimiser if system.self_negatives_of is None else self.self_negatives
        steps = round(stage.steps * system.steps)
        warmup = self.optimiser.warmup_steps
        if system.self_negatives_of is not None:
            warmup = round(warmup * stage.steps / self.optimiser.steps)
        return dataclasses.replace(self.optimiser, steps=steps, learning_rate=stage.learning_rate, warmup_steps=warmup)

    def objective_of(self, system: System) -> RetrievalObjective:
        """The objective with what this system changes of it."""
        return dataclasses.replace(self.objective, **system.objective)


@dataclasses.dataclass(frozen=True)
class GradedPairs:
    """One source of pre-training: what `gr2 wikipedia` left in `directory`, and its rate among the sources."""

    directory: str
    rate: float = 1.0


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """Pre-training on graded pairs (GR2P): Eq. 10 with articles' titles as docids. Everything is read from files.

    sources          of different articles; a title that two of them have is two documents
    judged           documents of a query that a batch knows of, those of the best grades where there are more
    docid_length     tokens of a title at most, its end included
    document_length  tokens kept of an article's text
    shards           files of tokenised examples for each source
    """

    name: str = "wikipedia"
    workdir: str = "runs/wikipedia"
    seed: int = 0
    sources: tuple[GradedPairs, ...] = ()
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: ModelConfig = ModelConfig(lsa_start=False)
    optimiser: OptimiserConfig = OptimiserConfig()
    objective: RetrievalObjective = dataclasses.field(default_factory=RetrievalObjective)
    batch: BatchConfig = BatchConfig(pseudo_share=0.0)
    judged: int = 24
    docid_length: int = 16
    document_length: int = 512
    shards: int = 16
    mesh: MeshConfig = MeshConfig()
    loop: LoopConfig = LoopConfig(checkpoint_seconds=600.0)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How to search, see `gr2_jax.evaluation.retriever.SearchOptions`, and the measures: ir_measures' names, or none
    for the paper's, of which there is a set for graded and one for binary judgements."""

    beams: int = 20
    batch: int = 50
    exact: str = "no"
    max_beams: int = 1000
    exhaustive_limit: int = 300_000
    length_penalty: float | None = None
    query_length: int = 64
    measures: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that decides a run's bytes, where they go, and on which mesh of devices they are computed."""

    name: str = "quickstart"
    workdir: str = "runs/quickstart"
    seed: int = 0
    corpus: CorpusConfig = CorpusConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    docids: DocidConfig = DocidConfig()
    fusion: FusionConfig = FusionConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    mesh: MeshConfig = MeshConfig()
    loop: LoopConfig = LoopConfig()
