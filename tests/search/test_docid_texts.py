from gr2_jax.docids import DocidTrie
from gr2_jax.search.retriever import DocidTexts


def test_only_the_docids_asked_for_are_written_out():
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
