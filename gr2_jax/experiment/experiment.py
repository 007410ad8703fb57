"""The typed experiment: frozen sections, each owned and checked by the part of the package that it configures."""

import dataclasses
from collections.abc import Collection

from gr2_jax.corpus.settings import CorpusConfig
from gr2_jax.data.batches import BatchConfig
from gr2_jax.data.vocabulary import VocabularyConfig
from gr2_jax.errors import SettingError, check_above_zero, check_least
from gr2_jax.evaluation.settings import EvaluationConfig
from gr2_jax.experiment.row import Row
from gr2_jax.experiment.scheme import DocidConfig, Scheme
from gr2_jax.models.settings import ModelConfig
from gr2_jax.objectives.graded import RetrievalObjective
from gr2_jax.training.loop_config import LoopConfig
from gr2_jax.training.mesh import MeshConfig
from gr2_jax.training.optimiser import OptimiserConfig


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Pseudo-queries of the documents, beside their titles, leading paragraphs and leading sentences.

    entities     names per document that are pseudo-queries
    passages     how many passages of 512 tokens training reads of a document, from its beginning
    generated    pseudo-queries per document, which `generator` writes (as DSI-QG does)
    generator    a `gr2_jax.pipeline.schemes.PlainQueries`; None: one with the default settings
    """

    entities: int = 3
    passages: int = 1
    generated: int = 0
    generator: Scheme | None = None

    def __post_init__(self):
        check_least(self, 0, "entities", "generated")
        check_least(self, 1, "passages")


@dataclasses.dataclass(frozen=True)
class RetrievalConfig:
    """The retrieval model and its training (paper 4.2), for fine-tuning and pre-training alike.

    model, optimiser, objective, batch    the model, its training, the loss and what a batch holds
    evaluate_every    steps after which the validation queries are searched and scored, into validation.jsonl beside the
                      checkpoints; 0: never
    """

    model: ModelConfig = ModelConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    objective: RetrievalObjective = dataclasses.field(default_factory=RetrievalObjective)
    batch: BatchConfig = BatchConfig()
    evaluate_every: int = 0

    def __post_init__(self):
        check_least(self, 0, "evaluate_every")


@dataclasses.dataclass(frozen=True)
class GradedPairs:
    """One source of pre-training.

    directory    the folder that `gr2 wikipedia` or `gr2 pairs` wrote
    rate         among the sources: how often a batch draws from it
    """

    directory: str
    rate: float = 1.0

    def __post_init__(self):
        check_above_zero(self, "rate")


@dataclasses.dataclass(frozen=True)
class PairsConfig:
    """What pre-training reads.

    sources          of different articles; a title that two of them have is two documents
    judged           documents of a query that a batch knows of, those of the best grades where there are more
    document_length  tokens kept of an article's text
    shards           files of tokenised examples for each source
    """

    sources: tuple[GradedPairs, ...] = ()
    judged: int = 24
    document_length: int = 512
    shards: int = 16

    def __post_init__(self):
        check_least(self, 1, "judged", "document_length", "shards")
        if len(self.sources) > 15:
            raise SettingError(self, "sources", f"has {len(self.sources)} entries: pre-training mixes at most 15")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every experiment has: what decides a run's bytes, where they go, and on which devices they are computed.

    name       of the experiment
    workdir    where the run goes; by default runs/<name>, of the name that the experiment is made with
    seed       of every random draw
    """

    name: str
    workdir: str = ""
    seed: int = 0
    vocabulary: VocabularyConfig = VocabularyConfig()
    docids: DocidConfig = DocidConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    mesh: MeshConfig = MeshConfig()
    loop: LoopConfig = LoopConfig()

    rows = ()  # a kind of experiment that compares rows has them as a field

    def __post_init__(self):
        check_least(self, 0, "seed")
        if not self.workdir:
            object.__setattr__(self, "workdir", f"runs/{self.name}")

    def renamed(self, word: str):
        """With `-word` after its name and its workdir: another run, beside the first."""
        return dataclasses.replace(self, name=f"{self.name}-{word}", workdir=f"{self.workdir}-{word}")

    def section(self, name: str):
        """A section by its name; raises `UserError` where this kind of experiment has none."""
        if name not in {field.name for field in dataclasses.fields(self)}:
            raise SettingError(self, name, f"does not exist, so this change is not for {self.name}")
        return getattr(self, name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment(Settings):
    """A run over one collection: docids, trained rows, and the table that compares them.

    rows    of the table, in its order
    """

    corpus: CorpusConfig = CorpusConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    rows: tuple[Row, ...] = ()
    evaluation: EvaluationConfig = EvaluationConfig()

    def __post_init__(self):
        super().__post_init__()
        names = [row.name for row in self.rows]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise SettingError(self, "rows", f"has two rows named '{repeated}': give one another name")

    def only(self, names: Collection[str]) -> "Experiment":
        """With these rows alone, in the table's order, the docid schemes that they write, and the rows that those
        schemes are made of."""
        written = {scheme for row in self.rows if row.name in names for scheme in row.writes}
        schemes = tuple(scheme for scheme in self.docids.schemes if scheme.name in written)
        docids = dataclasses.replace(self.docids, schemes=schemes)
        rows = tuple(row for row in self.rows if row.name in {*names, *docids.reads})
        return dataclasses.replace(self, rows=rows, docids=docids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretraining(Settings):
    """Pre-training on graded pairs (GR2P): Eq. 10 with articles' titles as docids. Everything is read from files."""

    pairs: PairsConfig = PairsConfig()
    docids: DocidConfig = DocidConfig(max_length=15)
    retrieval: RetrievalConfig = RetrievalConfig(
        model=ModelConfig(lsa_start=False), batch=BatchConfig(pseudo_share=0.0)
    )
    loop: LoopConfig = LoopConfig(checkpoint_seconds=600.0)
