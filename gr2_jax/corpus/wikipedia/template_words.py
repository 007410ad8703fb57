"""What well-known templates and variables show: by name, and by the wiki's language."""

import re
from collections.abc import Callable
from functools import cache

from gr2_jax.corpus.sentences import HOLE
from gr2_jax.corpus.wikipedia.standins import literal

Handler = str | Callable[[list[str]], str]  # the words, or a function from the arguments without a name to the words

_LONGEST_NAME = 100
_RANGE = {"to": " to ", "-": "\u2013", "\u2013": "\u2013", "and": " and ", "or": " or ", "x": " \u00d7 ", "by": " by "}
_UNITS = {
    "sqmi": "square miles",
    "sqkm": "square kilometres",
    "km2": "km²",
    "m2": "m²",
    "m3": "m³",
    "C": "°C",
    "F": "°F",
}
_NUMBER = re.compile(r"([-+\u2212]?)([0-9]{1,30})(?:\.([0-9]{1,30}))?")
# What stands between thousands and before decimals, and the fewest digits of which thousands are separated.
_FORMATS = {
    **{"en": (",", ".", 4), "de": (".", ",", 4), "it": (".", ",", 4), "nl": (".", ",", 4)},
    **{"fr": (" ", ",", 4), "sv": (" ", ",", 4)},
    **dict.fromkeys(("es", "pt", "pl", "ru"), (" ", ",", 5)),
}


def handler_of(name: str, language: str) -> tuple[Handler | None, list[str]]:
    """Returns what the template shows, None for an unknown one, and the argument within its name: `formatnum:93`."""
    first, colon, argument = name.strip().partition(":")
    if len(first) > _LONGEST_NAME:
        return None, []
    first = " ".join(first.replace("_", " ").lower().split())
    language = language.split("-")[0]
    if colon:
        return _functions(language).get(first), [argument.strip()]
    if first.startswith(_SILENT_BEGINNINGS):
        return "", []
    return _first if first.startswith("lang-") else _templates(language).get(first), []


def _first(arguments: list[str]) -> str:
    return arguments[0] if arguments else ""


def _second(arguments: list[str]) -> str:
    return arguments[1] if len(arguments) > 1 else ""


def _last(arguments: list[str]) -> str:
    return arguments[-1] if arguments else ""


def _convert(arguments: list[str]) -> str:
    """`{{convert|5|to|10|km|mi}}` -> `5 to 10 km`."""
    if len(arguments) >= 4 and arguments[1] in _RANGE:
        low, joint, high, unit = arguments[:4]
        return f"{low}{_RANGE[joint]}{high} {_UNITS.get(unit, unit)}"
    if len(arguments) < 2:
        return _first(arguments)
    return f"{arguments[0]} {_UNITS.get(arguments[1], arguments[1])}"


def _fraction(arguments: list[str]) -> str:
    if len(arguments) == 3:
        return f"{arguments[0]} {arguments[1]}/{arguments[2]}"
    return "/".join(arguments[:2])


def _as_of(arguments: list[str]) -> str:
    return f"As of {_first(arguments)}"


def _circa(arguments: list[str]) -> str:
    return f"c. {_first(arguments)}".rstrip()


def _around(before: str, after: str = "") -> Callable[[list[str]], str]:
    """Shows the first argument between two texts."""
    return lambda arguments: f"{before}{_first(arguments)}{after}"


def _number(language: str) -> Callable[[list[str]], str]:
    """Shows a number with separators, anything else as it is."""
    thousands, decimals, fewest = _FORMATS.get(language, _FORMATS["en"])

    def written(arguments: list[str]) -> str:
        found = _NUMBER.fullmatch(_first(arguments))
        if not found:
            return _first(arguments)
        sign, whole, decimal = found.groups()
        if len(whole) >= fewest:
            whole = f"{int(whole):,}".replace(",", thousands)
        return sign + whole + (decimals + decimal if decimal else "")

    return written


def _quantity(arguments: list[str]) -> str:
    """`{{unité|2000|m}}` -> `2 000 m`; powers of units are unknown."""
    if len(arguments) > 2 or not arguments:
        return HOLE
    return " ".join([_number("fr")(arguments), *arguments[1:]])


def _french_date(arguments: list[str]) -> str:
    """`{{date|11|novembre|1866}}` -> `11 novembre 1866`; months in figures are unknown."""
    return HOLE if not arguments or _second(arguments).isdigit() else " ".join(filter(None, arguments[:3]))


# Template names by what they show: their first argument, the second, the last, a formula.
_FIRST = """nowrap,no wrap,nobr,small,big,abbr,smaller,larger,nobold,noitalic,em,strong,smallcaps,sc,sic,not a typo
visible anchor,unicode,angbr,bracket,title,tooltip,nihongo,ill,interlanguage link,interlanguage link multi"""
_SECOND = "lang,langue,color,colour,fontcolor,font,script"
_LAST = "transl,transliteration,translit"
_FORMULA = "math,mvar,chem,chem2,e,val,su,sub,sup,sqrt"
_DASH = "spnd,snd,spaced ndash,spaced endash,spaced en dash"
# Marks of footnotes, doubts about a text, and what has its effect elsewhere: a sentence is whole without them.
_SILENT = """cite,harv,r,rp,note,ref,ref label,refn,cn,fact,citation,citation needed,clarify,clarification needed
dubious,dead link,page needed,pn,who,whom?,who?,when,when?,where?,which,which?,which one?,by whom
by whom?,according to whom,according to whom?,why,why?,vague,specify,examples,weasel inline
peacock inline,better source,better source needed,failed verification,not in citation given,verify source
verify credibility,unreliable source?,disputed-inline,update after,update inline,contradict-inline
neologism inline,or,synthesis-inline,undue-inline,pov-inline,link language,anchor,shy,wbr,zwsp,zwj,zwnj
clear,-,clr,toc left,toc right,toclimit,flagicon,flag icon,refnec,sans référence,référence souhaitée
source insuffisante,quand,qui,où,lequel,précision nécessaire,belege fehlen,belege,kilde,sfnref,źródło
fakt,bron?,källa behövs,cita requerida,senza fonte,chiarire,carece de fontes,нет аи,аи,источник?,уточнить
когда,кто?,где?"""
_SILENT_BEGINNINGS = ("cite ", "sfn", "efn", "citation needed", "pp-", "use ")


def _names(names: str) -> list[str]:
    return names.replace("\n", ",").split(",")


_EVERYWHERE: dict[str, Handler] = {
    **dict.fromkeys(_names(_FIRST), _first),
    **dict.fromkeys(_names(_SECOND), _second),
    **dict.fromkeys(_names(_LAST), _last),
    **dict.fromkeys(_names(_FORMULA), HOLE),
    **dict.fromkeys(_names(_SILENT), ""),
    **dict.fromkeys(_names(_DASH), " \u2013 "),
    **dict.fromkeys(_names("ndash,endash"), "\u2013"),
    **dict.fromkeys(_names("mdash,emdash"), "\u2014"),
    **dict.fromkeys(_names("convert,cvt"), _convert),
    **dict.fromkeys(_names("frac,fraction,sfrac"), _fraction),
    **dict.fromkeys(_names("circa,c.,ca."), _circa),
    "as of": _as_of,
    "nbsp": " ",
    "=": "=",
    "'": literal("'"),
    "'s": literal("'") + "s",
    "okina": "\u02bb",
    "us$": _around("US$"),
    "gbp": _around("£"),
    "euro": _around("€"),
    "inr": _around("₹"),
    # parts of tables, of which some templates and pages are made
    "!": "|",
    "!!": "||",
    "!-": "|-",
    "(!": "{|",
    "!)": "|}",
    "((": literal("{{"),
    "))": literal("}}"),
}
_IN_LANGUAGE: dict[str, dict[str, Handler]] = {
    "fr": {
        **dict.fromkeys(_names("unité,unite,nombre,nb"), _quantity),
        **dict.fromkeys(_names("date,date-,date de naissance,date de naissance-,date de décès"), _french_date),
        **dict.fromkeys(_names("s,s-,siècle"), _around("", "e siècle")),
        **{name: name for name in _names("e,er,re,1er,1re,2e,2d,2nd")},
        **{"ier": "Ier", "ire": "Ire", "ii": "II", "iii": "III", "av jc": "av. J.-C.", "ap jc": "apr. J.-C."},
        **{"m.": _around("M. "), "mme": _around("Mme "), "citation": _around("« ", " »")},
    },
}


@cache
def _templates(language: str) -> dict[str, Handler]:
    return _EVERYWHERE | {"nts": _number(language), "formatnum": _number(language)} | _IN_LANGUAGE.get(language, {})


@cache
def _functions(language: str) -> dict[str, Handler]:
    """MediaWiki's own variables and functions, which have a colon before their first argument."""
    letters = {"lc": lambda given: _first(given).lower(), "uc": lambda given: _first(given).upper()}
    return {"defaultsort": "", "displaytitle": "", "#tag": _tag, "formatnum": _number(language), **letters}


def _tag(arguments: list[str]) -> str:
    return "" if _first(arguments) == "ref" else HOLE
