"""A generative retriever from its parts, wherever they come from: a run, or a bundle of one."""

from collections.abc import Sequence

from gr2_jax.data.vocabulary import Tokenizer, pad_rows
from gr2_jax.docids import DocidTrie
from gr2_jax.models import GR2, T5Config
from gr2_jax.search.docid_vectors import DocidVectors, VectorSettings
from gr2_jax.search.retriever import DocidTexts, Retriever
from gr2_jax.search.searcher import SearchOptions


def model_over(config: T5Config, trie: DocidTrie) -> GR2:
    """The model over the tokens that the docids use; the others can never be written, so no softmax spends on them."""
    return GR2(config, tuple(int(token) for token in trie.tokens))


def generative_retriever(
    model: GR2,
    params: dict,
    trie: DocidTrie,
    tokenizer: Tokenizer,
    doc_ids: Sequence[str],
    *,
    query_length: int,
    query_end: int | None,
    options: SearchOptions,
    compares: VectorSettings | None,
    vectors: DocidVectors | None = None,
) -> Retriever:
    """Reads queries with the tokenizer, cut to `query_length` tokens, with `query_end`, if given, as the last. See
    `Retriever` for the other arguments."""
    return Retriever(
        model=model,
        params=params,
        trie=trie,
        columns=trie.columns(tokenizer.size),
        encode=lambda texts: pad_rows(tokenizer.encode_batch(texts), query_length, eos=query_end),
        doc_ids=doc_ids,
        docid_texts=DocidTexts(trie, tokenizer.decode),
        options=options,
        compares=compares,
        vectors=vectors,
    )
