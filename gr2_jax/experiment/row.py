"""A row of the table: something that ranks documents for queries."""

import abc
import dataclasses

import numpy as np
from jaxtyping import Float, Int

from gr2_jax.errors import SettingError, check_name
from gr2_jax.search.dense import DenseIndex
from gr2_jax.search.searcher import Searcher

OLD = "old"  # the folder of runs/ for lists that the table no longer reads


@dataclasses.dataclass(frozen=True)
class Row(abc.ABC):
    """One row of the table. A new kind of row is a subclass in `gr2_jax.pipeline.rows`: its fields are its settings.

    Each method is given the `gr2_jax.pipeline.run.Run` that the row belongs to.

    name    in the table, and of the row's files
    """

    name: str

    def __post_init__(self):
        check_name(self, "name", self.name)
        if self.name == OLD:
            raise SettingError(self, "name", f"is '{OLD}', the folder of runs/ for earlier lists: give another")

    def check(self, run) -> None:  # noqa: B027, most rows have nothing to refuse
        """Raises `UserError` for settings that cannot work; called before the first stage."""

    @property
    def reads_text_alone(self) -> bool:
        """Whether it compares the words of queries and documents, and needs no more than the collection and its split:
        it is then searched before anything is trained."""
        return False

    @property
    def writes(self) -> tuple[str, ...]:
        """The names of the docid schemes that it needs."""
        return ()

    def train(self, run) -> None:  # noqa: B027
        """Trains what the row needs, continuing from what is there; every process of a job takes part."""

    @abc.abstractmethod
    def fingerprint(self, run) -> str:
        """The fingerprint of everything that decides the row's lists."""

    @abc.abstractmethod
    def open(self, run, step: int | None = None) -> Searcher:
        """The row as it can be asked, at a checkpoint's step where it has checkpoints (default: the newest).

        Raises `UserError` where that is impossible, such as for documents without a word: the table then has a line of
        dashes and the reason, and its other rows.
        """

    def models(self, run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        """For each trained model that the row reads: its fingerprints and its checkpoint's step."""
        return {}

    def depth(self, run) -> int:
        """Documents of a list, at most."""
        return 100

    def train_seconds(self, run) -> float | None:
        """Seconds of training that went into the row; None where nothing is trained."""
        return None


class VectorRow(Row):
    """A row with a vector for every document, of which a docid scheme may be made. The row is trained before it."""

    @abc.abstractmethod
    def open(self, run, step: int | None = None) -> DenseIndex: ...

    @abc.abstractmethod
    def vectors_fingerprint(self, run) -> str:
        """The fingerprint of everything that decides the vectors, known before the row is trained."""

    @abc.abstractmethod
    def document_vectors(self, run) -> Float[np.ndarray, "N F"]:
        """Those of the collection, mapped from the disk, once the row is trained."""

    @abc.abstractmethod
    def encode_documents(self, run, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n F"]:
        """Those of the documents `rows` of `run`, which may have come after the training."""
