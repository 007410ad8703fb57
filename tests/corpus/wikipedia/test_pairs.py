"""The choice of a query and of graded pairs."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.corpus.wikipedia.article import Article
from gr2_jax.corpus.wikipedia.pairs import OVERSAMPLE, Target, WikipediaOptions, candidates, choose, query_of
from gr2_jax.errors import UserError

OPTIONS = WikipediaOptions(see_also_links=2, lead_links=3, other_links=1)
ARTICLE = Article(
    page_id=7,
    title="Seven",
    abstract=("One sentence here.", "Another one there.", "A third one."),
    text="",
    lead_links=("A", "B", "S1", "Seven"),
    see_also=("S1", "S2"),
    references=("R1",),
    footnotes=("F1",),
    other_links=("A", "C", "D"),
    is_disambiguation=False,
    is_list=False,
)


def test_a_link_counts_at_its_highest_grade_and_never_to_itself():
    assert dict(candidates(ARTICLE, OPTIONS)) == {"S1": 3, "S2": 3, "A": 2, "B": 2, "C": 1, "D": 1}


def test_references_count_only_without_see_also():
    without = dataclasses.replace(ARTICLE, see_also=())
    assert {title for title, grade in candidates(without, OPTIONS) if grade == 3} == {"R1"}
    assert "R1" not in dict(candidates(ARTICLE, OPTIONS))


def test_candidates_are_a_fixed_multiple_of_the_links_kept():
    many = dataclasses.replace(ARTICLE, other_links=tuple(f"L{i}" for i in range(100)))
    assert sum(grade == 1 for _, grade in candidates(many, OPTIONS)) == OVERSAMPLE


def test_the_order_of_links_does_not_matter():
    many = dataclasses.replace(ARTICLE, other_links=tuple(f"L{i}" for i in range(100)))
    turned = dataclasses.replace(many, other_links=many.other_links[::-1])
    assert set(candidates(many, OPTIONS)) == set(candidates(turned, OPTIONS))


def test_choose_puts_the_article_first_and_keeps_the_limits():
    targets = [Target(1, i, f"T{i}") for i in range(20)] + [Target(2, i, f"T{i}") for i in range(10, 15)]
    chosen = choose(7, "Seven", targets, OPTIONS)
    assert chosen[0] == Target(4, 7, "Seven")
    assert [t.grade for t in chosen] == [4, 2, 2, 2, 1]
    assert {t.page_id for t in chosen if t.grade == 2} <= set(range(10, 15))
    assert {t.page_id for t in chosen if t.grade == 1} <= set(range(20)) - set(range(10, 15)) - {7}


@given(st.permutations([Target(1 + i % 3, i // 2, f"T{i // 2}") for i in range(24)]), st.integers(0, 5))
def test_choose_does_not_depend_on_the_order_of_targets(targets, seed):
    options = dataclasses.replace(OPTIONS, seed=seed)
    assert choose(99, "X", targets, options) == choose(99, "X", sorted(targets), options)


def test_a_smaller_sample_is_inside_a_larger_one():
    targets = [Target(1, i, f"T{i}") for i in range(50)]
    small, large = (set(choose(99, "X", targets, dataclasses.replace(OPTIONS, other_links=n))) for n in (3, 9))
    assert small < large
    assert len(large) == 10


def test_sentences_and_seeds_are_spread_evenly():
    """Over 3000 seeds, each of three sentences is chosen about 1000 times (binomial standard deviation 26)."""
    asked = [query_of(ARTICLE, WikipediaOptions(seed=seed)) for seed in range(3000)]
    assert all(abs(asked.count(sentence) - 1000) < 130 for sentence in ARTICLE.abstract)


def test_smaller_query_shares_are_nested_in_larger_ones():
    titles = [f"Title {i}" for i in range(2000)]

    def asking(share):
        options = WikipediaOptions(query_share=share)
        return {t for t in titles if query_of(dataclasses.replace(ARTICLE, title=t), options)}

    assert asking(0.1) < asking(0.5) < asking(1.0) == set(titles)
    assert abs(len(asking(0.1)) - 200) < 70


def test_an_article_without_a_sentence_has_no_query():
    assert query_of(dataclasses.replace(ARTICLE, abstract=()), OPTIONS) is None


@pytest.mark.parametrize("name", ["shards", "part_megabytes", "query_share"])
def test_options_out_of_range_are_named(name):
    with pytest.raises(UserError, match=name):
        WikipediaOptions(**{name: 0})
