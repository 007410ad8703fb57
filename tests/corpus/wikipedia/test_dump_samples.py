"""Three genuine dumps, of schemas 0.9 (truncated), 0.10 and 0.11, against counts and lists taken by hand."""

import re

import pytest

from gr2_jax.corpus.wikipedia.article import Article, parse_article
from gr2_jax.corpus.wikipedia.dump import Part
from gr2_jax.corpus.wikipedia.links import link_targets, without_hidden
from gr2_jax.corpus.wikipedia.siteinfo import read_site
from gr2_jax.corpus.wikipedia.xml_pages import Page, read_pages

# The links of the section "See also" as a reader sees them, in order.
SEE_ALSO = {
    "Anarchism": "Anarchist economics|Anarchist symbolism|Libertarianism|Lists of anarchism topics|List of anarchist"
    " communities|List of anarchist movements by region|List of films dealing with Anarchism|Outline of anarchism",
    "Altruism": "Altruria|Charity (practice)|Charitable organization|Comedy of the commons|Effective altruism|Egotism"
    "|Empathy|Empathy-altruism|Family economics|Gene-centered view of evolution|Giving Pledge|Inclusive fitness|Group"
    " selection|Kin selection|Misanthropy|Mutual aid (organization)|Philanthropy|The Power of Half|Prisoner's dilemma"
    "|Prosocial behavior|Random act of kindness|Reciprocal altruism|Selfishness|Social psychology|Solidarity"
    " (sociology)|Tit for tat",
    "Abacus": "Abacus logic|Chisanbop|Mental abacus|Napier's bones|Sand table|Slide rule|Soroban|Suanpan",
    "Alphabet": "A Is For Aardvark|Abecedarium|Acrophony|Akshara|Alphabet book|Alphabet effect|Alphabet song"
    "|Alphabetical order|Alphabetize|Butterfly Alphabet|Character encoding|Constructed script|Cyrillic|English alphabet"
    "|Hangul|ICAO spelling alphabet|Lipogram|List of alphabets|Pangram|Thai script|Transliteration|Unicode",
    "Anthropology": "Anthropological Index Online|Anthropological science fiction|Engaged theory|Ethnology|Ethology"
    "|Folklore|Human ethology|Human evolution|Human Relations Area Files|Intangible Cultural Heritage|Memetics"
    "|Prehistoric medicine|Qualitative research|Sociology|Theological anthropology|Philosophical anthropology"
    "|Tinbergen's four questions",
    "Agnosticism": "Apatheism|Asimov's Guide to the Bible|Existentialism|Gnosticism|Ietsism|Laïcité|List of agnostics"
    "|Objectivism (Ayn Rand)|Possibilianism|Rationalism|Relativism|Religiosity|Religious skepticism|Russell's teapot"
    "|Skepticism|Unknown God",
    "Algae": "Algaculture|AlgaeBase|AlgaePARC|Toxoid|Eutrophication|Iron fertilization|Microalgae|Microbiofuels"
    "|Microphyte|Photobioreactor|Phytoplankton|Plant",
    "Art": "Art movement|Artist in residence|Formal analysis|List of artistic media|Outline of the visual arts|Tree"
    " structure",
    "Atomic number": "History of the periodic table|Effective atomic number|Atomic theory|Prout's hypothesis",
    "Adobe": "Cob (building)|Compressed earth block|Earth structure|Hassan Fathy|Mudbrick|Qalat (fortress)|Rammed earth"
    "|San Xavier del Bac|Sod house|Super Adobe|Wattle and daub|Cas di torto|Monterey Colonial architecture",
}
DISAMBIGUATION = {
    *("AM", "Aa River", "Aberdeen (disambiguation)", "Ada", "Alien", "Altenberg", "Animal (disambiguation)"),
    *("Argument (disambiguation)", "Asia Minor (disambiguation)", "Asterism", "Atlas (disambiguation)"),
    "Austin (disambiguation)",
}


@pytest.fixture(scope="module")
def samples(shared_data) -> dict[str, tuple[list[Page], list[Article], list[str]]]:
    """Wiki name -> (pages, parsed articles, warnings)."""
    found = {}
    for path in sorted((shared_data / "mediawiki").glob("*.xml.bz2")):
        site, warnings = read_site(str(path)), []
        pages = list(read_pages(Part(str(path)), on_warning=warnings.append))
        found[site.dbname] = pages, [parse_article(page, site) for page in pages if page.is_article], warnings
    return found


def test_counts(samples):
    counts = {
        wiki: (len(pages), len(articles), sum(page.redirect is not None for page in pages), len(warnings))
        for wiki, (pages, articles, warnings) in samples.items()
    }
    assert counts == {"enwiki": (361, 215, 146, 1), "simplewiki": (7, 6, 0, 0), "aawiki": (507, 1, 19, 0)}


def test_see_also_pages(samples):
    """151 pages have the heading; in five of them the section has templates but no link."""
    pages, articles, _ = samples["enwiki"]
    without = {page.title for page in pages if "see also==" in page.text.lower().replace(" also ==", " also==")}
    assert len(without) == 151
    assert sorted(without - {article.title for article in articles if article.see_also}) == [
        *("A. E. van Vogt", "American Film Institute", "Anglican Communion", "Astatine", "Atlas (disambiguation)"),
    ]


def test_links(samples):
    """In the raw text of all pages, 53,843 `[[...]]` have no colon; some are not links, some links contain brackets."""
    pages, _, _ = samples["enwiki"]
    plain = re.compile(r"\[\[[^\[\]|#:]+(?:#[^\]|]*)?(?:\|[^\]]*)?\]\]")
    assert sum(len(plain.findall(page.text)) for page in pages) == 53_843
    everywhere = [target for page in pages for target in link_targets(page.text)]
    seen = [target for page in pages for target in link_targets(without_hidden(page.text))]
    assert (sum(":" not in target for target in everywhere), len(everywhere)) == (53_933, 56_627)
    assert (sum(":" not in target for target in seen), len(seen)) == (53_799, 56_435)


@pytest.mark.parametrize("title", SEE_ALSO)
def test_see_also_of_ten_articles(samples, title):
    (article,) = (article for article in samples["enwiki"][1] if article.title == title)
    assert "|".join(article.see_also) == SEE_ALSO[title]


def test_kinds(samples):
    _, articles, _ = samples["enwiki"]
    assert {article.title for article in articles if article.is_disambiguation} == DISAMBIGUATION
    lists = ["List of Atlas Shrugged characters", "List of anthropologists"]
    assert [article.title for article in articles if article.is_list] == lists


def test_prose_is_clean(samples):
    articles = [article for _, found, _ in samples.values() for article in found]
    sentences = [sentence for article in articles for sentence in article.abstract]
    assert len(sentences) > 1900
    assert not [s for s in sentences if any(mark in s for mark in ("[[", "]]", "{{", "}}", "''", "<ref", "|", "  "))]
    # Nearly every article except disambiguation pages and lists has a query; calendar days have only lists.
    plain = [a for a in articles if not (a.is_disambiguation or a.is_list)]
    assert sum(bool(a.abstract) for a in plain) >= 0.97 * len(plain)
    assert all(len(a.text) <= 4000 for a in articles)
    marked = [a.title for a in articles if any(mark in a.text for mark in ("{{", "}}", "''", "<ref", "<br", "{|"))]
    assert len(marked) <= 0.03 * len(articles), marked
