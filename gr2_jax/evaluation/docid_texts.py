"""Docids as people read them, written out when asked for: a corpus has millions, a result list 20."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Int

from gr2_jax.docids import DocidTrie


class DocidTexts(Sequence):
    """Each document's docid as text, by row."""

    def __init__(self, trie: DocidTrie, decode: Callable[[list[int]], str]):
        self._trie, self._decode = trie, decode

    @cached_property
    def _docids(self) -> Int[np.ndarray, "N Ti"]:
        return self._trie.docids()

    def __len__(self) -> int:
        return self._trie.num_docids

    def __getitem__(self, row: int) -> str:
        docid = self._docids[row]
        return self._decode(docid[docid != 0].tolist())
