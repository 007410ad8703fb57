"""Articles from handwritten wikitext, imported by the tests of wikitext."""

from gr2_jax.corpus.wikipedia.article import Article, parse_article
from gr2_jax.corpus.wikipedia.links import split_notes, without_hidden
from gr2_jax.corpus.wikipedia.site import CANONICAL, Site
from gr2_jax.corpus.wikipedia.text import clean, plain_paragraphs
from gr2_jax.corpus.wikipedia.xml_pages import Page


def site(language: str = "en") -> Site:
    return Site("testwiki", language, "https://test.example/wiki/Main", dict(CANONICAL), first_letter=True)


def article(text: str, title: str = "Heron", language: str = "en", **options) -> Article:
    return parse_article(Page(1, title, 0, None, "wikitext", text, (0, 0)), site(language), **options)


def prose(text: str, language: str = "en") -> str:
    return plain_paragraphs(clean(split_notes(without_hidden(text))[0], site(language)))
