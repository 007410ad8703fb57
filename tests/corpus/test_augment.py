import time

from gr2_jax.corpus import Document, pseudo_queries

TEXT = "First one. Second one. Third one. Fourth one.\n\nPara two.\n\nPara three.\n\nPara four about Albert Einstein."


def test_title_leading_paragraphs_and_leading_sentences_in_order():
    queries = pseudo_queries(Document("d", "The title", TEXT), seed=0, max_entities=0)
    assert queries == (
        "The title",
        "First one. Second one. Third one. Fourth one.",
        "Para two.",
        "Para three.",
        "First one.",
        "Second one.",
        "Third one.",
    )


def test_nothing_empty_or_repeated():
    assert pseudo_queries(Document("d", "", "Only this."), seed=0) == ("Only this.",)


def test_given_entities_are_drawn_by_seed_and_document():
    names = [f"name {number}" for number in range(50)]

    def drawn(seed, doc_id="d", order=1):
        return pseudo_queries(Document(doc_id, "", "Text."), entities=names[::order], seed=seed)[1:]

    assert len(set(drawn(0))) == 3
    assert set(drawn(0)) <= set(names)
    assert drawn(0) == drawn(0, order=-1)
    assert len({drawn(0), drawn(1), drawn(0, "e")}) == 3
    assert len(pseudo_queries(Document("d", "", "Text."), entities=names[:2], seed=0)) == 3


def test_entities_are_found_in_the_text_where_none_are_given():
    text = "here we call numpy.linalg.inv with my_array and MaskedArray as Marie Curie did. The end."
    queries = pseudo_queries(Document("d", "", text), seed=0, max_entities=9)
    assert set(queries[-4:]) == {"numpy.linalg.inv", "my_array", "MaskedArray", "Marie Curie"}


def entities(text):
    """The pseudo-queries after the text as a paragraph and as a sentence."""
    return set(pseudo_queries(Document("d", "", text), seed=0, max_entities=9)[1:])


def test_entities_of_other_scripts():
    assert entities("ici Émile Zola et l'ami Élie Faure") == {"Émile Zola", "Élie Faure"}
    assert entities("тут Анна Керн и река Нева") == {"Анна Керн"}
    assert entities("ici Jose\u0301 Marti\u0301 Pe\u0301rez") == {"Jose\u0301 Marti\u0301 Pe\u0301rez"}
    assert entities("他写了《红楼梦》和『水滸』") == {"红楼梦", "水滸"}
    assert entities("यह हिन्दी में है") == set()


def test_a_sentence_with_a_hole_is_no_pseudo_query():
    text = "It rises \ufffc metres. It is a lake.\n\n\ufffc of it.\n\nNobody knows \ufffc. All know it."
    assert pseudo_queries(Document("d", "Lake", text), seed=0) == ("Lake", "It is a lake.", "All know it.")


def test_an_endless_word_is_read_in_linear_time():
    start = time.process_time()
    pseudo_queries(Document("d", "", "A-" * 40_000), seed=0)
    assert time.process_time() - start < 2
