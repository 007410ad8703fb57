"""Docids of a document's telling words."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

from gr2_jax.corpus import DocumentStore
from gr2_jax.data.token_files import TokenRows
from gr2_jax.data.vocabulary import MODEL_NAME
from gr2_jax.docids.keywords import DocumentFrequencies
from gr2_jax.errors import SettingError, check_least
from gr2_jax.experiment.scheme import Candidates, Scheme
from gr2_jax.models import EOS_ID, PAD_ID, UNK_ID
from gr2_jax.pipeline.large import is_large
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import FixedCandidates, scheme_fingerprint
from gr2_jax.pipeline.telling_words import Rows, StoredWords, TellingWords, Wanted


@dataclasses.dataclass(frozen=True)
class Keywords(Scheme):
    """A document's most telling words, its title's first: at least some, and more until no document has the same.

    least     words at least
    most      words at most
    common    share of the documents above which a word tells nothing
    """

    name: str = "keywords"
    least: int = 3
    most: int = 8
    common: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        check_least(self, 1, "least")
        if self.most < self.least:
            raise SettingError(self, "most", f"is {self.most}: it must be {self.least} (least) or more")

    def open(self, run: Run) -> FixedCandidates:
        tokens, documents, fingerprint = run.document_tokens, run.corpus.documents, scheme_fingerprint(run, self)
        special, max_length = (PAD_ID, EOS_ID, UNK_ID), run.experiment.docids.max_length
        wanted = Wanted(self.least, self.most, self.common, max_length, special)
        words = TellingWords(tokens, lambda rows: [documents[row].title for row in rows], run.tokenizer, wanted)
        on_disk = isinstance(tokens, TokenRows) and isinstance(documents, DocumentStore)
        stored = self._stored(run, wanted, fingerprint) if on_disk and is_large(run) else None

        @functools.cache
        def frequencies() -> DocumentFrequencies:
            return words.frequencies(range(len(tokens))) if stored is None else stored.count()

        def candidates(rows: Rows) -> Candidates:
            return words.candidates(rows, frequencies())

        def by_workers(blocks: Iterable[Rows]) -> Iterator[Candidates]:
            frequencies()
            return stored.candidates(blocks)

        return FixedCandidates(candidates, fingerprint, blocks=None if stored is None else by_workers)

    def _stored(self, run: Run, wanted: Wanted, fingerprint: str) -> StoredWords:
        return StoredWords(
            corpus=run.paths.corpus,
            examples=run.paths.examples,
            vocabulary=run.paths.vocabulary / MODEL_NAME,
            extra_ids=run.experiment.vocabulary.extra_ids,
            frequencies=run.paths.candidates(self.name) / fingerprint / "document_frequencies.npy",
            documents=len(run.doc_ids),
            wanted=wanted,
        )
