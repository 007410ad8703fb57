import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.docids.urls import url_text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            "https://numpy.org/doc/stable/reference/generated/numpy.argsort.html",
            "numpy argsort generated reference stable doc numpy org",
        ),
        ("http://www.bbc.co.uk/news/World-europe_123.stm?page=2#top", "World europe 123 stm news bbc co uk"),
        ("https://en.wikipedia.org/wiki/S%C3%A3o_Paulo", "São Paulo wiki en wikipedia org"),
        ("http://me:pw@WWW2.x.com:8080/a%20b/c+d%2Fe.jsp;jsessionid=1?q", "c d e a b x com"),
        ("http://x.org", "x org"),
        ("http://x.org/", "x org"),
        ("//x.org/a//b.PHP", "b a x org"),
        ("ftp://x.org/a.pdf\n", "a x org"),
        ("http://x.org/a.html/", "a x org"),
        ("http://x.org/html.b", "html b x org"),
        ("http://x.org/%E4b", "b x org"),  # Latin-1
        ("file:///home/one_two.htm", "one two home"),
        ("docs/guide/First-steps.html", "First steps guide docs"),
        ("/docs/a", "a docs"),
        ("page.aspx", "page"),
        ("www.x.org/a", "a x org"),
        ("wwwhat.org/a", "a wwwhat org"),
        ("x.org:80/a?u=http://y.org/b", "a x org"),
    ],
)
def test_words_of_a_url(url, text):
    assert url_text(url) == text


@pytest.mark.parametrize("url", ["", " ", "http://", "https:///", "?", "#x", "---", "http://[bad", "/", "//www./"])
def test_urls_without_words_give_nothing(url):
    assert url_text(url) == ""


@given(st.text() | st.text("htp:/.@?#%;[]w- 1é"))
def test_any_text_is_accepted_and_separators_are_single_spaces(url):
    text = url_text(url)
    assert not set("-_./+") & set(text)
    assert text == " ".join(text.split())
