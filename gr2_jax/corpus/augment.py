"""The paper's augmentation: parts of a document serve as pseudo-queries for it."""

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice

from gr2_jax.corpus.collection import Document
from gr2_jax.corpus.scripts import marks, upper
from gr2_jax.corpus.sentences import HOLE, paragraphs, sentences

_LEADING = 3
_LONGEST_WORD = 200  # in characters: an endless one would be read again from each of its hyphens


def pseudo_queries(
    document: Document, *, entities: Sequence[str] = (), seed: int, max_entities: int = 3
) -> tuple[str, ...]:
    """Returns the title, the leading 3 paragraphs, the leading 3 sentences and up to `max_entities` random entities.

    Each is one pseudo-query; none is empty or repeated. A sentence with a HOLE is left out, of its paragraph, too: a
    query without some of its words teaches that its document is found without them. Without `entities`, those in the
    text are used: capitalised phrases, identifiers and, in Chinese and Japanese, titles in their own brackets. The
    random choice depends only on the seed and the document's id.
    """
    blocks = [whole for block in paragraphs(document.text) if (whole := _whole(block))]
    first = islice((sentence for block in blocks for sentence in sentences(block)), _LEADING)
    leading = [document.title.strip(), *blocks[:_LEADING], *first]
    candidates = sorted(set(entities or _entities(" ".join(blocks))))
    digest = hashlib.blake2b(f"{seed}/{document.doc_id}".encode(), digest_size=8).digest()
    drawn = random.Random(int.from_bytes(digest)).sample(candidates, min(max_entities, len(candidates)))
    return tuple(dict.fromkeys(query for query in (*leading, *drawn) if query))


def _whole(paragraph: str) -> str:
    """Returns the paragraph's sentences without a hole."""
    if HOLE not in paragraph:
        return paragraph
    return " ".join(sentence for sentence in sentences(paragraph) if HOLE not in sentence)


def _entities(text: str) -> Iterator[str]:
    return (found["title"] or found[0] for found in _entity().finditer(text))


@cache
def _entity() -> re.Pattern[str]:
    """Matches two or more capitalised words in a row, a program's identifier (in ASCII, with a dot or underscore
    inside, or in camel case), or a title between corner or angle brackets."""
    up, inside = upper(), rf"[\w{marks()}'-]{{1,{_LONGEST_WORD}}}"
    return re.compile(
        rf"\b(?:[{up}]{inside}(?: [{up}]{inside})+|[A-Za-z]\w*(?:[._]\w+)+|[A-Za-z]+[a-z][A-Z]\w*)\b"
        r"|[\u300a\u300e\u300c](?P<title>[^\s\u300a-\u300f]{2,40})[\u300b\u300f\u300d]"
    )
