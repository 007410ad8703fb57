"""HTML of the report: whatever a text holds, it stays a text."""

import pytest
from html_pages import Outline, read_page

from gr2_jax.evaluation.report_page.markup import Html, foreign, page, printable, section, table, tag, together

HOSTILE = [
    "<script>alert('x')</script>",
    "</td></table><img src=http://example.org/x.png onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "&lt;b&gt; & &amp;",
    "<!-- <style> ]]> -->",
    "\x00\x07\x1b[31m\x7f\x9f",
    "half a character: \ud83d",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_stays_a_text(text, tmp_path):
    body = section("part", text, table([text], [[text], [foreign(text)]]), tag("p", text, title=text, class_=text))
    path = tmp_path / "page.html"
    path.write_text(page(text, [tag("p", text)], [("part", text, body)]), encoding="utf-8")
    outline = read_page(path)
    assert outline.count("table") == 1
    assert outline.count("style") == 1
    assert outline.text.count(" ".join(printable(text).split())) == 9  # all that was given is there


def test_control_characters_and_halves_are_replaced_and_letters_are_not():
    assert printable("a\tb\nc\u00a0d") == "a b c d"
    assert printable("\x00\x1b\x85\ud83d") == "\ufffd\ufffd \ufffd"
    for text in ("naïve Ελληνικά 中文 🙂 \u0928\u094d\u200d\u092f", "\u202e\u05e9"):
        assert printable(text) == text


def test_foreign_text_is_isolated_and_cut():
    assert foreign("a  b\n c") == "<bdi>a b c</bdi>"
    assert foreign("abcdef", 3) == "<bdi>abc…</bdi>"


def test_markup_is_not_escaped_twice_and_none_is_left_out():
    assert together(tag("b", "a < b"), None, "&") == "<b>a &lt; b</b>&amp;"
    assert isinstance(together("x"), Html)
    assert tag("i", class_="x", title=None, aria_label='"') == '<i class="x" aria-label="&quot;"></i>'


def test_a_missing_cell_is_a_dash_and_numbers_are_set_right():
    outline = Outline(table(["row", "n"], [["a", None]]))
    assert outline.text == "row n a -"
    assert [attributes for name, attributes in outline.elements if name in ("th", "td")] == [{}, {"class": "n"}] * 2
