"""The texts of documents that a model learns from, as seqio tasks and as tokens; processes that open no run make some.

The task "documents" has every document, of which the beginning will be read, and after all of them the further passages
of the long ones: two kinds of texts. "pseudo", the augmentation, is one kind.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from gr2_jax.corpus import Document, pseudo_queries
from gr2_jax.data.seqio.records import Example, write_examples
from gr2_jax.data.token_files import token_writer
from gr2_jax.data.vocabulary import Tokenizer

QUERY_LENGTH, DOCUMENT_LENGTH = 64, 512  # tokens that the examples keep of a query and of a document
TASKS_ON_DISK = {"pseudo": QUERY_LENGTH, "documents": DOCUMENT_LENGTH}
_AT_ONCE = 1024  # texts that are tokenised together


@dataclasses.dataclass(frozen=True)
class Texts:
    """What decides the texts, beside the documents and the vocabulary.

    grade      of a document for its own texts
    seed       chooses the entities
    entities   of a document, at most
    passages   that are read of a document, at most
    """

    grade: int
    seed: int
    entities: int
    passages: int

    def kinds(self, task: str) -> tuple[str, ...]:
        """The kinds of texts that a task consists of, one after the other."""
        return (task, "passages") if task == "documents" and self.passages > 1 else (task,)

    def examples(
        self,
        kind: str,
        documents: Iterable[tuple[int, Document]],
        entities: Mapping[str, Sequence[str]],
        tokenizer: Tokenizer,
    ) -> Iterator[Example]:
        """Those of some documents, which come with their rows; `entities` as a `Collection` has them."""
        texts = {"pseudo": self._pseudo, "documents": self._whole, "passages": self._passages}[kind]
        for row, document in documents:
            for text in texts(document, entities.get(document.doc_id, ()), tokenizer):
                yield Example(text, [row], [self.grade])

    def _pseudo(self, document: Document, entities: Sequence[str], tokenizer: Tokenizer) -> Iterable[str]:
        return pseudo_queries(document, entities=entities, seed=self.seed, max_entities=self.entities)

    def _whole(self, document: Document, entities: Sequence[str], tokenizer: Tokenizer) -> Iterable[str]:
        return (document.contents,)

    def _passages(self, document: Document, entities: Sequence[str], tokenizer: Tokenizer) -> Iterable[str]:
        tokens = tokenizer.encode(document.contents)[: self.passages * DOCUMENT_LENGTH]
        for start in range(DOCUMENT_LENGTH, len(tokens), DOCUMENT_LENGTH):
            yield tokenizer.decode(tokens[start : start + DOCUMENT_LENGTH])


def write_texts(
    directory: Path,
    task: str,
    examples: Iterable[Example],
    tokenizer: Tokenizer,
    advance: Callable[[int], None] = lambda documents: None,
) -> None:
    """Writes the examples of a task, and their tokens, while they are read: there may be texts of 50 million documents.
    `advance` is called with the number of documents that are done."""
    with token_writer(directory, task, ids=tokenizer.size) as writer:

        def tokenised() -> Iterator[Example]:
            rest, done = iter(examples), 0
            while block := list(islice(rest, _AT_ONCE)):
                tokens = tokenizer.encode_batch([example.text for example in block])
                rows = [example.docid_rows[0] for example in block]
                writer.add([text[: TASKS_ON_DISK[task]] for text in tokens], rows)
                yield from block
                advance(max(0, rows[-1] + 1 - done))  # further passages begin at the first document again
                done = max(done, rows[-1] + 1)

        write_examples(directory / f"{task}.tfrecord", tokenised())
