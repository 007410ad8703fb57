"""Parses an article's wikitext into the parts that graded pairs are made of."""

from dataclasses import dataclass

from gr2_jax.corpus.wikipedia.kinds import is_disambiguation, is_list
from gr2_jax.corpus.wikipedia.links import article_links, split_notes, without_hidden
from gr2_jax.corpus.wikipedia.sections import Kind, Section, SectionNames, section_names, split_sections
from gr2_jax.corpus.wikipedia.site import Site
from gr2_jax.corpus.wikipedia.text import clean, plain_paragraphs, usable_sentences
from gr2_jax.corpus.wikipedia.xml_pages import Page

_CUT = 3  # at most this many characters of wikitext are cleaned per character of text still wanted


@dataclass(frozen=True)
class Article:
    """An article. Links are normalised titles in the main namespace, each once, in order of first appearance."""

    page_id: int
    title: str
    abstract: tuple[str, ...]  # the usable sentences of the lead section, cleaned; may be empty
    text: str  # cleaned leading text; blank lines between paragraphs
    lead_links: tuple[str, ...]  # before the first heading, including infobox values
    see_also: tuple[str, ...]  # the "See also" section
    references: tuple[str, ...]  # the "References" and "Notes" sections as written there
    footnotes: tuple[str, ...]  # in <ref> elements of the other sections: mostly publishers and places
    other_links: tuple[str, ...]  # all other sections
    is_disambiguation: bool
    is_list: bool


def parse_article(
    page: Page, site: Site, *, text_characters: int = 4000, sections: SectionNames | None = None
) -> Article:
    """Parses an article (a page with `is_article`); `sections` defaults to the names of the site's language.

    `[[...]]` in the arguments of templates counts as a link; plain arguments (`{{main|Title}}`) do not.
    """
    parts = split_sections(without_hidden(page.text), sections or section_names(site.language))
    wikitext = {kind: "\n".join(part.wikitext for part in parts if part.kind is kind) for kind in Kind}
    lead, lead_notes = split_notes(wikitext[Kind.LEAD])
    see_also, see_also_notes = split_notes(wikitext[Kind.SEE_ALSO])
    other, other_notes = split_notes(f"{wikitext[Kind.BODY]}\n{wikitext[Kind.OTHER]}")
    lead_text = clean(lead, site)
    return Article(
        page_id=page.page_id,
        title=page.title,
        abstract=usable_sentences(lead_text, site.language),
        text=_leading_text(lead_text, parts, site, text_characters),
        lead_links=article_links(lead, site),
        see_also=article_links(see_also, site),
        references=article_links(wikitext[Kind.REFERENCES], site),
        footnotes=article_links("\n".join((lead_notes, see_also_notes, other_notes)), site),
        other_links=article_links(other, site),
        is_disambiguation=is_disambiguation(page.title, page.text, site.language),
        is_list=is_list(page.title),
    )


def _leading_text(lead: str, parts: list[Section], site: Site, characters: int) -> str:
    """Returns the lead and the body sections up to this length, cut at white space."""
    text = plain_paragraphs(lead)
    for part in parts:
        missing = characters - len(text)
        if missing <= 0:
            break
        if part.kind is Kind.BODY:
            wikitext = _beginning(part.wikitext, _CUT * missing)
            text = f"{text}\n\n{plain_paragraphs(clean(split_notes(wikitext)[0], site))}".strip()
            if wikitext is not part.wikitext:
                break
    if len(text) <= characters:
        return text
    return (text[: characters + 1].rsplit(None, 1)[0] if " " in text[: characters + 1] else text)[:characters]


def _beginning(wikitext: str, characters: int) -> str:
    """Returns the first paragraphs, of about this length: cleaning whole long sections would take most of the time."""
    if len(wikitext) <= characters:
        return wikitext
    end = wikitext.find("\n\n", characters)
    return wikitext if end < 0 else wikitext[:end]
