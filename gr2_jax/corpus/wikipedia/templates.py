"""Templates in prose: the few that stand for words are expanded, all others are removed."""

import re
from collections.abc import Callable

from gr2_jax.corpus.wikipedia.links import HOLE

# A template without another one inside; repeated from the inside out, this reaches all.
_INNERMOST = re.compile(r"\{\{([^{}]*(?:(?:\{(?!\{)|\}(?!\}))[^{}]*)*)\}\}")
_UNCLOSED = re.compile(r"\{\{[^\n]*")
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


def expand_templates(wikitext: str) -> str:
    """Returns the wikitext without templates; unknown ones are removed, formulas become HOLE."""
    changed = "{{" in wikitext
    while changed:
        wikitext, changed = _INNERMOST.subn(_expand, wikitext)
    return _UNCLOSED.sub("", wikitext) if "{{" in wikitext else wikitext


def _expand(match: re.Match) -> str:
    name, bar, arguments = match[1].partition("|")
    name = name.strip().lower()
    if name.startswith("lang-"):
        return _first(_positional(arguments))
    handler = _HANDLERS.get(name)
    if handler is None:
        return ""
    return handler if isinstance(handler, str) else handler(_positional(arguments) if bar else [])


def _positional(arguments: str) -> list[str]:
    found = []
    for argument in arguments.split("|"):
        key, equals, value = argument.partition("=")
        if not equals:
            found.append(argument.strip())
        elif key.strip().isdigit():
            found.append(value.strip())
    return found


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


def _currency(sign: str) -> Callable[[list[str]], str]:
    return lambda arguments: f"{sign}{_first(arguments)}"


# Template names by what they show: their first argument, the second, the last, a formula.
_FIRST = """nowrap,no wrap,nobr,small,big,abbr,smaller,larger,nobold,noitalic,em,strong,smallcaps,sc,sic,not a typo
visible anchor,unicode,angbr,bracket,title,tooltip,nihongo,ill,interlanguage link,interlanguage link multi"""
_SECOND = "lang,langue,color,colour,fontcolor,font,script"
_LAST = "transl,transliteration,translit"
_FORMULA = "math,mvar,chem,chem2,e,val,su,sub,sup,sqrt"
_DASH = "spnd,snd,spaced ndash,spaced endash,spaced en dash"


def _names(names: str) -> list[str]:
    return names.replace("\n", ",").split(",")


_HANDLERS: dict[str, str | Callable[[list[str]], str]] = {
    **dict.fromkeys(_names(_FIRST), _first),
    **dict.fromkeys(_names(_SECOND), _second),
    **dict.fromkeys(_names(_LAST), _last),
    **dict.fromkeys(_names(_FORMULA), HOLE),
    **dict.fromkeys(_names(_DASH), " \u2013 "),
    **dict.fromkeys(_names("ndash,endash"), "\u2013"),
    **dict.fromkeys(_names("mdash,emdash"), "\u2014"),
    **dict.fromkeys(_names("convert,cvt"), _convert),
    **dict.fromkeys(_names("frac,fraction,sfrac"), _fraction),
    **dict.fromkeys(_names("circa,c.,ca."), _circa),
    "as of": _as_of,
    "nbsp": " ",
    "!": "|",
    "=": "=",
    "'": "'",
    "okina": "\u02bb",
    "us$": _currency("US$"),
    "gbp": _currency("£"),
    "euro": _currency("€"),
    "inr": _currency("₹"),
}
