"""A trained row as mteb's search model: `mteb.evaluate(SearchModel(open_retriever("runs/mine")), tasks)`."""

from typing import TYPE_CHECKING, Any

from gr2_jax import __version__
from gr2_jax.errors import UserError
from gr2_jax.search.opened import OpenRetriever

if TYPE_CHECKING:
    import datasets
    from mteb.models import ModelMeta


class SearchModel:
    """mteb's `SearchProtocol` over a retriever that was trained on the task's corpus.

    Args:
        retriever: A row of a run, or a bundle.
        name: By which mteb files the results, "owner/model".
    """

    def __init__(self, retriever: OpenRetriever, name: str | None = None):
        self._retriever = retriever
        self._name = name or f"gr2_jax/{retriever.row}"

    def index(self, corpus: "datasets.Dataset", **about: Any) -> None:
        """Checks that the retriever was trained on these documents; raises `UserError` otherwise. A generative
        retriever has no other index."""
        ids, known = set(corpus["id"]), self._retriever.documents.keys()
        if missing := sorted(ids - known) or sorted(known - ids):
            raise UserError(
                f"{self._retriever!r} was not trained on the task's corpus: {missing[0]!r} is in one of them alone"
            )

    def search(
        self, queries: "datasets.Dataset", *, top_k: int, top_ranked: Any = None, **about: Any
    ) -> dict[str, dict[str, float]]:
        """Query id -> document id -> score."""
        if top_ranked is not None:
            raise UserError("a generative retriever searches the whole corpus: it cannot rank given documents")
        lists = self._retriever.search(list(queries["text"]), top_k)
        return {
            query_id: {hit.doc_id: hit.score for hit in hits}
            for query_id, hits in zip(queries["id"], lists, strict=True)
        }

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        from mteb.models import ModelMeta

        return ModelMeta.create_empty({"name": self._name, "revision": __version__, "framework": []})
