"""Query generation alone, every token of the document attended to: the paper's variant without fusion (-RF)."""

from functools import cached_property

import jax

from gr2_jax.config import Experiment
from gr2_jax.docids import Writer, query_writer
from gr2_jax.models import T5, shift_right
from gr2_jax.pipeline.schemes.generated import PseudoQueries
from gr2_jax.pipeline.semantics import weights_fingerprint
from gr2_jax.training.docid_objectives import query_generation_loss


class PlainQueries(PseudoQueries):
    loss = staticmethod(query_generation_loss)

    @classmethod
    def training_settings(cls, experiment: Experiment) -> list:
        fusion = experiment.fusion
        shape = [fusion.pairs, fusion.document_length, fusion.objective.label_smoothing]
        return [fusion.model, weights_fingerprint(fusion.model), fusion.optimiser, shape]

    @classmethod
    def writing_settings(cls, experiment: Experiment) -> int:
        return experiment.fusion.beams

    @cached_property
    def model(self) -> T5:
        return T5(self.experiment.fusion.model.t5(self.sources.tokenizer.size))

    def initial(self, document_tokens, query_tokens) -> dict:
        return {"t5": self.model.init(jax.random.key(self.experiment.seed), document_tokens, query_tokens)["params"]}

    def logits(self, params: dict, document_tokens, query_tokens) -> jax.Array:
        return self.model.apply({"params": params["t5"]}, document_tokens, shift_right(query_tokens))

    @cached_property
    def writer(self) -> Writer:
        return query_writer(self.model, self.params, self.writing)
