"""Prose as the reader of a wiki sees it: apostrophes, holes, hidden and verbatim text, tables, languages."""

# ruff: noqa: RUF001
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from wikitext_articles import article, prose

from gr2_jax.corpus import Document, pseudo_queries
from gr2_jax.corpus.sentences import HOLE
from gr2_jax.corpus.wikipedia.quotes import without_quotes


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("''a'' '''b''' '''''c'''''", "a b c"),
        ("'a' b's ''c'' d'", "'a' b's c d'"),
        ("''''a''''", "'a'"),  # of four the first is text
        ("''''''a'''''", "'a"),  # of six or more all but five are text
        ("''''''''a'''''", "'''a"),
        ("''The Heron'''s nest", "The Heron's nest"),  # both numbers odd: one of the three is text
        ("a l'''oiseau'' b", "a l'oiseau b"),
        ("a'''b'' c d'''e '''f'''", "a'b c de f"),
        ("ab '''c'' de l'''f g'''", "ab c de l'f g"),  # rather after a word of one letter
        ("ab '''c'' '''d '''e", "ab 'c d e"),  # after a blank if there is no word
        ("''One'''s and ''Two'''s nests", "One's and Two's nests"),  # both numbers even, within words
        ("L''''oie''' e dell'''Airone'' e", "L'oie e dell'Airone e"),
        ("''a '''b''' c'' '''d ''e'' f'''", "a b c d e f"),
        ("''a '''b''", "a b"),  # open at the end of the line
        ("''a\nb''c", "a\nbc"),
        ("'''H'''eron '''''both''' one''", "Heron both one"),
        ("", ""),
    ],
)
def test_apostrophes_are_counted_as_in_mediawiki(line, shown):
    assert without_quotes(line) == shown


@pytest.mark.parametrize(
    ("wikitext", "shown"),
    [
        ("L{{'}}'''oie''' L<nowiki>'</nowiki>''oie''", "L'oie L'oie"),
        ("in ''[[Nest|''Nest'']]'' they", "in Nest they"),  # the link's text stands between the apostrophes
        ("''[[Heron]]'''s nest", "Heron's nest"),
        ("&#39;&#39;a&#39;&#39;", "''a''"),
    ],
)
def test_apostrophes_beside_other_markup(wikitext, shown):
    assert prose(wikitext) == shown


@pytest.mark.parametrize(
    ("wikitext", "shown"),
    [
        ("born {{dates|1|2}} there", f"born {HOLE} there"),
        ("{{ship|x}} sank there", f"{HOLE} sank there"),
        ("reached the {{nth|5}}.", f"reached the {HOLE}."),
        ("of 5{{unknown}} metres", f"of 5{HOLE} metres"),
        ("a {{unclosed b\nc", f"a {HOLE}\nc"),
        ("a {{{1|b}}} {{{2}}} c", f"a b {HOLE} c"),
        ("* {{a}} b", f"{HOLE} b"),
        ("a {{b|\n}} c", f"a {HOLE} c"),
        # nothing is missing:
        ("{{box}}\n{{box}} {{box}}\na", "a"),
        ("{{box|\nb}} a", "a"),
        ("{{pp}}'''a''' b", "a b"),
        ("a.{{note2|x}} B. {{note2|y}}\nc", "a. B.\nc"),
        ("a{{sfn|x}}, b{{citation needed|date=x}} {{Cite web|x}}c", "a, b c"),
        ("a ({{x}}; b, {{x}}; {{x}} or {{x}}) c ({{x}}) d", "a (b) c d"),
        ("a（{{x}}、{{y}}）b", "ab"),
        ("* {{x}}\n* b", "b"),
        ("{{DEFAULTSORT:x}}a {{#tag:ref|x}}b", "a b"),
        # the words of a parenthesis are:
        ("a (born {{x}}) b", f"a (born {HOLE}) b"),
        ("a (b: {{x}}; c) d", f"a (b: {HOLE}; c) d"),
    ],
)
def test_an_unknown_template_leaves_a_hole_where_words_are_missing(wikitext, shown):
    assert prose(wikitext) == shown


@pytest.mark.parametrize(
    ("language", "wikitext", "shown"),
    [
        ("en", "{{formatnum:1234567.5}} {{formatnum:12}} {{nts|4321}} {{formatnum:abc}}", "1,234,567.5 12 4,321 abc"),
        ("de", "{{formatnum:1234.5}}", "1.234,5"),
        ("pl", "{{formatnum:1234}} {{formatnum:12345}}", "1234 12 345"),
        ("fr", "{{unité|2000|m}}, XIX{{e}}, {{s-|XX}}, {{date|3|mai|1900}}", "2 000 m, XIXe, XXe siècle, 3 mai 1900"),
        ("fr", "le {{date|3|5|1900}} {{unité|5|m|2}}", f"le {HOLE} {HOLE}"),
        ("en", "{{nowrap|[[a|b]] {{nowrap|c}}}} {{lang|fr|[[d=e|f]]}}", "b c f"),
        ("en", "{{formatnum:{{x}}}} a", f"{HOLE} a"),
    ],
)
def test_words_of_templates(language, wikitext, shown):
    assert prose(wikitext, language) == shown


def test_a_sentence_with_a_hole_is_neither_query_nor_pseudo_query():
    found = article(
        "The lake rises {{elevation|93|m}} above the sea and is deep. Many boats are on the lake in summer.\n\n"
        "The third sentence {{who knows}} has lost a word there."
    )
    assert found.abstract == ("Many boats are on the lake in summer.",)
    queries = pseudo_queries(Document("d", found.title, found.text), seed=0)
    assert queries == ("Heron", "Many boats are on the lake in summer.")


@pytest.mark.parametrize(
    ("wikitext", "shown"),
    [
        ("a <nowiki>[[b]] {{c}} ''d'' <i> | &lt;</nowiki> e", "a [[b]] {{c}} ''d'' <i> | < e"),
        ("<nowiki>* a\n== b ==\n\nc</nowiki>", "* a == b == c"),
        ("<nowiki>:</nowiki>a", ":a"),
        ("a<nowiki />b <NOWIKI>''</NOWIKI>c", "ab ''c"),
        ("a\n<pre>[[b]]\n== c ==\n</pre>\nd", "a\n\n[[b]]\n== c ==\n\nd"),
        ("a <includeonly>b\n\n{{c}}</includeonly>d", "a d"),
        ("a <includeonly>b", "a"),
        ("<noinclude>a</noinclude> <onlyinclude>b</onlyinclude>", "a b"),
        ("a <!-- b -->c", "a c"),
        ("a\n<!-- b -->\nc\n <!-- d -->\ne", "a\nc\ne"),
        ("a\n<!-- b --> <!--\nc--> \nd", "a\nd"),
        ("a\n<!-- b -->c", "a\nc"),
        ("a <!-- b", "a"),
        ("a\n<table>\n<tr><td>b<table><tr><td>c</table></td></tr></table>\nd", "a\n\nd"),
        ("a\n{|\n| b\n<table><tr><td>c\n|}\nd</td></tr></table>\n|}\ne", "a\n\ne"),
        ("a\n{{(!}} class=x\n{{!-}}\n{{!}} b {{!!}} c\n{{!)}}\nd", "a\n\nd"),
        ("a\n<table><tr><td>b", "a"),
        ("a <b>c</b> <foo>d</foo> e < f > g", "a c <foo>d</foo> e < f > g"),
        ("a<p>b</p><div class='x'>c</div>d", "a\n\nb\n\nc\n\nd"),
        ("a<ul><li>b<li>c</ul>d", "a\n\nb\nc\n\nd"),
        ("__TOC__a __БЕЗ_ОГЛАВЛЕНИЯ__b __init__ __无目录__c", "a b __init__ c"),
        ("[mailto:a@b.c post] [https://x y]", "post y"),
        ("&#xFFFFFFFFFFFFFFFFFFFFFFFFF; &#" + "9" * 5000 + ";a", "\ufffd \ufffda"),
    ],
)
def test_what_is_hidden_and_what_is_shown(wikitext, shown):
    assert prose(wikitext) == shown


def test_text_in_nowiki_is_no_heading_and_may_be_a_query():
    found = article(
        "The tag <nowiki>[[a|b]]</nowiki> is shown to readers as it is.\n\n<nowiki>\n== See also ==\n</nowiki>"
    )
    assert found.abstract == ("The tag [[a|b]] is shown to readers as it is.",)
    assert "== See also ==" in found.text
    assert found.lead_links == ()


@pytest.mark.parametrize(
    "wikitext",
    [
        "Words before the table, <table><tr><td>a cell of the table is here.</td></tr></table>",
        "<pre>These words are shown as they are written.</pre>",
        "<includeonly>These words are only for other pages.</includeonly>",
        "<ul><li>These words are an item of a list.</li></ul>",
    ],
)
def test_what_is_no_prose_is_no_query(wikitext):
    assert article(wikitext).abstract == ()


def test_a_table_parts_sentences():
    found = article(
        "This is a sentence before the table.\n<table><tr><td>x</table>\nThis is a sentence after the table."
    )
    assert found.abstract == ("This is a sentence before the table.", "This is a sentence after the table.")


# Two sentences of the same meaning in every language that has names of sections, and in scripts of several kinds.
_TWO_SENTENCES = {
    "en": "The '''heron''' is a large bird of the river. It waits for fish and frogs in the reeds.",
    "de": "Der '''Reiher''' ist ein großer Vogel am Fluss. Über ihn schrieb man z. B. am 3. Mai viele Lieder.",
    "fr": "Le '''héron''' est un grand oiseau des rivières. Élégant et calme, il attend les poissons.",
    "es": "La '''garza''' es un ave grande de los ríos. ¿Quién no la vio nunca entre las cañas?",
    "it": "L{{'}}'''airone''' è un grande uccello dei fiumi. È fermo tra le canne e aspetta i pesci.",
    "pt": "A '''garça''' é uma ave grande dos rios. Às vezes espera os peixes entre as canas.",
    "nl": "De '''reiger''' is een grote vogel van de rivier. Één reiger staat vaak urenlang in het riet.",
    "sv": "'''Hägern''' är en stor fågel vid floden. Även i vassen väntar den på fiskar och grodor.",
    "pl": "'''Czapla''' to duży ptak żyjący nad rzeką. Źródłem jej pokarmu są ryby oraz żaby.",
    "ru": "'''Цапля''' — большая птица, живущая у реки. О ней писал А. С. Попов в своих книгах.",
    "el": "Ο '''ερωδιός''' είναι ένα μεγάλο πουλί. Έχει μακριά πόδια και τρώει ψάρια.",
    "ar": "'''البلشون''' طائر كبير يعيش قرب النهر. هو يأكل السمك والضفادع كل يوم.",
    "hi": "'''बगुला''' नदी के पास एक बड़ा पक्षी है। वह मछली और मेंढक खाता है।",
    "ja": "'''鷺'''は川の近くに住む大きな鳥である。魚や蛙を食べて水辺で暮らしている。",
    "zh": "'''鹭'''是一种生活在河边的大型鸟类。它吃鱼和青蛙并且住在芦苇中！",
    "ko": "'''왜가리'''는 강가에 사는 아주 큰 새이다. 물고기와 개구리를 먹고 사는 새이다.",
    "ka": "'''ყანჩა''' არის მდინარის დიდი ფრინველი აქ. ის ჭამს თევზს და ბაყაყს ყოველდღე.",
    "am": "'''ሳቢሳ''' በወንዝ ዳር የሚኖር ትልቅ ወፍ ነው። ዓሣ እና እንቁራሪት በየቀኑ ይበላል።",
}


@pytest.mark.parametrize("language", _TWO_SENTENCES)
def test_every_language_has_sentences(language):
    assert len(article(_TWO_SENTENCES[language], language=language).abstract) == 2


def test_georgian_titles_keep_their_first_letter():
    assert article("[[ყანჩა]] [[étang]]", language="ka").lead_links == ("ყანჩა", "Étang")
