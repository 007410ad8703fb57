"""Links, sections and prose of handwritten wikitext."""

import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from wikitext_articles import article, prose, site

from gr2_jax.corpus.wikipedia.kinds import is_disambiguation, is_list
from gr2_jax.corpus.wikipedia.links import link_targets, split_notes, without_hidden
from gr2_jax.corpus.wikipedia.sections import Kind, section_names, split_sections
from gr2_jax.corpus.wikipedia.text import clean, usable_sentences


@pytest.mark.parametrize(
    ("wikitext", "targets"),
    [
        ("[[a]] [[b|c]] [[d#e|f]]s [[ g ]]", ["a", "b", "d#e", " g "]),
        ("[[File:x.jpg|thumb|a [[b]] and [[c|d [e] f]]]] [[g]]", ["b", "c", "g"]),
        ("[[a|two\nlines]] [[a\nb]] [[]] [[|x]] [[c|]]", ["a", "c"]),
        ("[[a|[b]]] [http://x.y [[c]]] [[[d]]]", ["a", "c", "d"]),
        ("{{box|name=[[a]]|{{b|[[c|d]]}}}} {{main|e}} [[{{f}}]]", ["a", "c"]),
        ("[[never closed [[a]] and [[b", ["a"]),
        ("x <!-- [[a]] --> [[b<!-- | -->|c]] <!-- to the end [[d]]", ["b"]),
        (
            "<nowiki>[[a]]</nowiki><math>[[b]]</math><pre class='x'>[[c]]</pre><nowiki/>[[d]]<ref>[[e]]</ref>",
            ["d", "e"],
        ),
        ("<nowiki>never closed [[a]]", ["a"]),
        ("{|\n| [[a]] || [[b]]\n|}\n<gallery>\nFile:x.jpg|[[c]]\n</gallery>", ["a", "b", "c"]),
    ],
)
def test_links(wikitext, targets):
    assert link_targets(without_hidden(wikitext)) == targets


def test_notes():
    text = 'a<ref>one [[x]]</ref> b<ref name="n" /> c<ref name=n>two <i>three</i></ref><references/> d<REF>four</REF>'
    assert split_notes(text) == ("a b c<references/> d", "one [[x]]\ntwo <i>three</i>\nfour")


def test_sections_and_their_subsections():
    text = "lead\n== Life ==\nbody\n===Nest===\nnest\n==See Also==  \nlist\n=== Birds ===\nmore\n"
    text += "==  ''Notes'': ==\nn\n==External links==\nx"
    kinds = [(part.kind, part.wikitext.strip()) for part in split_sections(text, section_names("en"))]
    assert kinds == [
        (Kind.LEAD, "lead"),
        (Kind.BODY, "body"),
        (Kind.BODY, "nest"),
        (Kind.SEE_ALSO, "list"),
        (Kind.SEE_ALSO, "more"),
        (Kind.REFERENCES, "n"),
        (Kind.OTHER, "x"),
    ]
    lines = "== a =b= ==\n== not one\nx == y ==\n== c == d\n===\n"
    assert [part.wikitext for part in split_sections(lines, section_names("en"))][1:] == [
        lines.partition("\n")[2].join(["\n", ""])
    ]


@pytest.mark.parametrize(
    ("language", "see_also", "references"),
    [
        ("en", "See also", "Notes and references"),
        ("de", "Siehe auch", "Einzelnachweise"),
        ("fr", "Articles connexes", "Notes et références"),
        ("es", "Véase también", "Referencias"),
        ("xx", "See also", "References"),
    ],
)
def test_grades_come_from_sections(language, see_also, references):
    found = article(
        "{{box|[[in box]]}} [[lead one]] [[Lead_one#x|again]] [[fr:Reiher]] [[File:a.jpg|[[caption]]]]"
        "<ref>[[press]]</ref>\n"
        f"== Life ==\n[[body]]<ref>[[paper]]</ref>\n== {see_also} ==\n* [[stork]]\n* [[:Category:Birds]]\n"
        f"== {references} ==\n<references>\n<ref>[[author]]</ref></references>\n[[place]]\n",
        language=language,
    )
    assert found.lead_links == ("In box", "Lead one", "Caption")
    assert found.see_also == ("Stork",)
    assert found.references == ("Author", "Place")
    assert found.footnotes == ("Press", "Paper")
    assert found.other_links == ("Body",)


@pytest.mark.parametrize(
    ("wikitext", "plain"),
    [
        ("'''Bold''' and ''italic'' and '''''both''''' of a heron's", "Bold and italic and both of a heron's"),
        ("a [[b]], [[c|d]]s, [[:fr:e|f]], [[:Category:g]] [[wikt:h|h]]", "a b, ds, f, Category:g h"),
        ("a [[File:x.jpg|thumb|cap [[b|c]] {{d}}]] e [[Category:f|g]] [[de:h]] i", "a e i"),
        ("{{box\n| a = {{b|[[c]]}}\n}}\nText {{cite|x}}, more", "Text, more"),
        (
            "{{convert|5|km|mi}} and {{cvt|2|to|3|m2}} and {{lang|fr|mot}} {{lang-de|Wort}} {{nowrap|a b}}",
            "5 km and 2 to 3 m² and mot Wort a b",
        ),
        (
            "{{nowrap|{{lang|fr|mot}} x}}{{ndash}}y {{as of|2014|3}} {{circa|1900}} {{frac|1|2}}",
            "mot x\u2013y As of 2014 c. 1900 1/2",
        ),
        ("Heron ({{IPA|x}}; {{lang-la|Ardea}}) is ( , ) it ({{IPA|x}}).", "Heron (Ardea) is it."),
        ("x\n{|\n| a\n{|\n| b\n|}\n|}\ny", "x\n\ny"),
        ("a<br/>b <span style='c'>d</span> x<sup>2</sup> 3 &lt; 4&nbsp;&amp; 5", "a b d x2 3 < 4 & 5"),
        ("[http://x.y see this] [http://x.y] and [//z w]", "see this and w"),
        ("__NOTOC__a <gallery>\nFile:b.jpg|c\n</gallery> d {{never closed | e\nf", "a d \ufffc\nf"),
    ],
)
def test_prose(wikitext, plain):
    assert prose(wikitext) == plain


def test_usable_sentences():
    lead = (
        ":''For the town, see [[Heron (town) is long enough]].''\n"
        "A '''heron''' is a [[wading bird]] with long legs. It sleeps.\n"
        "Its speed is <math>v</math> in still air, they say.\n\n"
        "* A list item that is long enough to be one.\n\n"
        "The second paragraph says e.g. that Dr. Reed saw one (in 1900).\n"
        "This fragment has no end mark but enough words\n\n" + "word " * 61 + "end."
    )
    assert usable_sentences(clean(without_hidden(lead), site()), "en") == (
        "A heron is a wading bird with long legs.",
        "The second paragraph says e.g. that Dr. Reed saw one (in 1900).",
    )


def test_text_is_leading_paragraphs_up_to_a_length():
    wikitext = (
        "One [[two]].\n\nThree.\n== Life ==\nFour\nfive.\n* six\n== See also ==\n* [[seven]]\n== More ==\nEight nine."
    )
    whole = "One two.\n\nThree.\n\nFour\nfive.\nsix\n\nEight nine."
    assert article(wikitext).text == whole
    for length in range(8, len(whole) + 3):
        cut = article(wikitext, text_characters=length).text
        assert len(cut) <= length
        assert whole.startswith(cut)
        assert length < len(whole) or cut == whole
        assert not whole[len(cut) :] or whole[len(cut)].isspace()
    long = article("Lead.\n== Life ==\n" + "Some words here.\n\n" * 5000, text_characters=500).text
    assert 480 <= len(long) <= 500


@pytest.mark.parametrize(
    ("title", "text", "language", "expected"),
    [
        ("Heron", "may refer to\n{{Disambiguation|geo}}", "en", True),
        ("Heron", "{{ hndis | name = x }}", "en", True),
        ("Heron", "{{place name disambiguation}}", "en", True),
        ("Heron (disambiguation)", "x", "en", True),
        ("Heron", "x __DISAMBIG__", "en", True),
        ("Reiher", "{{Begriffsklärung}}", "de", True),
        ("Héron", "{{Homonymie}}", "fr", True),
        ("Garza", "{{desambiguación}}", "es", True),
        ("Heron", "{{dp|0.5}} {{disputed}} {{distinguish|x}}", "en", False),
    ],
)
def test_disambiguation(title, text, language, expected):
    assert is_disambiguation(title, text, language) is expected
    assert article(text, title, language).is_disambiguation is expected


def test_lists():
    lists = [
        "List of herons",
        "Lists of birds",
        "Liste der Reiher",
        "Liste des hérons",
        "Outline of birds",
        "Index of x",
    ]
    assert all(map(is_list, lists))
    assert not any(map(is_list, ["Listening", "Heron", "Liste", "The List of Seven"]))


@pytest.mark.parametrize(
    "text",
    ["", "==", "{{", "[[", "{|", "<ref>", "<!--", "]]}}|}", "= =\n==x", "{{{{a}}", "[[a|[[b|[[c", "''", "\n" * 9],
)
def test_malformed_scraps_give_no_sentences(text):
    found = article(text)
    assert found.abstract == ()


_OPENINGS = [
    "{{",
    "{",
    "{|\n",
    "[[a|",
    "[[File:a|",
    "[",
    "<ref>",
    "<ref",
    "<math>",
    "<gallery>",
    "<!--",
    "<",
    "'",
    "\n=",
    "=",
    "(",
]
_OPENINGS += [" ,", "{{a|", " ", "\n", ".", "A-", "[//", "__a", "{{{1|", "<includeonly>", "<table>", "&#1"]


@pytest.mark.parametrize("unit", _OPENINGS)
def test_repeated_openings_take_linear_time(unit):
    start = time.process_time()
    article(unit * 20_000)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("line", ["\n==" + "= a" * 20_000, "= " + "word " * 20_000, "=" * 50_000 + "a" + " =" * 50_000])
def test_a_long_line_that_begins_like_a_heading_takes_linear_time(line):
    start = time.process_time()
    article(line + "\nx")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "text",
    [
        "{{" + " " * 3900,
        "[//" + "a" * 40_000,
        "(a ) " + " ," * 40_000,
        "." * 40_000 + " a",
        "<!--\n-->" * 20_000,
        "<nowiki>" * 20_000 + "</nowiki>" * 20_000,
        "<table>" * 20_000 + "</table>" * 20_000,
    ],
)
def test_long_runs_take_linear_time(text):
    start = time.process_time()
    article(text)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("== See also ==", Kind.SEE_ALSO),
        ("=See also=", Kind.SEE_ALSO),
        ("====== See also ====== \t\r", Kind.SEE_ALSO),
        ("== See also ===", Kind.BODY),  # a heading of level 2 whose name ends in "="
        ("======= See also =======", Kind.BODY),  # the deepest level is 6
        ("== See also", Kind.LEAD),
        ("== See also == x", Kind.LEAD),
        (" == See also ==", Kind.LEAD),
        ("=====", Kind.LEAD),
        ("= =", Kind.BODY),
    ],
)
def test_headings(line, kind):
    for wikitext in (f"{line}\nafter", f"before\n{line}\nafter", f"before\n{line}"):
        *_, last = split_sections(wikitext, section_names("en"))
        assert last.kind is kind
        assert kind is Kind.LEAD or last.wikitext == ("\nafter" if wikitext.endswith("after") else "")
