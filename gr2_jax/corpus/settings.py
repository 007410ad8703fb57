"""The experiment's section about its collection."""

import dataclasses
from typing import Literal

from gr2_jax.errors import SettingError, check_choices, check_least


@dataclasses.dataclass(frozen=True)
class CorpusConfig:
    """Where the collection comes from (`gr2_jax.corpus.open_collection`) and how its queries are split.

    source            apidocs, irds:<id>, wikipedia:DIR, a folder or a file of documents
    around            another source, whose documents are searched beside the collection's; its queries are not used
                      (`gr2_jax.corpus.surrounded`). "": none
    documents         keep all judged documents, and a random sample of the others, up to this number in all
                      (`gr2_jax.corpus.subset`)
    training_queries  low resource: a random subset of this size of the training queries; smaller ones are nested in
                      larger ones; with 0 training has the augmentation alone
    empty_documents   documents without text: "error" refuses the collection, "drop" leaves them out
    unjudged_queries  queries without a positive judgement: the same
    validation_queries, test_queries    queries that are held out
    folds             0: one split; 2 or more: every query is tested in one of the folds, and `test_queries` is not used
    known_items       this many documents lend a sentence each as a query, in place of the collection's own: half for
                      validation, half for tests (`gr2_jax.corpus.lend_sentences`). A sentence is taken out of its
                      document's text; training sees the augmentation alone. None: the collection's own queries
    unknown           judgements of documents or queries that are not there: an error, or to be left out
    split_seed        draws the split, the sample of documents and that of training queries; the experiment's own seed
                      moves none of them, so that runs of several seeds are tested on the same queries
    """

    source: str = "apidocs"
    documents: int | None = None
    training_queries: int | None = None
    empty_documents: Literal["error", "drop"] = "error"
    unjudged_queries: Literal["error", "drop"] = "error"
    unknown: Literal["error", "drop"] = "error"
    validation_queries: int = 300
    test_queries: int = 300
    folds: int = 0
    known_items: int | None = None
    split_seed: int = 0
    around: str = ""

    @property
    def described(self) -> str:
        """The source or both, for people."""
        return f"{self.source}, with {self.around} around it" if self.around else self.source

    @property
    def validates(self) -> bool:
        """Whether there may be validation queries."""
        return bool(self.validation_queries or self.known_items)

    def __post_init__(self):
        check_choices(self)
        optional = [name for name in ("training_queries", "known_items") if getattr(self, name) is not None]
        check_least(self, 0, "validation_queries", "folds", "split_seed", *optional)
        check_least(self, 1, *(["documents"] if self.documents is not None else []))
        if self.test_queries < 1 and not self.folds:
            raise SettingError(self, "test_queries", "must be at least 1: the results table evaluates them")
        if self.folds == 1:
            raise SettingError(self, "folds", "is 1: give 2 or more folds, or 0 for one split")
