"""Deeply nested markup: linear work, bounded depth, and what is shown."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))
from counted_work import count_patterns, work
from wikitext_articles import article, prose

from gr2_jax.corpus import sentences as corpus_sentences
from gr2_jax.corpus.sentences import HOLE
from gr2_jax.corpus.wikipedia import (
    braces,
    kinds,
    link_text,
    links,
    quotes,
    sections,
    standins,
    tables,
    template_words,
    templates,
    text,
)

MODULES = [corpus_sentences, braces, kinds, link_text, links, quotes, sections, standins, tables, template_words]
MODULES += [templates, text]

NESTS = {
    "unknown templates": ("{{a|", "}}"),
    "known templates": ("{{nowrap|", "}}"),
    "parameters": ("{{{1|", "}}}"),
    "templates and parameters": ("{{nowrap|{{{1|", "}}}}}"),
    "braces alone": ("{", "}"),
    "links": ("[[a|", "]]"),
    "links in targets": ("[[", "]]"),
    "pictures": ("[[File:a|", "]]"),
    "brackets alone": ("[", "]"),
    "links and templates": ("{{nowrap|[[a|", "]]}}"),
    "tables": ("\n{|\n|", "\n|}\n"),
    "tables of HTML": ("<table><tr><td>", "</td></tr></table>"),
    "elements": ("<small>", "</small>"),
    "references": ("<ref>", "</ref>"),
    "nowiki": ("<nowiki>", "</nowiki>"),
    "comments": ("<!--", "-->"),
    "parentheses": ("({{x}}", ")"),
    "quotes": ("''a'''b", "''c'''"),
}


@pytest.fixture
def counted(monkeypatch):
    count_patterns(monkeypatch, MODULES)


def nested(kind: str, depth: int) -> str:
    opening, closing = NESTS[kind]
    return opening * depth + "x" + closing * depth


@pytest.mark.parametrize("kind", NESTS)
@pytest.mark.parametrize("rest", ["", "word " * 2000], ids=["alone", "in a long text"])
def test_four_times_the_depth_is_at_most_four_times_the_work(counted, kind, rest):
    few, many = (
        work(lambda depth=depth: article(nested(kind, depth) + rest * (depth // 500))) for depth in (500, 2000)
    )
    assert many <= 4.2 * few + 2000


@pytest.mark.parametrize("kind", NESTS)
@pytest.mark.parametrize("side", ["open", "closed"])
def test_half_of_a_nest_takes_linear_work_too(counted, kind, side):
    parts = NESTS[kind]
    unit = f"{parts[side == 'closed']} x {parts[0]}y{parts[1]}"
    few, many = (work(lambda count=count: article(unit * count)) for count in (500, 2000))
    assert many <= 4.2 * few + 2000


def test_depth_is_bounded():
    assert prose(nested("known templates", 30)) == "x"
    assert prose(f"a {nested('known templates', 50_000)} b") == f"a {HOLE} b"
    assert prose(f"a {nested('parameters', 50_000)} b") == f"a {HOLE} b"
    assert prose(f"a {nested('links', 50_000)} b") == "a x b"
    assert prose(f"a {nested('pictures', 50_000)} b") == "a b"


@pytest.mark.parametrize(
    ("wikitext", "shown"),
    [
        ("[[File:x.jpg|thumb|a [[b|c [[d]] e]] f]]g", "g"),
        ("[[a|b [[c|d]] e]] [[f [[g]]]]", "b d e f g"),
        ("[[[a]]] [[b|[c]]] [[b|c]d]] [[a]b]]", "[a] [c] c]d [[a]b]]"),
        ("[[a [[b]] c", "[[a b c"),
        ("a]] [[b|c|d]] | e", "a]] c|d | e"),
        ("[[b|]] [[:c|]] [[" + "d" * 600 + " [[e]]]]", "b c " + "d" * 600 + " e"),
        ("{{nowrap|a {{lang|fr|b}} [[c|d]]|e}}", "a b d"),
        ("{{{{{1|nowrap}}}|a}} b", f"{HOLE} b"),
        ("a {{{1|{{nowrap|b}}}}} c", "a b c"),
    ],
)
def test_nested_links_and_templates(wikitext, shown):
    assert prose(wikitext) == shown


@given(st.lists(st.sampled_from(["{", "{{", "{{{", "}", "}}", "}}}", "a"]), max_size=40).map("".join))
@settings(max_examples=200)
def test_paired_braces_are_nested(wikitext):
    pairs = braces.pair_braces(wikitext)
    assert pairs == sorted(pairs)
    open_ends: list[int] = []
    for start, end, width in pairs:
        assert wikitext[start:end].startswith("{" * width)
        assert wikitext[start:end].endswith("}" * width)
        assert end - start >= 2 * width
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1]
        open_ends.append(end)
