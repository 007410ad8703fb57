from gr2_jax.docids import DocidTrie
from gr2_jax.search.retriever import DocidTexts


def test_only_the_requested_docids_are_decoded():
    written = []

    def decode(docid):
        written.append(docid)
        return "-".join(map(str, docid))

    texts = DocidTexts(DocidTrie.from_sequences([[7, 3], [4], [7, 3, 9]]), decode)
    assert len(texts) == 3
    assert written == []
    assert texts[2] == "7-3-9"
    assert texts[1] == "4"
    assert written == [[7, 3, 9], [4]]
