"""The paper's augmentation: parts of a document serve as pseudo-queries for it."""

import hashlib
import random
import re
from collections.abc import Sequence

from gr2_jax.corpus.collection import Document
from gr2_jax.corpus.sentences import paragraphs, sentences

_LEADING = 3
# Two or more capitalised words in a row, or an identifier: with a dot or underscore inside, or in camel case.
_ENTITY = re.compile(r"\b(?:[A-Z][\w'-]+(?: [A-Z][\w'-]+)+|[A-Za-z]\w*(?:[._]\w+)+|[A-Za-z]+[a-z][A-Z]\w*)\b")


def pseudo_queries(
    document: Document, *, entities: Sequence[str] = (), seed: int, max_entities: int = 3
) -> tuple[str, ...]:
    """Returns the title, the leading 3 paragraphs, the leading 3 sentences and up to `max_entities` random entities.

    Each is one pseudo-query; none is empty or repeated. Without `entities`, capitalised phrases and identifiers found
    in the text are used. The random choice depends only on the seed and the document's id.
    """
    blocks = paragraphs(document.text)
    leading = [document.title.strip(), *blocks[:_LEADING], *sentences(document.text)[:_LEADING]]
    candidates = sorted(set(entities or _ENTITY.findall(" ".join(blocks))))
    digest = hashlib.blake2b(f"{seed}/{document.doc_id}".encode(), digest_size=8).digest()
    drawn = random.Random(int.from_bytes(digest)).sample(candidates, min(max_entities, len(candidates)))
    return tuple(dict.fromkeys(query for query in (*leading, *drawn) if query))
