"""The training step of a retrieval model: the one that rows train by, pre-training trains by, and plans compile."""

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from gr2_jax.experiment import BatchConfig, OptimiserConfig, RetrievalObjective, Settings
from gr2_jax.losses import penalty_parameters
from gr2_jax.models import GR2
from gr2_jax.objectives.retrieval import retrieval_loss
from gr2_jax.training.flops import StepShape, training_flops
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.mesh import Batches
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.step import Loss


@dataclasses.dataclass(frozen=True, eq=False)
class RetrievalStep:
    """Eq. 10 on one model, with its optimiser and its cost.

    docid_length     tokens of a docid at most, EOS included
    docid_table      every document's docid; None where batches bring the docids of their documents
    columns          the column of the model's logits for each token; None where each token has its own
    negatives        mined documents per query, and `negatives_weight` of `gr2_jax.losses.self_negative_loss`
    """

    model: GR2
    objective: RetrievalObjective
    optimiser: OptimiserConfig
    batch: BatchConfig
    num_grades: int
    docid_length: int
    docid_table: Int[np.ndarray, "N T"] | None = None
    columns: Int[np.ndarray, "V"] | None = None
    negatives: int = 0
    negatives_weight: float = 1.0

    @cached_property
    def loss(self) -> Loss:
        columns = np.arange(self.model.config.vocab_size) if self.columns is None else self.columns
        return partial(
            retrieval_loss,
            model=self.model,
            objective=self.objective,
            docid_table=None if self.docid_table is None else jnp.asarray(self.docid_table),
            target_columns=jnp.asarray(columns),
            num_grades=self.num_grades,
            microbatches=self.batch.microbatches,
            self_negative_weight=self.negatives_weight,
        )

    def trained(self, params: dict) -> dict:
        """The parameters that the step trains: the model's and, where the objective learns its penalty, the penalty's,
        which begins at the paper's values. A search reads the model's alone."""
        learns = self.objective.penalty == "learnable"
        return params | ({"penalty": penalty_parameters("rank", self.num_grades)} if learns else {})

    @property
    def flops(self) -> float:
        """FLOPs of one step over all devices."""
        batch = self.batch
        shape = StepShape(
            queries=batch.queries,
            docids=batch.docids + self.negatives,
            documents=batch.long_documents or batch.indexing_texts,
            texts=batch.indexing_texts - batch.long_documents if batch.long_documents else 0,
            query_length=batch.length,
            document_length=batch.document_length or batch.length,
            docid_length=self.docid_length,
            outputs=self.outputs,
            encoder_reads_docids=self.objective.trains_vectors and self.objective.docid_reader == "encoder",
        )
        return training_flops(self.model.config, shape)

    @property
    def outputs(self) -> int:
        """Tokens that the model can write."""
        written = self.model.docid_vocabulary
        return self.model.config.vocab_size if written is None else len(written)

    def job(self, label: str, batches: Batches, settings: Settings, query: Callable[[np.ndarray], str]) -> TrainingJob:
        """The training by this step; `query` gives the text of a query's tokens, for messages."""
        return TrainingJob(
            label=label,
            loss=self.loss,
            batches=batches,
            optimiser=make_optimiser(self.optimiser),
            steps=self.optimiser.steps,
            seed=settings.seed,
            mesh=settings.mesh,
            loop=settings.loop,
            query=query,
            flops=self.flops,
        )
