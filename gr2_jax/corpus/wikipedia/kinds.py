"""Which articles are disambiguation pages or lists."""

import re

_HEAD, _TAIL = 1000, 3000  # characters of an article that are searched for a disambiguation template

_TEMPLATE = re.compile(r"\{\{\s*+([^{}|\n]++)\s*+(?:\||\}\})")
_ENGLISH = "disambiguation disambig dab dis hndis geodis hospitaldis schooldis numberdis mathdab disamb"
_BY_LANGUAGE = {
    "en": "",
    "de": "begriffsklärung",
    "fr": "homonymie paronymie patronyme toponymes homonymes",
    "es": "desambiguación desambiguacion des desambig",
    "it": "disambigua",
    "pt": "desambiguação desambig",
    "nl": "dp doorverwijspagina",
    "sv": "förgrening gren",
    "pl": "ujednoznacznienie",
    "ru": "неоднозначность многозначность",
}
_NAMES = {language: frozenset((_ENGLISH + " " + names).split()) for language, names in _BY_LANGUAGE.items()}
_TITLE = re.compile(
    r"\((?:disambiguation|begriffsklärung|homonymie|desambiguación|disambigua|desambiguação|doorverwijspagina|olika"
    r" betydelser|ujednoznacznienie|значения)\)$",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"(?:lists? of|index of|outline of|liste de[rsn]?|listes? des?|liste von|liste d['\u2019]|listas? de|elenco d\w*"
    r"|lijst van|lista över|lista d[aei]\w*|список)\b",
    re.IGNORECASE,
)


def is_disambiguation(title: str, wikitext: str, language: str) -> bool:
    """Whether the title, a template near the beginning or end, or `__DISAMBIG__` marks a disambiguation page."""
    edges = wikitext if len(wikitext) <= _HEAD + _TAIL else f"{wikitext[:_HEAD]}\n{wikitext[-_TAIL:]}"
    if _TITLE.search(title) or "__DISAMBIG__" in edges:
        return True
    names = _NAMES.get(language.split("-")[0], _NAMES["en"])
    found = (name.strip().lower() for name in _TEMPLATE.findall(edges))
    return any(name in names or name.endswith(" disambiguation") or name.startswith("disambig") for name in found)


def is_list(title: str) -> bool:
    """Whether the title begins like that of a list, an index or an outline."""
    return bool(_LIST.match(title))
