"""Properties of any wikitext: text without an exception, no markup left over where it is balanced, linear work."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))
from counted_work import count_patterns, work
from test_nested_markup import MODULES
from wikitext_articles import article, prose

TOKENS = [
    *("''", "'''", "'''''", "[[", "]]", "[", "]", "{{", "}}", "{{{", "}}}", "{", "|", "=", "[[File:a.jpg|", "[[b|"),
    *("<nowiki>", "</nowiki>", "<nowiki/>", "<pre>", "</pre>", "<ref>", "<ref name=a />", "</ref>", "<!--", "-->"),
    *("<includeonly>", "</includeonly>", "<noinclude>", "<math>", "</math>", "<table>", "</table>", "<br>"),
    *("\n{|\n", "\n|-\n", "\n|}\n", "||", "!", "\n* ", "\n== ", " ==\n", "\n\n", "\n", " ", "&lt;", "&#91;"),
    *("{{nowrap|", "{{lang|fr|", "{{formatnum:", "{{!}}", "{{'}}", "{{x}}", "http://a.b", "(", ")", ", ", ". ", "\x1f"),
    *(
        "Heron",
        "héron",
        "Цапля",
        "鷺",
        "。",
        "बगुला",
        "।",
        "بلشون",
        "e\u0301",
        "\ufdd0",
        "\ufde0",
        "\ufffc",
        "\U0001f426",
    ),
]
LANGUAGES = ["en", "fr", "ru", "de", "zh", "xx", ""]
WORDS = st.lists(st.sampled_from(["heron", "Цапля", "鷺", "बगुला", "x1"]), min_size=1, max_size=3).map(" ".join)
WRAPPERS = [
    *("''{}''", "'''{}'''", "[[T|{}]]", "[[:fr:T|{}]]", "[[File:A.jpg|thumb|{}]]", "({})", "{}. "),
    *("\n* {}\n", "\n\n{}", "{{{{nowrap|{}}}}}", "{{{{lang|fr|{}}}}}", "{{{{unknown|{}}}}}"),
    *(
        "{{{{unknown\n| a = {}\n}}}}",
        "{{{{{{1|{}}}}}}}",
        "<small>{}</small>",
        "<p>{}</p>",
        "<div class='a'>{}</div>",
        "<includeonly>{}</includeonly>",
    ),
    *("\n{{|\n| {}\n|}}\n", "<table><tr><td>{}</td></tr></table>"),
]
LEAVES = [
    *("<ref>{}</ref>", "<!-- {} -->", "[[{}]]", "<math>{}</math>", "{{{{formatnum:{}}}}}", "{{{{{}}}}}"),
    "[http://a.b {}]",  # holds no other
]


def wrapped(shapes: list[str], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Returns `words shape(words inner words) words`, so that the marks of two shapes never touch."""
    return st.tuples(st.sampled_from(shapes), WORDS, inner, WORDS).map(
        lambda drawn: f"{drawn[1]} {drawn[0].format(f'{drawn[1]} {drawn[2]} {drawn[3]}')} {drawn[3]}"
    )


BALANCED = st.recursive(
    st.one_of(WORDS, wrapped(LEAVES, WORDS)),
    lambda inner: st.one_of(wrapped(WRAPPERS, inner), st.tuples(inner, inner).map(" ".join)),
    max_leaves=12,
)


@given(st.lists(st.sampled_from(TOKENS), max_size=60).map("".join), st.sampled_from(LANGUAGES))
@settings(max_examples=400)
def test_any_wikitext_gives_text(wikitext, language):
    found = article(wikitext, language=language)
    assert all(sentence.strip() and "\n" not in sentence for sentence in found.abstract)
    assert not any("\ufdd0" <= character <= "\ufdef" for sentence in found.abstract for character in sentence)
    assert not any("\ufdd0" <= character <= "\ufdef" for character in found.text)
    assert len(found.text) <= 4000


@given(BALANCED)
@settings(max_examples=300)
def test_balanced_markup_leaves_nothing_in_the_text(wikitext):
    shown = prose(wikitext)
    assert not [mark for mark in ("''", "[[", "]]", "{{", "}}", "{|", "|}", "<", ">", "http:") if mark in shown], shown


@pytest.fixture(scope="module")
def counted():
    with pytest.MonkeyPatch.context() as monkeypatch:
        count_patterns(monkeypatch, MODULES)
        yield


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=8).map("".join))
@settings(max_examples=60)
def test_any_wikitext_repeated_takes_linear_work(counted, unit):
    few, many = (work(lambda count=count: article(unit * count)) for count in (200, 800))
    assert many <= 4.2 * few + 20_000
