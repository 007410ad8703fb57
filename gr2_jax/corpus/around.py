"""Documents of another collection around those of one: what more documents do to the same queries and judgements."""

from collections.abc import Iterator
from dataclasses import replace

from gr2_jax.corpus.collection import CollectionStream, Document


def surrounded(stream: CollectionStream, others: CollectionStream) -> CollectionStream:
    """The collection with the documents of `others` after its own; the queries and judgements of `others` are not used.

    A document of `others` with an id of the collection's own is left out, so that `others` may hold all of them. This
    call reads the ids of the collection, which are kept.
    """
    own = {document.doc_id for document in stream.documents()}

    def documents() -> Iterator[Document]:
        yield from stream.documents()
        yield from (document for document in others.documents() if document.doc_id not in own)

    about = "; ".join(f"{key} {value}" for key, value in others.provenance.items())
    return replace(
        stream,
        documents=documents,
        provenance={**stream.provenance, "around": f"the documents of {others.name} ({about})"},
        entities={doc: names for doc, names in others.entities.items() if doc not in own} | stream.entities,
    )
