"""Query generation alone, with attention to every token of the document: the paper's variant without fusion (-RF)."""

import dataclasses
from functools import partial

import jax

from gr2_jax.docids import Writer, Writing, query_writer
from gr2_jax.errors import SettingError, check_share
from gr2_jax.experiment import Experiment
from gr2_jax.models import T5, shift_right
from gr2_jax.objectives.docids import query_generation_loss
from gr2_jax.pipeline.initial_weights import weights_fingerprint
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.training.step import Loss


def generator_of(experiment: Experiment) -> "PlainQueries | None":
    """The writer of an experiment's generated queries, None where it has none. It writes whole queries: docids are
    short, but as augmentation a query may be as long as an encoder input."""
    if not experiment.augmentation.generated:
        return None
    given = experiment.augmentation.generator or PlainQueries()
    if not isinstance(given, PlainQueries):
        raise SettingError(
            experiment.augmentation, "generator", f"is {type(given).__name__}: only PlainQueries writes queries"
        )
    return dataclasses.replace(given, name="generated", max_length=experiment.retrieval.batch.length)


@dataclasses.dataclass(frozen=True)
class PlainQueries(PseudoQueries):
    """A T5 that writes a query for a document, and the best that beam search finds.

    label_smoothing    share of each token's label that is spread over the vocabulary
    """

    name: str = "qg"
    label_smoothing: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        check_share(self, "label_smoothing")

    def training_settings(self) -> list:
        shape = [self.pairs, self.document_length, self.label_smoothing]
        return [self.model, weights_fingerprint(self.model), self.optimiser, shape]

    def writing_settings(self) -> list:
        return [self.beams, self.max_length]

    def network(self, vocab_size: int) -> T5:
        return T5(self.model.t5(vocab_size))

    def loss(self, network: T5) -> Loss:
        return partial(query_generation_loss, model=network, label_smoothing=self.label_smoothing)

    def initial(self, network: T5, seed: int, documents, queries) -> dict:
        return {"t5": network.init(jax.random.key(seed), documents, queries)["params"]}

    def logits(self, network: T5, params: dict, documents, queries) -> jax.Array:
        return network.apply({"params": params["t5"]}, documents, shift_right(queries))

    def writer(self, network: T5, params: dict, writing: Writing) -> Writer:
        return query_writer(network, params, writing)
